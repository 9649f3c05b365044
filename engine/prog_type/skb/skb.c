/*
 * skb.c - packets as struct __sk_buff: setting one up, its fields, and the legacy packet loads
 */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <sys/socket.h>
#include "prog_type/skb/skb.h"
#include "run/packet.h"

/* ---- setting up */

void bpf_skb_init(struct bpf_skb *skb, void *buf, u32 size, u32 headroom, u32 len)
{
	memset(skb, 0, sizeof(*skb));
	skb->head = buf;
	skb->end = skb->head + size;
	skb->data = skb->data_meta = skb->mac = skb->network = skb->head + headroom;
	skb->data_end = skb->data + len;
	skb->md.len = skb->md.wire_len = len;
}

void bpf_skb_push(struct bpf_skb *skb, u32 len)
{
	skb->data -= len;
	skb->data_meta = skb->data;
	skb->md.len += len;
}

void bpf_skb_pull(struct bpf_skb *skb, u32 len)
{
	skb->data += len;
	skb->data_meta = skb->data;
	skb->md.len -= len;
}

/*
 * The type field of Ethernet II, or what Linux calls the frame when it holds a length (IEEE 802.3).
 */
static u16 ethernet_protocol(const struct bpf_skb *skb, const struct ethhdr *eth)
{
	if (ntohs(eth->h_proto) >= ETH_P_802_3_MIN)
		return eth->h_proto;
	if (skb->md.len >= 2 && skb->data[0] == 0xff && skb->data[1] == 0xff)
		return htons(ETH_P_802_3);
	return htons(ETH_P_802_2);
}

static u32 ethernet_pkt_type(const u8 dest[6], const u8 *dev_addr)
{
	static const u8 zeros[6];

	if (!memcmp(dest, dev_addr ? dev_addr : zeros, 6))
		return PACKET_HOST;
	if (!(dest[0] & 1))
		return PACKET_OTHERHOST;
	for (int i = 0; i < 6; i++)
		if (dest[i] != 0xff)
			return PACKET_MULTICAST;
	return PACKET_BROADCAST;
}

void bpf_skb_pull_ethernet(struct bpf_skb *skb, const u8 *dev_addr)
{
	struct ethhdr eth;

	memcpy(&eth, skb->data, sizeof(eth));
	skb->mac = skb->data;
	if (!skb->hatype)
		skb->hatype = ARPHRD_ETHER;
	bpf_skb_pull(skb, ETH_HLEN);
	skb->network = skb->data;
	skb->md.protocol = ethernet_protocol(skb, &eth);
	skb->md.pkt_type = ethernet_pkt_type(eth.h_dest, dev_addr);
}

void bpf_skb_parse_ethernet(struct bpf_skb *skb, const u8 *dev_addr)
{
	bpf_skb_pull_ethernet(skb, dev_addr);
	bpf_skb_push(skb, ETH_HLEN);
}

void bpf_skb_parse_ip(struct bpf_skb *skb)
{
	u8 version = skb->md.len ? skb->data[0] >> 4 : 0;

	skb->mac = NULL;
	skb->network = skb->data;
	skb->md.protocol = htons(version == 6 ? ETH_P_IPV6 : ETH_P_IP);
}

void bpf_skb_fill_addresses(struct bpf_skb *skb)
{
	size_t len = (size_t)(skb->data_end - skb->network);
	struct ipv6hdr ip6;
	struct iphdr ip;

	if (skb->md.protocol == htons(ETH_P_IP)) {
		skb->md.family = AF_INET;
		if (len < sizeof(ip))
			return;
		memcpy(&ip, skb->network, sizeof(ip));
		skb->md.local_ip4 = ip.saddr;
		skb->md.remote_ip4 = ip.daddr;
	} else if (skb->md.protocol == htons(ETH_P_IPV6)) {
		skb->md.family = AF_INET6;
		if (len < sizeof(ip6))
			return;
		memcpy(&ip6, skb->network, sizeof(ip6));
		memcpy(skb->md.local_ip6, &ip6.saddr, 16);
		memcpy(skb->md.remote_ip6, &ip6.daddr, 16);
	}
}

/* ---- fields */

/*
 * A field that may be read in parts: the access lies within its bytes (the verifier's caller
 * checked that the offset is a multiple of the size). Records the field's size, for the narrow
 * load.
 */
static bool narrow_ok(int off, int size, u32 field_size, struct bpf_insn_access_aux *aux)
{
	if (size > (int)field_size)
		return false;
	aux->ctx_field_size = field_size;
	return true;
}

bool bpf_skb_is_valid_access(int off, int size, enum bpf_access_type type,
			     struct bpf_insn_access_aux *aux)
{
	if (off < 0 || off >= (int)sizeof(struct __sk_buff) || off % size)
		return false;

	if (skb_field_is(off, cb))
		return off + size <= (int)__skb_field_end(cb);
	if (skb_field_is(off, data) || skb_field_is(off, data_end) || skb_field_is(off, data_meta))
		return size == 4 && type == BPF_READ;
	if (skb_field_is(off, remote_ip4) || skb_field_is(off, local_ip4) ||
	    skb_field_is(off, remote_ip6) || skb_field_is(off, local_ip6))
		return size == 4 && type == BPF_READ;
	if (skb_field_is(off, tstamp))
		return size == 8;
	if (skb_field_is(off, hwtstamp))
		return size == 8 && type == BPF_READ;
	if (skb_field_is(off, tstamp_type))
		return size == 1 && type == BPF_READ;
	if (off == offsetof(struct __sk_buff, sk)) {
		if (type == BPF_WRITE || size != 8)
			return false;
		aux->unsupported = true;
		return true;
	}
	/* Between the fields, and the flow dissector's. */
	if (skb_field_is(off, flow_keys) || skb_field_is(off, sk) ||
	    (off > (int)offsetof(struct __sk_buff, tstamp_type) &&
	     off < (int)offsetof(struct __sk_buff, hwtstamp)))
		return false;

	/* What is left is 32 bits wide. tc_classid and napi_id have their own widths on Linux. */
	if (type == BPF_WRITE)
		return size == 4;
	return narrow_ok(off, size, 4, aux);
}

/* The fields that Linux keeps in 16 bits: a store drops the upper half. */
static bool field_is_16_bits(int off)
{
	return off == offsetof(struct __sk_buff, tc_index) ||
	       off == offsetof(struct __sk_buff, tc_classid) ||
	       off == offsetof(struct __sk_buff, queue_mapping);
}

static u32 convert_store(const struct bpf_insn *insn, struct bpf_insn *buf)
{
	u32 n = 0;

	if (!field_is_16_bits(insn->off) || BPF_SIZE(insn->code) != BPF_W) {
		buf[0] = *insn;
		return 1;
	}
	if (insn->off == offsetof(struct __sk_buff, queue_mapping)) {
		/* 65535 and more mean "none": Linux leaves the field alone. */
		if (BPF_CLASS(insn->code) == BPF_STX)
			buf[n++] = (struct bpf_insn){.code = BPF_JMP | BPF_JGE | BPF_K,
						     .dst_reg = insn->src_reg,
						     .off = 1,
						     .imm = 0xffff};
		else if (insn->imm >= 0xffff)
			return 0;
	}
	buf[n] = *insn;
	buf[n].code = (u8)(BPF_CLASS(insn->code) | BPF_MEM | BPF_H);
	return n + 1;
}

/*
 * How many bytes Linux keeps of a 32-bit field. A narrow load that is not narrower than that yields
 * the whole value there, wherever in the field it reads (the upper bytes repeat it); so do we.
 */
static u32 kernel_width(int off)
{
	static const struct {
		u16 off, width;
	} widths[] = {
		{offsetof(struct __sk_buff, pkt_type), 1},
		{offsetof(struct __sk_buff, queue_mapping), 2},
		{offsetof(struct __sk_buff, protocol), 2},
		{offsetof(struct __sk_buff, vlan_tci), 2},
		{offsetof(struct __sk_buff, vlan_proto), 2},
		{offsetof(struct __sk_buff, tc_index), 2},
		{offsetof(struct __sk_buff, tc_classid), 2},
		{offsetof(struct __sk_buff, family), 2},
		{offsetof(struct __sk_buff, remote_port), 2},
		{offsetof(struct __sk_buff, local_port), 2},
		{offsetof(struct __sk_buff, gso_segs), 2},
		{offsetof(struct __sk_buff, gso_size), 2},
	};

	for (size_t i = 0; i < ARRAY_SIZE(widths); i++)
		if (widths[i].off == (off & ~3))
			return widths[i].width;
	return 4;
}

u32 bpf_skb_convert_ctx_access(const struct bpf_insn *insn, u32 ctx_field_size,
			       struct bpf_insn *buf, u32 max)
{
	u32 size = bpf_size_to_bytes(insn->code);

	if (BPF_CLASS(insn->code) != BPF_LDX)
		return convert_store(insn, buf);
	if (size < ctx_field_size && size >= kernel_width(insn->off)) {
		buf[0] = BPF_LDX_INSN(BPF_W, insn->dst_reg, insn->src_reg, insn->off & ~3);
		return 1;
	}

	switch (insn->off) {
	case offsetof(struct __sk_buff, data):
		buf[0] = BPF_LDX_INSN(BPF_DW, insn->dst_reg, insn->src_reg,
				      offsetof(struct bpf_skb, data));
		return 1;
	case offsetof(struct __sk_buff, data_end):
		buf[0] = BPF_LDX_INSN(BPF_DW, insn->dst_reg, insn->src_reg,
				      offsetof(struct bpf_skb, data_end));
		return 1;
	case offsetof(struct __sk_buff, data_meta):
		buf[0] = BPF_LDX_INSN(BPF_DW, insn->dst_reg, insn->src_reg,
				      offsetof(struct bpf_skb, data_meta));
		return 1;
	}
	buf[0] = *insn;
	return 1;
}
