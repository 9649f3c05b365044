/*
 * classic.c - see classic.h
 */
#include <linux/if_arp.h>
#include <linux/if_ether.h>
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

u32 classic_run_frame(const struct bpf_prog *prog, const void *frame, u32 len)
{
	u8 *buf = malloc(ROOM + len + 1);
	struct bpf_skb skb;
	u32 ret;

	memcpy(buf + ROOM, frame, len);
	bpf_skb_init(&skb, buf, ROOM + len, ROOM, len);
	bpf_skb_parse_ethernet(&skb, NULL);
	skb.md.ifindex = 1;
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
