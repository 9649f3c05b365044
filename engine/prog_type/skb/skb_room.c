/*
 * skb_room.c - helpers that make or take room between headers: adjust_room, change_proto, VLAN
 * tags, and the ECN mark
 *
 * The packet is one piece, so making room is moving what lies before it towards the head, and
 * taking room is moving it back. A VLAN tag that was pushed is kept beside the packet (md.vlan_*),
 * as Linux keeps it for devices that insert it; a second one goes into the frame.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include "prog_type/skb/csum.h"
#include "prog_type/skb/packet_proto.h"
#include "prog_type/skb/skb_helpers.h"

#define VLAN_LEN 4

/* Insert `len` zero bytes after the first `off` of the packet; headers before that move along. */
static int room_push(struct bpf_skb *skb, u32 off, u32 len)
{
	if (len > (u32)(skb->data - skb->head))
		return -ENOMEM;
	bpf_skb_push(skb, len);
	memmove(skb->data, skb->data + len, off);
	memset(skb->data + off, 0, len);
	return 0;
}

static int room_pop(struct bpf_skb *skb, u32 off, u32 len)
{
	if (off + len > skb->md.len)
		return -ENOMEM;
	memmove(skb->data + len, skb->data, off);
	bpf_skb_pull(skb, len);
	return 0;
}

/* ---- adjust_room */

#define ADJ_ENCAP_L3 (BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L3_IPV6)
#ifndef BPF_F_ADJ_ROOM_DECAP_L3_IPV4
#define BPF_F_ADJ_ROOM_DECAP_L3_IPV4 (1ULL << 7)
#define BPF_F_ADJ_ROOM_DECAP_L3_IPV6 (1ULL << 8)
#endif
#define ADJ_DECAP_L3 (BPF_F_ADJ_ROOM_DECAP_L3_IPV4 | BPF_F_ADJ_ROOM_DECAP_L3_IPV6)
#define ADJ_L2_SHIFT BPF_ADJ_ROOM_ENCAP_L2_SHIFT
#define ADJ_L2_MASK  ((u64)BPF_ADJ_ROOM_ENCAP_L2_MASK << ADJ_L2_SHIFT)
#define ADJ_SHRINK   (BPF_F_ADJ_ROOM_FIXED_GSO | ADJ_DECAP_L3 | BPF_F_ADJ_ROOM_NO_CSUM_RESET)
#define ADJ_ALL                                                                                  \
	(ADJ_SHRINK | ADJ_ENCAP_L3 | BPF_F_ADJ_ROOM_ENCAP_L4_GRE | BPF_F_ADJ_ROOM_ENCAP_L4_UDP | \
	 BPF_F_ADJ_ROOM_ENCAP_L2_ETH | ADJ_L2_MASK)

static u32 net_base_len(const struct bpf_skb *skb)
{
	if (skb->md.protocol == htons(ETH_P_IP))
		return 20;
	return skb->md.protocol == htons(ETH_P_IPV6) ? 40 : UINT32_MAX;
}

static int grow_check(const struct bpf_skb *skb, u32 len, u64 flags)
{
	u64 inner_mac = (flags & ADJ_L2_MASK) >> ADJ_L2_SHIFT;

	if (skb->md.gso_size)
		return -KERNEL_ENOTSUPP;
	if (!(flags & ADJ_ENCAP_L3))
		return 0;
	if ((flags & ADJ_ENCAP_L3) == ADJ_ENCAP_L3)
		return -EINVAL;
	if ((flags & BPF_F_ADJ_ROOM_ENCAP_L4_GRE) && (flags & BPF_F_ADJ_ROOM_ENCAP_L4_UDP))
		return -EINVAL;
	if ((flags & BPF_F_ADJ_ROOM_ENCAP_L2_ETH) && inner_mac < ETH_HLEN)
		return -EINVAL;
	if (skb->encapsulated)
		return -EALREADY;
	return inner_mac > len ? -EINVAL : 0;
}

static int room_grow(struct bpf_skb *skb, u32 off, u32 len, u64 flags)
{
	int err = grow_check(skb, len, flags);

	if (!err)
		err = room_push(skb, off, len);
	if (err)
		return err;
	skb->mac = skb->mac ? skb->mac - len : NULL;
	skb->network -= len;
	if (flags & ADJ_ENCAP_L3) {
		skb->encapsulated = true;
		skb->md.protocol = flags & BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 ? htons(ETH_P_IP)
									: htons(ETH_P_IPV6);
	}
	return 0;
}

static int room_shrink(struct bpf_skb *skb, u32 off, u32 len, u64 flags)
{
	int err;

	if (flags & ~ADJ_SHRINK)
		return -EINVAL;
	if (skb->md.gso_size)
		return -KERNEL_ENOTSUPP;
	err = room_pop(skb, off, len);
	if (err)
		return err;
	skb->mac = skb->mac ? skb->mac + len : NULL;
	skb->network += len;
	if (flags & ADJ_DECAP_L3)
		skb->md.protocol = flags & BPF_F_ADJ_ROOM_DECAP_L3_IPV4 ? htons(ETH_P_IP)
									: htons(ETH_P_IPV6);
	return 0;
}

/* 0 and where room is made, or why not. */
static int room_place(const struct bpf_skb *skb, u32 mode, u32 *off)
{
	*off = skb->mac ? (u32)(skb->network - skb->mac) : 0;
	if (mode == BPF_ADJ_ROOM_NET)
		*off += net_base_len(skb);
	else if (mode != BPF_ADJ_ROOM_MAC)
		return -KERNEL_ENOTSUPP;
	return 0;
}

BPF_HELPER(skb_adjust_room)
{
	struct bpf_skb *skb = PTR(r1);
	s32 diff = (s32)r2;
	bool shrink = diff < 0;
	u32 len = shrink ? 0 - (u32)diff : (u32)diff, off, cur, len_min = net_base_len(skb);
	int err;

	if (r4 & ~ADJ_ALL)
		return (u64)-EINVAL;
	if (len > 0xfff)
		return (u64)-EFAULT;
	if (len_min == UINT32_MAX)
		return (u64)-KERNEL_ENOTSUPP;
	err = room_place(skb, (u32)r3, &off);
	if (err)
		return (u64)err;
	if (r4 & ADJ_DECAP_L3) {
		if (!shrink || (r4 & ADJ_DECAP_L3) == ADJ_DECAP_L3)
			return (u64)-EINVAL;
		len_min = r4 & BPF_F_ADJ_ROOM_DECAP_L3_IPV4 ? 20 : 40;
	}
	cur = (u32)(skb->data_end - skb->network);
	if (shrink ? len >= cur || cur - len < len_min : skb->md.len + len > BPF_SKB_MAX_LEN)
		return (u64)-KERNEL_ENOTSUPP;
	return (u64)(shrink ? room_shrink(skb, off, len, r4) : room_grow(skb, off, len, r4));
}
PACKET_PROTO(skb_adjust_room, true, ARG_PTR_TO_CTX, ARG_ANYTHING, ARG_ANYTHING, ARG_ANYTHING);

/* ---- change_proto: room for the other header of IP; a program fills it */

#define PROTO_DIFF (sizeof(struct ipv6hdr) - sizeof(struct iphdr))

static int proto_4_to_6(struct bpf_skb *skb, u32 off)
{
	int err = room_push(skb, off, PROTO_DIFF);

	if (err)
		return err;
	skb->mac = skb->mac ? skb->mac - PROTO_DIFF : NULL;
	skb->network -= PROTO_DIFF;
	skb->md.protocol = htons(ETH_P_IPV6);
	return 0;
}

static int proto_6_to_4(struct bpf_skb *skb, u32 off)
{
	int err = room_pop(skb, off, PROTO_DIFF);

	if (err)
		return err;
	skb->mac = skb->mac ? skb->mac + PROTO_DIFF : NULL;
	skb->network += PROTO_DIFF;
	skb->md.protocol = htons(ETH_P_IP);
	return 0;
}

BPF_HELPER(skb_change_proto)
{
	struct bpf_skb *skb = PTR(r1);
	u32 from = skb->md.protocol, to = (u16)r2;
	u32 off = skb->mac ? (u32)(skb->network - skb->mac) : 0;
	int err = -KERNEL_ENOTSUPP;

	if (r3)
		return (u64)-EINVAL;
	if (from == htons(ETH_P_IP) && to == htons(ETH_P_IPV6))
		err = proto_4_to_6(skb, off);
	else if (from == htons(ETH_P_IPV6) && to == htons(ETH_P_IP))
		err = proto_6_to_4(skb, off);
	if (!err)
		skb->md.hash = 0;
	return (u64)err;
}
PACKET_PROTO(skb_change_proto, true, ARG_PTR_TO_CTX, ARG_ANYTHING, ARG_ANYTHING);

/* ---- VLAN */

static bool is_vlan(u32 proto)
{
	return proto == htons(ETH_P_8021Q) || proto == htons(ETH_P_8021AD);
}

/* Put the tag that is beside the packet into the frame, after the addresses. */
static int vlan_insert(struct bpf_skb *skb)
{
	u16 proto = (u16)skb->md.vlan_proto, tci = htons((u16)skb->md.vlan_tci);
	int err = room_push(skb, 2 * ETH_ALEN, VLAN_LEN);

	if (err)
		return err;
	memcpy(skb->data + 2 * ETH_ALEN, &proto, 2);
	memcpy(skb->data + 2 * ETH_ALEN + 2, &tci, 2);
	skb->mac = skb->data;
	skb->md.protocol = skb->md.vlan_proto;
	return 0;
}

static void vlan_put(struct bpf_skb *skb, u32 proto, u16 tci)
{
	skb->md.vlan_present = 1;
	skb->md.vlan_proto = proto;
	skb->md.vlan_tci = tci;
}

/* Take a tag out of the frame. */
static int vlan_extract(struct bpf_skb *skb, u16 *tci)
{
	u16 raw, proto;

	if (skb->md.len < ETH_HLEN + VLAN_LEN)
		return -ENOMEM;
	memcpy(&raw, skb->data + ETH_HLEN, 2);
	memcpy(&proto, skb->data + ETH_HLEN + 2, 2);
	*tci = ntohs(raw);
	room_pop(skb, 2 * ETH_ALEN, VLAN_LEN);
	skb->mac = skb->data;
	if (skb->network < skb->data + ETH_HLEN)
		skb->network = skb->data + ETH_HLEN;
	skb->md.protocol = proto;
	return 0;
}

BPF_HELPER(skb_vlan_push)
{
	struct bpf_skb *skb = PTR(r1);
	u32 proto = is_vlan((u16)r2) ? (u16)r2 : htons(ETH_P_8021Q);
	int err = skb->md.vlan_present ? vlan_insert(skb) : 0;

	if (!err)
		vlan_put(skb, proto, (u16)r3);
	return (u64)err;
}
PACKET_PROTO(skb_vlan_push, true, ARG_PTR_TO_CTX, ARG_ANYTHING, ARG_ANYTHING);

BPF_HELPER(skb_vlan_pop)
{
	struct bpf_skb *skb = PTR(r1);
	u32 proto;
	u16 tci;
	int err = 0;

	if (skb->md.vlan_present)
		skb->md.vlan_present = skb->md.vlan_proto = skb->md.vlan_tci = 0;
	else if (!is_vlan(skb->md.protocol))
		return 0;
	else
		err = vlan_extract(skb, &tci);
	if (err || !is_vlan(skb->md.protocol))
		return (u64)err;
	/* The next tag of the frame takes its place beside the packet. */
	proto = skb->md.protocol;
	err = vlan_extract(skb, &tci);
	if (!err)
		vlan_put(skb, proto, tci);
	return (u64)err;
}
PACKET_PROTO(skb_vlan_pop, true, ARG_PTR_TO_CTX);

/* ---- ECN (RFC 3168): set "congestion experienced" where the sender understands it */

BPF_HELPER(skb_ecn_set_ce)
{
	struct bpf_skb *skb = PTR(r1);
	u8 *ip = skb->network;
	u32 len = (u32)(skb->data_end - ip), ecn;
	bool v4 = skb->md.protocol == htons(ETH_P_IP);
	u16 sum;

	if (net_base_len(skb) == UINT32_MAX || len < net_base_len(skb))
		return 0;
	ecn = v4 ? ip[1] & 3 : ip[1] >> 4 & 3;
	if (ecn == 0 || ecn == 3)
		return ecn == 3;
	if (!v4) {
		ip[1] |= 0x30;
		return 1;
	}
	memcpy(&sum, ip + 10, 2);
	sum = csum_fold(csum_add(~(u32)sum & 0xffff, (u32)htons((u16)(3 - ecn))));
	memcpy(ip + 10, &sum, 2);
	ip[1] |= 3;
	return 1;
}
PACKET_PROTO(skb_ecn_set_ce, false, ARG_PTR_TO_CTX);
