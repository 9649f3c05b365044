/*
 * packet.c - see packet.h
 */
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include "fs/enforce/queue/packet.h"

static u32 attr_u32(const struct nlattr *attr)
{
	return mnl_attr_get_payload_len(attr) >= 4 ? ntohl(mnl_attr_get_u32(attr)) : 0;
}

static void parse_vlan(const struct nlattr *nest, struct nfq_packet *p)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest)
	{
		if (mnl_attr_get_payload_len(attr) < 2)
			continue;
		if (mnl_attr_get_type(attr) == NFQA_VLAN_TCI)
			p->vlan_tci = ntohs(mnl_attr_get_u16(attr));
		if (mnl_attr_get_type(attr) == NFQA_VLAN_PROTO)
			p->vlan_proto = mnl_attr_get_u16(attr);
		p->has_vlan = true;
	}
}

bool nfq_packet_parse(const struct nlmsghdr *nlh, struct nfq_packet *p)
{
	const struct nfqnl_msg_packet_hdr *hdr = NULL;
	const struct nlattr *attr;

	memset(p, 0, sizeof(*p));
	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
	{
		switch (mnl_attr_get_type(attr)) {
		case NFQA_PACKET_HDR:
			if (mnl_attr_get_payload_len(attr) >= sizeof(*hdr))
				hdr = mnl_attr_get_payload(attr);
			break;
		case NFQA_PAYLOAD:
			p->data = mnl_attr_get_payload(attr);
			p->copied = mnl_attr_get_payload_len(attr);
			break;
		case NFQA_CAP_LEN:
			p->len = attr_u32(attr);
			break;
		case NFQA_MARK:
			p->mark = attr_u32(attr);
			break;
		case NFQA_IFINDEX_INDEV:
			p->indev = attr_u32(attr);
			break;
		case NFQA_IFINDEX_OUTDEV:
			p->outdev = attr_u32(attr);
			break;
		case NFQA_PRIORITY:
			p->priority = attr_u32(attr);
			break;
		case NFQA_VLAN:
			parse_vlan(attr, p);
			break;
		}
	}
	if (!hdr)
		return false;
	p->id = ntohl(hdr->packet_id);
	p->hook = hdr->hook;
	p->len = max(p->len, p->copied);
	return true;
}

/*
 * Ports of the first fragment of what has them: local in host order, remote in network order, as
 * __sk_buff says.
 */
static void fill_ports(struct bpf_skb *skb, bool out)
{
	const u8 *p = skb->network;
	u32 room = (u32)(skb->data_end - p), off, proto;
	u16 src, dst;

	if (room < 20)
		return;
	if (skb->md.family == AF_INET) {
		off = (p[0] & 15u) * 4;
		proto = p[9];
		if ((p[6] & 0x1f) || p[7])
			return;
	} else {
		off = 40;
		proto = room > 40 ? p[6] : 0;
	}
	if ((proto != IPPROTO_TCP && proto != IPPROTO_UDP && proto != IPPROTO_UDPLITE &&
	     proto != IPPROTO_SCTP) ||
	    room < off + 4)
		return;
	memcpy(&src, p + off, 2);
	memcpy(&dst, p + off + 2, 2);
	skb->md.local_port = ntohs(out ? src : dst);
	skb->md.remote_port = out ? dst : src;
}

static void swap_u32(u32 *a, u32 *b)
{
	u32 t = *a;

	*a = *b;
	*b = t;
}

void nfq_packet_skb(const struct nfq_packet *p, struct cgroup *cgrp, struct bpf_skb *skb)
{
	bool out = p->hook == NF_INET_LOCAL_OUT;

	bpf_skb_init(skb, p->data, p->copied, 0, p->copied);
	bpf_skb_parse_ip(skb);
	bpf_skb_fill_addresses(skb); /* local is the sender's */
	if (!out) {
		swap_u32(&skb->md.local_ip4, &skb->md.remote_ip4);
		for (u32 i = 0; i < 4; i++)
			swap_u32(&skb->md.local_ip6[i], &skb->md.remote_ip6[i]);
	}
	fill_ports(skb, out);
	skb->md.len = skb->md.wire_len = p->len;
	skb->md.mark = p->mark;
	skb->md.priority = p->priority;
	skb->md.ifindex = out ? p->outdev : p->indev;
	skb->md.ingress_ifindex = p->indev;
	if (p->has_vlan) {
		skb->md.vlan_present = 1;
		skb->md.vlan_tci = p->vlan_tci;
		skb->md.vlan_proto = p->vlan_proto;
	}
	skb->cgrp = cgrp;
}
