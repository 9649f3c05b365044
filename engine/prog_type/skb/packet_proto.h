/*
 * packet_proto.h - how helpers on packets are written down: for the files that define some
 */
#ifndef UBPFFS_PROG_TYPE_SKB_PACKET_PROTO_H
#define UBPFFS_PROG_TYPE_SKB_PACKET_PROTO_H

#include "prog_type/skb/skb.h"

#define KERNEL_ENOTSUPP 524 /* the kernel's own ENOTSUPP, which programs see as it is */

#define PACKET_PROTO(fn, changes, ...)                   \
	const struct bpf_func_proto bpf_##fn##_proto = { \
		.name = "bpf_" #fn,                      \
		.id = BPF_FUNC_##fn,                     \
		.func = bpf_##fn,                        \
		.changes_pkt_data = changes,             \
		.ret_type = RET_INTEGER,                 \
		.arg_type = {__VA_ARGS__},               \
	}

#endif
