/*
 * xdp.h - the context of XDP programs
 *
 * As struct bpf_skb: an image of struct xdp_md, then the real pointers. Before the packet lie the
 * headroom and the metadata, after it the tailroom. A packet may go on in fragments, which programs
 * reach by helpers only.
 */
#ifndef UBPFFS_PROG_TYPE_XDP_H
#define UBPFFS_PROG_TYPE_XDP_H

#include "insn/insn.h"
#include "insn/reg.h"
#include "run/run.h"

struct bpf_xdp {
	struct xdp_md md;
	u8 *data, *data_end, *data_meta;
	u8 *head, *end; /* data_meta >= head + BPF_XDP_FRAME_SIZE, data_end <= end */
	u8 *frags; /* what follows data_end in other pages, in one piece here */
	u32 frag_len, frag_room; /* bytes there, and the most that there can be */
};

#define BPF_XDP_HEADROOM   256 /* XDP_PACKET_HEADROOM */
#define BPF_XDP_FRAME_SIZE 40 /* Linux keeps struct xdp_frame at the start of the headroom */

/*
 * bpf_xdp_init - describe a packet
 *
 * buf is `size` bytes, the packet `len` bytes at buf + headroom; what follows it is tailroom. No
 * fragments. The caller fills in md.ingress_ifindex and md.rx_queue_index.
 */
void bpf_xdp_init(struct bpf_xdp *xdp, void *buf, u32 size, u32 headroom, u32 len);

#endif
