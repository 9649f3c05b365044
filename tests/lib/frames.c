/*
 * frames.c - see frames.h
 */
#include <linux/if_ether.h>
#include "tests/lib/frames.h"

struct writer {
	struct rnd *r;
	u8 *at, *end;
	int depth;
};

/* splitmix64 */
u32 rnd_u32(struct rnd *r)
{
	u64 z = r->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return (u32)((z ^ (z >> 31)) >> 16);
}

static void put(struct writer *w, u8 byte)
{
	if (w->at < w->end)
		*w->at++ = byte;
}

static void put16(struct writer *w, u32 v)
{
	put(w, (u8)(v >> 8));
	put(w, (u8)v);
}

static void put_random(struct writer *w, u32 n)
{
	while (n--)
		put(w, (u8)rnd_u32(w->r));
}

#define PICK(r, ...) \
	((const u32[]){__VA_ARGS__})[rnd_below(r, sizeof((const u32[]){__VA_ARGS__}) / sizeof(u32))]

static void put_network(struct writer *w, u32 proto);

static void put_gre(struct writer *w)
{
	u32 version = rnd_below(w->r, 8) ? 0 : PICK(w->r, 1, 2);
	u32 flags = PICK(w->r, 0, 0, 0x8000, 0x2000, 0x1000, 0xb000, 0x4000);
	u32 proto = version ? 0x880b : PICK(w->r, ETH_P_IP, ETH_P_IPV6, ETH_P_TEB, ETH_P_ARP);

	if (version)
		flags |= PICK(w->r, 0x2000, 0x2080, 0x3080, 0);
	put16(w, flags | version);
	put16(w, proto);
	put_random(w, (flags & 0x8000 ? 4 : 0) + (flags & 0x2000 ? 4 : 0) +
			      (flags & 0x1000 ? 4 : 0) + (version && flags & 0x80 ? 4 : 0));
	if (version) {
		proto = PICK(w->r, ETH_P_IP, ETH_P_IPV6);
		put16(w, 0xff03);
		put16(w, proto == ETH_P_IP ? 0x21 : 0x57);
	} else if (proto == ETH_P_TEB) {
		put_random(w, 12);
		proto = PICK(w->r, ETH_P_IP, ETH_P_IPV6, ETH_P_8021Q);
		put16(w, proto);
	}
	put_network(w, proto);
}

static void put_transport(struct writer *w, u32 proto, bool ipv6)
{
	u32 next;

	switch (proto) {
	case 4:
		put_network(w, ETH_P_IP);
		return;
	case 41:
		put_network(w, ETH_P_IPV6);
		return;
	case 47:
		put_gre(w);
		return;
	case 6:
		put_random(w, 12);
		put(w, (u8)(PICK(w->r, 5, 6, 8, 15, 4) << 4));
		put_random(w, rnd_below(w->r, 40));
		return;
	case 0:
	case 43:
	case 60:
		next = PICK(w->r, 6, 17, 58, 44, 60, 0, 43, 41);
		put(w, (u8)next);
		put(w, (u8)rnd_below(w->r, 2));
		put_random(w, 6 + 8 * w->at[-1]);
		if (++w->depth < 8)
			put_transport(w, next, ipv6);
		return;
	case 44:
		next = PICK(w->r, 6, 17, 58);
		put(w, (u8)next);
		put(w, 0);
		put16(w, PICK(w->r, 0, 1, 8, 0x100));
		put_random(w, 4);
		put_transport(w, next, ipv6);
		return;
	default:
		put_random(w, rnd_below(w->r, 60));
	}
}

static void put_network(struct writer *w, u32 proto)
{
	u32 next, options;

	if (++w->depth > 8)
		return;
	switch (proto) {
	case ETH_P_IP:
		next = PICK(w->r, 6, 17, 1, 2, 4, 41, 47, 132, 33, 136, 0, 50, 51);
		options = rnd_below(w->r, 4) ? 0 : rnd_below(w->r, 11);
		put(w, (u8)(0x45 + options));
		put_random(w, 5);
		put16(w, rnd_below(w->r, 6) ? 0x4000 : PICK(w->r, 0x2000, 1, 0x2001, 0x1fff));
		put(w, 64);
		put(w, (u8)next);
		put_random(w, 10 + options * 4);
		put_transport(w, next, false);
		return;
	case ETH_P_IPV6:
		next = PICK(w->r, 6, 17, 58, 0, 43, 44, 60, 4, 41, 47, 59, 51, 137);
		put(w, 0x60);
		put_random(w, 5);
		put(w, (u8)next);
		put(w, 64);
		put_random(w, 32);
		put_transport(w, next, true);
		return;
	case ETH_P_8021Q:
	case ETH_P_8021AD:
		next = PICK(w->r, ETH_P_IP, ETH_P_IPV6, ETH_P_8021Q, ETH_P_ARP, ETH_P_IP);
		put_random(w, 2);
		put16(w, next);
		put_network(w, next);
		return;
	case ETH_P_PPP_SES:
		next = PICK(w->r, ETH_P_IP, ETH_P_IPV6);
		put16(w, rnd_below(w->r, 8) ? 0x1100 : rnd_u32(w->r));
		put_random(w, 4);
		if (rnd_below(w->r, 4)) /* its upper byte may be left out */
			put(w, 0);
		put(w, next == ETH_P_IP ? 0x21 : 0x57);
		put_network(w, rnd_below(w->r, 8) ? next : ETH_P_MPLS_UC);
		return;
	default:
		put_random(w, rnd_below(w->r, 60));
	}
}

u32 frame_make(struct rnd *r, u8 frame[FRAME_MAX])
{
	struct writer w = {.r = r, .at = frame, .end = frame + FRAME_MAX};
	u32 proto = PICK(r, ETH_P_IP, ETH_P_IP, ETH_P_IP, ETH_P_IPV6, ETH_P_IPV6, ETH_P_8021Q,
			 ETH_P_8021AD, ETH_P_PPP_SES, ETH_P_MPLS_UC, ETH_P_ARP, 0x1234, 100);
	u32 len;

	for (int i = 0; i < 12; i++)
		put(&w, 0);
	switch (rnd_below(r, 4)) {
	case 0:
		memset(frame, 0xff, 6);
		break;
	case 1:
		frame[0] = 1;
		break;
	case 2:
		frame[5] = 7;
		break;
	}
	put16(&w, proto);
	put_network(&w, proto);
	len = (u32)(w.at - frame);
	if (!rnd_below(r, 4) && len > 15)
		len = 15 + rnd_below(r, len - 14);
	while (len < 15)
		frame[len++] = (u8)rnd_u32(r);
	while (!rnd_below(r, 6))
		frame[14 + rnd_below(r, len - 14)] = (u8)rnd_u32(r);
	return len;
}
