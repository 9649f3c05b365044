/*
 * test_run.h - what BPF_PROG_TEST_RUN does for every program type
 */
#ifndef UBPFFS_RUN_TEST_RUN_H
#define UBPFFS_RUN_TEST_RUN_H

#include "run/run.h"

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
