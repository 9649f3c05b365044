/*
 * mtu.h - does a packet fit an interface? That of frames is in xdp.c
 */
#ifndef UBPFFS_PROG_TYPE_ROUTE_MTU_H
#define UBPFFS_PROG_TYPE_ROUTE_MTU_H

#include "insn/func.h"

#define MTU_PROTO(NAME, FUNC)                                                          \
	const struct bpf_func_proto NAME = {                                           \
		.name = "bpf_check_mtu",                                               \
		.id = BPF_FUNC_check_mtu,                                              \
		.func = FUNC,                                                          \
		.gpl_only = true,                                                      \
		.ret_type = RET_INTEGER,                                               \
		.arg_type = {ARG_PTR_TO_CTX, ARG_ANYTHING, ARG_PTR_TO_INT | MEM_WRITE, \
			     ARG_ANYTHING, ARG_ANYTHING},                              \
	}

/*
 * BPF_MTU_CHK_RET_SUCCESS or FRAG_NEEDED, link header apart: `len` bytes with it, or *mtu_len
 * without it, if that is not 0. *mtu_len becomes the MTU. -ENODEV.
 */
s64 bpf_mtu_check(u32 ifindex, u32 *mtu_len, s32 len_diff, u32 len);
extern const struct bpf_func_proto bpf_skb_check_mtu_proto;

#endif
