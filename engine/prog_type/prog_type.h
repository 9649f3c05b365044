/*
 * prog_type.h - what the files of this directory share
 */
#ifndef UBPFFS_PROG_TYPE_PROG_TYPE_H
#define UBPFFS_PROG_TYPE_PROG_TYPE_H

#include "core/insn.h"
#include "core/reg.h"
#include "core/run.h"

extern const struct bpf_prog_type_ops bpf_socket_filter_ops;
extern const struct bpf_prog_type_ops bpf_sched_cls_ops;
extern const struct bpf_prog_type_ops bpf_xdp_ops;
extern const struct bpf_prog_type_ops bpf_cgroup_skb_ops;
extern const struct bpf_prog_type_ops bpf_perf_event_ops;

#define BPF_LDX_INSN(size, dst, src, o)                        \
	((struct bpf_insn){.code = BPF_LDX | BPF_MEM | (size), \
			   .dst_reg = (dst),                   \
			   .src_reg = (src),                   \
			   .off = (s16)(o)})

/*
 * ---- test_run.c: what BPF_PROG_TEST_RUN does for every type
 */

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

/* 16-bit ones' complement sums, as RFC 1071: csum.c */
u32 csum_partial(const void *buf, size_t len, u32 sum);
u16 csum_fold(u32 sum);
u32 csum_add(u32 a, u32 b);
u32 csum_sub(u32 a, u32 b);
extern const struct bpf_func_proto bpf_csum_diff_proto;

/* ---- perf_output.c: perf_event_output, by context */
extern const struct bpf_func_proto bpf_perf_event_output_proto;
extern const struct bpf_func_proto bpf_skb_event_output_proto;
extern const struct bpf_func_proto bpf_xdp_event_output_proto;

/*
 * The MAC address of an interface and its hardware type (ARPHRD_*). -ENODEV when there is none. if
 * 0 or 1: the loopback's, all zero.
 */
int bpf_netdev_address(u32 ifindex, u8 addr[6], u16 *hatype);

#endif
