/*
 * bpf.h - bpf(2) answered: one function a command
 *
 * A command sees a copy of the caller's union bpf_attr, zero beyond what the caller gave, of which
 * the bytes behind the command's last field are known to be zero. It returns what the call returns
 * (-errno), and fails with the errno that bpf(2) gives for the same fault.
 */
#ifndef UBPFFS_TOOLS_RUN_BPF_BPF_H
#define UBPFFS_TOOLS_RUN_BPF_BPF_H

#include <linux/bpf.h>
#include "tools/run/caller/caller.h"

struct bpf_call {
	struct caller *c;
	int cmd;
	uint32_t size; /* of the caller's attr */
	uint64_t uattr;
	union bpf_attr attr;
};

/*
 * Where log_true_size ends, which the header that we are compiled with need not have: only an
 * answer uses it, and a caller may leave anything there.
 */
#define LOG_TRUE_END (offsetof(union bpf_attr, core_relo_rec_size) + 2 * sizeof(uint32_t))

/* The same of BPF_BTF_LOAD's btf_log_true_size. */
#define BTF_LOAD_END (offsetof(union bpf_attr, btf_log_level) + 2 * sizeof(uint32_t))

/* Write a field of the caller's attr back: -EFAULT. */
#define BPF_PUT(call, field)                                                     \
	caller_write((call)->c, (call)->uattr + offsetof(union bpf_attr, field), \
		     &(call)->attr.field, sizeof((call)->attr.field))

void run_bpf(struct caller *c);
/*
 * What a command says about its log, as the kernel asks: a buffer and its size, or neither, which
 * only counts; no buffer where no log is wanted.
 */
bool run_log_ok(uint32_t level, uint64_t buf, uint32_t size);

/* btf.c */
long run_btf_load(struct bpf_call *call);
/* The id of the types behind a caller's descriptor: -EBADF, -EINVAL. */
int run_btf_id(struct caller *c, int fd, uint32_t *id);
/* map.c */
long run_map_create(struct bpf_call *call);
long run_map_elem(struct bpf_call *call); /* lookup, update, delete, next key, lookup and delete */
long run_map_freeze(struct bpf_call *call);
long run_map_batch(struct bpf_call *call);
/* prog.c */
long run_prog_load(struct bpf_call *call);
long run_prog_test_run(struct bpf_call *call);
/* cgroup.c */
long run_prog_attach(struct bpf_call *call);
long run_prog_detach(struct bpf_call *call);
long run_prog_query(struct bpf_call *call);
long run_link_create(struct bpf_call *call);
long run_link_update(struct bpf_call *call);
long run_link_detach(struct bpf_call *call);
/* object.c */
long run_obj_pin(struct bpf_call *call);
long run_obj_get(struct bpf_call *call);
long run_get_next_id(struct bpf_call *call);
long run_get_fd_by_id(struct bpf_call *call);
long run_obj_get_info(struct bpf_call *call);

#endif
