/*
 * skb.h - the context of the types that see a packet as struct __sk_buff
 *
 * struct bpf_skb begins with a __sk_buff whose 32-bit fields are the truth: programs read and write
 * them in place. Only data, data_end and data_meta are elsewhere, as 64-bit pointers after the
 * image, and context accesses to them are redirected. The packet lies in one buffer with room
 * before and after it, always linear:
 *
 *	head ... mac ... network ... tail ... end
 *	              ^data (where the type starts)
 */
#ifndef UBPFFS_PROG_TYPE_SKB_SKB_H
#define UBPFFS_PROG_TYPE_SKB_SKB_H

#include "insn/insn.h"
#include "insn/reg.h"
#include "run/packet.h"
#include "run/run.h"

struct bpf_skb {
	struct __sk_buff md;
	u8 *data, *data_end; /* data_end - data == md.len */
	u8 *mac, *network; /* headers; mac NULL: none */
	u8 *data_meta;
	u8 *head, *end; /* the buffer */
	/* ARPHRD_* of the device; with an Ethernet header that of Ethernet, unless set before */
	u16 hatype;
	bool encapsulated; /* a program put an outer header around it */
	struct bpf_skb_tunnel { /* what a program says of a tunnel to send it through */
		u8 family; /* 0: nothing */
		u16 flags; /* in network byte order, as programs see them */
		struct bpf_tunnel_key key;
	} tunnel;
	struct cgroup *cgrp; /* of the socket, for its id; NULL: none */
};

_Static_assert(offsetof(struct bpf_skb, data) == offsetof(struct bpf_skb_head, data) &&
		       offsetof(struct bpf_skb, data_end) ==
			       offsetof(struct bpf_skb_head, data_end) &&
		       offsetof(struct bpf_skb, mac) == offsetof(struct bpf_skb_head, mac) &&
		       offsetof(struct bpf_skb, network) == offsetof(struct bpf_skb_head, network),
	       "LD_ABS reads packets in place");

/* Room to leave before a packet, so that programs can push headers. */
#define BPF_SKB_HEADROOM 256
/*
 * Helpers do not let a packet grow past this: in Linux, four pages less what they carry beside
 * data.
 */
#define BPF_SKB_MAX_LEN	 16064u

/*
 * bpf_skb_init - describe a packet
 *
 * buf is `size` bytes, the packet `len` bytes at buf + headroom; headroom + len <= size. Programs
 * write into the buffer. Everything else of the context is zero: the caller fills in md.mark,
 * md.ifindex and so on. data, mac and network are the packet's start, md.len and md.wire_len its
 * length.
 */
void bpf_skb_init(struct bpf_skb *skb, void *buf, u32 size, u32 headroom, u32 len);

/*
 * Take the Ethernet header at data: sets md.protocol and md.pkt_type (dev_addr: the receiving
 * interface's address, NULL for zeros), moves data to the network header. The packet has at least
 * ETH_HLEN bytes.
 */
void bpf_skb_pull_ethernet(struct bpf_skb *skb, const u8 *dev_addr);
/* The same, and give the header back to data: what a tc program sees. */
void bpf_skb_parse_ethernet(struct bpf_skb *skb, const u8 *dev_addr);
/* data is an IP packet without a link header: sets md.protocol from its version. */
void bpf_skb_parse_ip(struct bpf_skb *skb);
/*
 * md.family, local_ip4/6, remote_ip4/6 from the network header, as an incoming packet's receiver.
 */
void bpf_skb_fill_addresses(struct bpf_skb *skb);

/* Move data: push gives bytes before it (they exist), pull takes bytes away. md.len follows. */
void bpf_skb_push(struct bpf_skb *skb, u32 len);
void bpf_skb_pull(struct bpf_skb *skb, u32 len);

/* ---- shared by the types */

/* What Linux's bpf_skb_is_valid_access() allows to all types; the types refuse their own first. */
bool bpf_skb_is_valid_access(int off, int size, enum bpf_access_type type,
			     struct bpf_insn_access_aux *aux);
u32 bpf_skb_convert_ctx_access(const struct bpf_insn *insn, u32 ctx_field_size,
			       struct bpf_insn *buf, u32 max);

/* Is [off, off + size) within field F? */
#define skb_field_is(off, F) \
	((off) >= (int)offsetof(struct __sk_buff, F) && (off) < (int)__skb_field_end(F))
#define __skb_field_end(F) (offsetof(struct __sk_buff, F) + sizeof(((struct __sk_buff *)0)->F))

#endif
