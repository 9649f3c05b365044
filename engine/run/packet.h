/*
 * packet.h - how a program's packet is read by LD_ABS and LD_IND
 */
#ifndef UBPFFS_RUN_PACKET_H
#define UBPFFS_RUN_PACKET_H

#include "util/compat.h"

/*
 * LD_ABS and LD_IND: `size` (1, 2, 4) bytes of the packet at `off`, in host order, to *out. ctx is
 * the program's context (R6). Negative offsets are those of classic filters: SKF_NET_OFF,
 * SKF_LL_OFF. Nonzero: out of the packet; the program ends and returns 0.
 */
int bpf_skb_load(const void *ctx, s32 off, u32 size, u64 *out);

/* How the context of those programs begins (skb.h holds to it): a JIT loads in place. */
struct bpf_skb_head {
	struct __sk_buff md;
	u8 *data, *data_end; /* what lies at offset 0, and the end: the packet is linear */
	u8 *mac, *network; /* its headers; mac NULL: none */
};

#endif
