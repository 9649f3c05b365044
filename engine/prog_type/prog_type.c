/*
 * prog_type.c - the registry of program types: the only file that names them all
 */
#include "core/prog.h"

/* The types that there are: each is a file of this directory. */
#define TYPES(X)                 \
	X(bpf_socket_filter_ops) \
	X(bpf_sched_cls_ops)     \
	X(bpf_xdp_ops)           \
	X(bpf_cgroup_skb_ops)    \
	X(bpf_perf_event_ops)    \
	X(bpf_raw_ops)

#define DECLARE(ops) extern const struct bpf_prog_type_ops ops;
#define ROW(ops)     &ops,

TYPES(DECLARE)
const struct bpf_prog_type_ops *const bpf_prog_types[] = {TYPES(ROW)};
const u32 bpf_prog_types_cnt = ARRAY_SIZE(bpf_prog_types);
