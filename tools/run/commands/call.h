/*
 * call.h - a call of bpf(2) that is being answered: one function a command
 *
 * A command sees a copy of the caller's union bpf_attr, zero beyond what the caller gave, of which
 * the bytes behind the command's last field are known to be zero. It returns what the call returns
 * (-errno), and fails with the errno that bpf(2) gives for the same fault.
 */
#ifndef UBPFFS_TOOLS_RUN_COMMANDS_CALL_H
#define UBPFFS_TOOLS_RUN_COMMANDS_CALL_H

#include <linux/bpf.h>
#include <stddef.h>
#include <string.h>
#include "tools/run/caller/caller.h"

/*
 * Where log_true_size ends, which the header that we are compiled with need not have: only an
 * answer uses it, and a caller may leave anything there. Behind it are a token's descriptor and the
 * count of fd_array.
 */
#define LOG_TRUE_END   (offsetof(union bpf_attr, core_relo_rec_size) + 2 * sizeof(uint32_t))
#define FD_ARRAY_CNT   (LOG_TRUE_END + sizeof(uint32_t))
#define PROG_LOAD_END  (FD_ARRAY_CNT + sizeof(uint32_t))
/* Where the directory of a relative path is, behind what 6.1 has of such commands. */
#define PATH_FD	       (offsetof(union bpf_attr, file_flags) + sizeof(uint32_t))
#define PATH_END       (PATH_FD + sizeof(uint32_t))
#define RUN_F_PATH_FD  (1u << 14) /* BPF_F_PATH_FD */
#define BPF_ATTR_KNOWN PROG_LOAD_END

struct bpf_call {
	struct caller *c;
	int cmd;
	uint32_t size; /* of the caller's attr */
	uint64_t uattr;
	union {
		union bpf_attr attr;
		unsigned char bytes[BPF_ATTR_KNOWN]; /* with what a 6.1 header lacks */
	};
};

/* A field of `bytes` that the header has no name for. */
static inline uint32_t bpf_call_u32(const struct bpf_call *call, size_t at)
{
	uint32_t value;

	memcpy(&value, call->bytes + at, sizeof(value));
	return value;
}

/* The same of BPF_BTF_LOAD's btf_log_true_size. */
#define BTF_LOAD_END (offsetof(union bpf_attr, btf_log_level) + 2 * sizeof(uint32_t))

/* Write a field of the caller's attr back: -EFAULT. */
#define BPF_PUT(call, field)                                                     \
	caller_write((call)->c, (call)->uattr + offsetof(union bpf_attr, field), \
		     &(call)->attr.field, sizeof((call)->attr.field))

/*
 * What a command says about its log, as the kernel asks: a buffer and its size, or neither, which
 * only counts; no buffer where no log is wanted.
 */
static inline bool run_log_ok(uint32_t level, uint64_t buf, uint32_t size)
{
	return !buf == !size && (level || !buf) && size <= UINT32_MAX >> 2;
}

#endif
