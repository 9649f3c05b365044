/*
 * sample.h - the event that a program runs for: its stacks and its task
 *
 * An event source fills a bpf_sample and names it in bpf_this.sample for the time of the run; the
 * helpers that ask about stacks and the current task read it there. Without one they speak of this
 * process: the user stack is the caller's own, by frame pointers, and there is no kernel stack.
 */
#ifndef UBPFFS_RUN_SAMPLE_H
#define UBPFFS_RUN_SAMPLE_H

#include <stdio.h>
#include "run/run.h"

#define BPF_MAX_STACK_DEPTH 127 /* Linux: kernel.perf_event_max_stack */

struct bpf_sample {
	const u64 *kernel_ips; /* innermost first */
	u32 kernel_nr;
	const u64 *user_ips;
	const struct bpf_stack_build_id *user_ids; /* of user_ips; NULL: not known */
	u32 user_nr;
	u32 pid, tid, uid, gid; /* pid: the process, tid: the thread */
	/*
	 * What the process had mapped when user_ips were taken, as a number: equal addresses of two
	 * images are two stacks. 0: not known. Numbers are good as long as this process.
	 */
	u32 image;
	char comm[16];
	u64 counter, enabled, running; /* what bpf_perf_prog_read_value() gives */
	bool has_counter;
};

/*
 * bpf_stack_ips - the stack that a program sees
 *
 * Up to `max` return addresses, innermost first, into ips. Returns how many, or -EFAULT when there
 * is no such stack. ips needs room for `max`.
 */
int bpf_stack_ips(bool user, u64 *ips, u32 max);

/*
 * The frame at which this process's own user stack begins: an entry of the library sets it to
 * __builtin_frame_address(0), so that frames of the engine are not shown. Nested entries restore
 * it.
 */
extern __thread void *bpf_user_frame;

/*
 * bpf_stack_build_ids - the same stack as build ids and file offsets
 *
 * What bpf_stack_ips() gave, from the address number `skip` on. out[i].status is
 * BPF_STACK_BUILD_ID_VALID, or BPF_STACK_BUILD_ID_IP with the address itself when the file has no
 * build id or is not to be found. A sample's are what its source found out before the run (a
 * program with prog->wants_build_ids): a program that runs opens no files of another process.
 */
void bpf_stack_build_ids(const u64 *ips, u32 skip, u32 nr, struct bpf_stack_build_id *out);

/* ---- build ids: where in which file addresses are (build_id.c) */

struct bpf_mapping;
struct bpf_mappings { /* the executable ones of a process, ascending, with their files' build ids */
	struct bpf_mapping *v;
	u32 nr, cap;
};

/* From a file like /proc/PID/maps; open_file() gives a descriptor or a negative number. */
void bpf_mappings_read(struct bpf_mappings *all, FILE *maps, int (*open_file)(void *, const char *),
		       void *arg);
void bpf_mappings_free(struct bpf_mappings *all);
void bpf_mappings_build_ids(const struct bpf_mappings *all, const u64 *ips, u32 nr,
			    struct bpf_stack_build_id *out);
/* Addresses of this process. */
void bpf_own_build_ids(const u64 *ips, u32 nr, struct bpf_stack_build_id *out);

extern const struct bpf_func_proto bpf_get_stack_proto;

#endif
