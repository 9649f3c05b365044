/*
 * classic.c - see classic.h
 */
#include <arpa/inet.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include "classic/create.h"
#include "tests/lib/classic.h"

#define ROOM 64

static u32 run(const struct bpf_prog *prog, struct bpf_skb *skb)
{
	u32 ret;

	bpf_run_enter();
	ret = (u32)bpf_prog_run(prog, skb);
	bpf_run_exit();
	return ret;
}

u32 classic_run(const struct bpf_prog *prog, const void *data, u32 len)
{
	u8 *buf = malloc(ROOM + len + 1);
	struct bpf_skb skb;
	u32 ret;

	memcpy(buf + ROOM, data, len);
	bpf_skb_init(&skb, buf, ROOM + len, ROOM, len);
	skb.mac = NULL;
	ret = run(prog, &skb);
	free(buf);
	return ret;
}

/* The loopback's receiving end takes the outer tag out of the frame. */
static bool take_tag(u8 *frame, u32 *len, struct bpf_skb *tag)
{
	u16 proto = (u16)(frame[12] << 8 | frame[13]);

	if ((proto != ETH_P_8021Q && proto != ETH_P_8021AD) || *len < ETH_HLEN + 4)
		return false;
	tag->md.vlan_present = 1;
	tag->md.vlan_proto = htons(proto);
	tag->md.vlan_tci = (u32)(frame[14] << 8 | frame[15]);
	memmove(frame + 12, frame + 16, *len - 16);
	*len -= 4;
	return true;
}

u32 classic_run_frame(const struct bpf_prog *prog, const void *frame, u32 len)
{
	u8 *buf = malloc(ROOM + len + 1);
	struct bpf_skb skb, tag = {0};
	u32 ret;

	memcpy(buf + ROOM, frame, len);
	take_tag(buf + ROOM, &len, &tag);
	bpf_skb_init(&skb, buf, ROOM + len, ROOM, len);
	bpf_skb_parse_ethernet(&skb, NULL);
	if (skb.md.pkt_type == PACKET_BROADCAST)
		skb.md.pkt_type = PACKET_MULTICAST; /* it has no broadcast address */
	skb.md.vlan_present = tag.md.vlan_present;
	skb.md.vlan_proto = tag.md.vlan_proto;
	skb.md.vlan_tci = tag.md.vlan_tci;
	skb.md.ifindex = 1;
	skb.md.mark = CLASSIC_MARK;
	skb.hatype = ARPHRD_LOOPBACK;
	ret = run(prog, &skb);
	free(buf);
	return ret;
}

s64 classic_once(const struct sock_filter *insns, u32 cnt, const void *data, u32 len)
{
	struct bpf_prog *prog;
	s64 ret;

	if (bpf_prog_create(insns, cnt, NULL, &prog))
		return -1;
	ret = classic_run(prog, data, len);
	bpf_prog_destroy(prog);
	return ret;
}
