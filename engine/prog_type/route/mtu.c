/*
 * mtu.c - bpf_check_mtu: does a packet fit an interface?
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include "prog_type/route/mtu.h"
#include "prog_type/skb/skb.h"
#include "util/netdev.h"

s64 bpf_mtu_check(u32 ifindex, u32 *mtu_len, s32 len_diff, u32 len)
{
	u32 mtu, header;
	s64 asked;

	if (bpf_netdev_mtu(ifindex, &mtu, &header))
		return -ENODEV;
	asked = *mtu_len ? (s64)*mtu_len + header : len;
	*mtu_len = mtu;
	return asked + len_diff <= (s64)mtu + header ? BPF_MTU_CHK_RET_SUCCESS
						     : BPF_MTU_CHK_RET_FRAG_NEEDED;
}

/* Of one of the packets that it will be cut into: headers and payload. 0: not known. */
static u32 segment_len(const struct bpf_skb *skb)
{
	u32 off = (u32)(skb->network - skb->data), ip, proto;
	u32 len = skb->md.len;

	if (skb->network < skb->data || off > len)
		return 0;
	if (skb->md.protocol == htons(ETH_P_IP) && len - off >= sizeof(struct iphdr)) {
		ip = (skb->network[0] & 15u) * 4;
		proto = skb->network[offsetof(struct iphdr, protocol)];
	} else if (skb->md.protocol == htons(ETH_P_IPV6) && len - off >= sizeof(struct ipv6hdr)) {
		ip = sizeof(struct ipv6hdr);
		proto = skb->network[offsetof(struct ipv6hdr, nexthdr)];
	} else {
		return 0;
	}
	if (proto == IPPROTO_UDP)
		return ip + sizeof(struct udphdr) + skb->md.gso_size;
	if (proto != IPPROTO_TCP || len - off < ip + sizeof(struct tcphdr))
		return 0;
	return ip + (skb->network[ip + 12] >> 4) * 4 + skb->md.gso_size;
}

static u64 skb_check_mtu(u64 r1, u64 ifindex, u64 r3, u64 len_diff, u64 flags)
{
	const struct bpf_skb *skb = PTR(r1);
	u32 *mtu_len = PTR(r3);
	s64 ret;

	if (flags & ~(u64)BPF_MTU_CHK_SEGS)
		return (u64)-EINVAL;
	if (flags && ((s32)len_diff || *mtu_len))
		return (u64)-EINVAL;
	ret = bpf_mtu_check((u32)ifindex ? (u32)ifindex : skb->md.ifindex, mtu_len, (s32)len_diff,
			    skb->md.len);
	if (ret != BPF_MTU_CHK_RET_FRAG_NEEDED || !skb->md.gso_size)
		return (u64)ret;
	return flags && segment_len(skb) > *mtu_len ? BPF_MTU_CHK_RET_SEGS_TOOBIG
						    : BPF_MTU_CHK_RET_SUCCESS;
}

MTU_PROTO(bpf_skb_check_mtu_proto, skb_check_mtu);
