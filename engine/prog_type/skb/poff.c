/*
 * poff.c - where the payload of a packet begins: SKF_AD_PAY_OFFSET
 *
 * Walks from the network header through what carries IP (VLAN tags, PPPoE, GRE, IP in IP, IPv6's
 * extension headers) to the last transport header, as the flow dissector of Linux does, and adds
 * that header's length. Linux knows a few protocols more (FCoE, TIPC, batman-adv, HSR, PTP); for
 * these we give 0, as both give for what they do not know.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_tunnel.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <netinet/in.h>
#include "prog_type/skb/classic_helpers.h"
#include "prog_type/skb/skb.h"

#define MAX_HEADERS 15 /* so many encapsulations and extension headers are looked through */

#define IP_OFFSET  0x1fff
#define IP_MORE	   0x2000
#define IP6_OFFSET 0xfff8
#define PROTO_PPTP 0x880b /* GRE version 1 */

enum step {
	BAD, /* cut short, or unknown */
	DONE, /* `at` is as far as it goes */
	NETWORK, /* another network header of type `proto` at `at` */
	TRANSPORT, /* header number `ip_proto` at `at` */
};

struct walk {
	const struct bpf_skb *skb;
	u32 at; /* offset from data */
	u16 proto; /* ETH_P_*, host order */
	u8 ip_proto;
	bool later_fragment; /* not the first: there is no transport header in it */
	bool tag_seen;
};

static bool peek(const struct walk *w, u32 off, void *to, u32 size)
{
	u32 len = (u32)(w->skb->data_end - w->skb->data);

	if (off > len || len - off < size)
		return false;
	memcpy(to, w->skb->data + off, size);
	return true;
}

/* ---- network headers */

static enum step walk_ip(struct walk *w)
{
	struct iphdr ip;
	u16 frag;

	if (!peek(w, w->at, &ip, sizeof(ip)) || ip.ihl < 5)
		return BAD;
	w->at += ip.ihl * 4u;
	w->ip_proto = ip.protocol;
	frag = ntohs(ip.frag_off);
	if (!(frag & (IP_OFFSET | IP_MORE)))
		return TRANSPORT;
	w->later_fragment = frag & IP_OFFSET;
	return DONE;
}

static enum step walk_ipv6(struct walk *w)
{
	struct ipv6hdr ip6;

	if (!peek(w, w->at, &ip6, sizeof(ip6)))
		return BAD;
	w->at += sizeof(ip6);
	w->ip_proto = ip6.nexthdr;
	return TRANSPORT;
}

/* The tag that the device took off is beside the packet; those in it follow. */
static enum step walk_vlan(struct walk *w)
{
	__be16 tag[2];

	if (!w->tag_seen && w->skb->md.vlan_present) {
		w->tag_seen = true;
		w->proto = ntohs((u16)w->skb->md.protocol);
		return NETWORK;
	}
	w->tag_seen = true;
	if (!peek(w, w->at, tag, sizeof(tag)))
		return BAD;
	w->at += sizeof(tag);
	w->proto = ntohs(tag[1]);
	return NETWORK;
}

/* Network protocols of PPP; 0: another one. */
static u16 proto_of_ppp(u16 ppp)
{
	switch (ppp) {
	case 0x21:
		return ETH_P_IP;
	case 0x57:
		return ETH_P_IPV6;
	case 0x281:
		return ETH_P_MPLS_UC;
	case 0x283:
		return ETH_P_MPLS_MC;
	default:
		return 0;
	}
}

/* A session frame: version and type 1, code 0. */
static enum step walk_pppoe(struct walk *w)
{
	u8 header[8];
	u16 ppp;

	if (!peek(w, w->at, header, sizeof(header)) || header[0] != 0x11 || header[1])
		return BAD;
	ppp = (u16)(header[6] << 8 | header[7]);
	w->at += sizeof(header);
	if (proto_of_ppp(ppp)) {
		w->proto = proto_of_ppp(ppp);
		return NETWORK;
	}
	return (ppp & 0x101) == 1 ? DONE : BAD; /* is it a protocol at all */
}

static enum step walk_network(struct walk *w)
{
	switch (w->proto) {
	case ETH_P_IP:
		return walk_ip(w);
	case ETH_P_IPV6:
		return walk_ipv6(w);
	case ETH_P_8021Q:
	case ETH_P_8021AD:
		return walk_vlan(w);
	case ETH_P_PPP_SES:
		return walk_pppoe(w);
	case ETH_P_MPLS_UC:
	case ETH_P_MPLS_MC:
		w->at += 4;
		return DONE;
	case ETH_P_ARP:
	case ETH_P_RARP:
		return DONE;
	default:
		return BAD;
	}
}

/* ---- what follows a network header */

/* Version 1 is PPTP's: a key always, perhaps an acknowledgement, and PPP inside. */
static enum step walk_pptp(struct walk *w, u32 off, u16 flags)
{
	u8 ppp[4];
	u16 proto;

	if (flags & ntohs(GRE_ACK))
		off += 4;
	if (!peek(w, off, ppp, sizeof(ppp)))
		return BAD;
	proto = proto_of_ppp((u16)(ppp[2] << 8 | ppp[3]));
	if (proto == ETH_P_IP || proto == ETH_P_IPV6)
		w->proto = proto;
	w->at = off + sizeof(ppp);
	return NETWORK;
}

static enum step walk_gre(struct walk *w)
{
	struct ethhdr eth;
	u32 off = w->at + 4, key;
	__be16 base[2];
	u16 flags, version;

	if (!peek(w, w->at, base, sizeof(base)))
		return BAD;
	flags = ntohs(base[0]);
	version = flags & ntohs(GRE_VERSION);
	if (flags & ntohs(GRE_ROUTING) || version > 1)
		return DONE;
	w->proto = ntohs(base[1]);
	if (version && (w->proto != PROTO_PPTP || !(flags & ntohs(GRE_KEY))))
		return DONE;
	if (flags & ntohs(GRE_CSUM))
		off += 4;
	if (flags & ntohs(GRE_KEY)) {
		if (!peek(w, off, &key, sizeof(key)))
			return BAD;
		off += 4;
	}
	if (flags & ntohs(GRE_SEQ))
		off += 4;
	if (version)
		return walk_pptp(w, off, flags);
	if (w->proto == ETH_P_TEB) {
		if (!peek(w, off, &eth, sizeof(eth)))
			return BAD;
		w->proto = ntohs(eth.h_proto);
		off += sizeof(eth);
	}
	w->at = off;
	return NETWORK;
}

/* Hop-by-hop options, routing, destination options: they say what is next and how long they are. */
static enum step walk_options(struct walk *w)
{
	u8 header[2];

	if (w->proto != ETH_P_IPV6)
		return DONE;
	if (!peek(w, w->at, header, sizeof(header)))
		return BAD;
	w->ip_proto = header[0];
	w->at += (header[1] + 1u) * 8;
	return TRANSPORT;
}

static enum step walk_fragment(struct walk *w)
{
	u8 header[8];

	if (w->proto != ETH_P_IPV6)
		return DONE;
	if (!peek(w, w->at, header, sizeof(header)))
		return BAD;
	w->at += sizeof(header);
	w->ip_proto = header[0];
	w->later_fragment = (header[2] << 8 | header[3]) & IP6_OFFSET;
	return DONE;
}

static enum step walk_transport(struct walk *w)
{
	switch (w->ip_proto) {
	case IPPROTO_GRE:
		return walk_gre(w);
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
		return walk_options(w);
	case IPPROTO_FRAGMENT:
		return walk_fragment(w);
	case IPPROTO_IPIP:
		w->proto = ETH_P_IP;
		return NETWORK;
	case IPPROTO_IPV6:
		w->proto = ETH_P_IPV6;
		return NETWORK;
	case IPPROTO_MPLS:
		w->proto = ETH_P_MPLS_UC;
		return NETWORK;
	default:
		return DONE;
	}
}

/* ---- the transport header */

static u32 transport_length(const struct walk *w, u32 at)
{
	u8 doff;

	switch (w->ip_proto) {
	case IPPROTO_TCP:
		if (!peek(w, at + 12, &doff, 1))
			return 0;
		return max(20u, (u32)(doff & 0xf0) >> 2);
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
	case IPPROTO_IGMP:
		return 8;
	case IPPROTO_DCCP:
	case IPPROTO_SCTP:
		return 12;
	default:
		return 0;
	}
}

u32 bpf_skb_get_poff(const struct bpf_skb *skb)
{
	u32 len = (u32)(skb->data_end - skb->data), at;
	struct walk w = {
		.skb = skb,
		.at = (u32)(skb->network - skb->data),
		.proto = ntohs((u16)(skb->md.vlan_present ? skb->md.vlan_proto : skb->md.protocol)),
	};
	enum step step = NETWORK;

	for (int headers = 0; step != DONE && headers <= MAX_HEADERS; headers++) {
		if (step == NETWORK)
			step = walk_network(&w);
		if (step == TRANSPORT)
			step = walk_transport(&w);
		if (step == BAD)
			return 0;
	}
	/* Linux keeps it in 16 bits, and inside of the packet. */
	at = min(w.at & 0xffff, len & 0xffff);
	return w.later_fragment ? at : at + transport_length(&w, at);
}
