/*
 * test_run.h - what BPF_PROG_TEST_RUN does for every program type
 */
#ifndef UBPFFS_RUN_TEST_RUN_H
#define UBPFFS_RUN_TEST_RUN_H

#include "core/prog.h"
#include "run/redirect.h"

/*
 * A test run, as BPF_PROG_TEST_RUN: the input is copied, the program runs `repeat` times on it (0
 * means 1), retval and duration are those of bpf(2) (ns a run, averaged). data_size_out is the room
 * in data_out on entry and the size of the output on return; -ENOSPC when it did not fit (what fits
 * is copied). -EINTR when *cancel became true; -EIO for a program that is, or became, poisoned.
 */
struct bpf_test_run {
	const void *data_in;
	u32 data_size_in;
	void *data_out;
	u32 data_size_out;
	const void *ctx_in;
	u32 ctx_size_in;
	void *ctx_out;
	u32 ctx_size_out;
	u32 repeat;
	u32 flags;
	u32 retval; /* out */
	u32 duration; /* out, ns */
	struct bpf_redirect redirect; /* out: what the last run noted */
	const volatile bool *cancel; /* or NULL */
};

int bpf_prog_test_run(struct bpf_prog *prog, struct bpf_test_run *run);

/* Run `run->repeat` times; fills retval and duration. 0, -EINTR, -EIO (it faulted). */
int bpf_test_run_loop(struct bpf_prog *prog, const void *ctx, struct bpf_test_run *run);
/* Copy what fits of the packet to data_out and its size to data_size_out. 0 or -ENOSPC. */
int bpf_test_finish(struct bpf_test_run *run, const void *data, u32 size);
/*
 * Read ctx_in into `ctx` (of `size` bytes, zero before) and say whether there is a context at all.
 * -E2BIG when what is beyond `size` is not zero.
 */
int bpf_ctx_init(const struct bpf_test_run *run, void *ctx, u32 size, bool *present);
int bpf_ctx_finish(struct bpf_test_run *run, const void *ctx, u32 size);

/* Is every byte of [from, to) zero? */
bool bpf_range_is_zero(const void *buf, size_t from, size_t to);

#endif
