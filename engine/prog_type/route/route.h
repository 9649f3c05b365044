/*
 * route.h - the machine's routes and neighbours, asked of the kernel
 *
 * Each question is one message of rtnetlink and its answer, about the network namespace of this
 * process. Nothing is kept: routes change.
 */
#ifndef UBPFFS_PROG_TYPE_ROUTE_ROUTE_H
#define UBPFFS_PROG_TYPE_ROUTE_ROUTE_H

#include "util/types.h"

struct bpf_route_ask { /* network byte order as in struct bpf_fib_lookup */
	u8 family, tos, proto;
	u16 sport, dport;
	u32 mark;
	u32 oif; /* 0: any */
	const void *dst;
};

struct bpf_route {
	u8 type; /* RTN_* */
	u32 oif, priority;
	u32 mtu; /* the route's own, if it counts whatever the interface's is, or 0 */
	bool encap; /* into a lightweight tunnel */
	u8 gw_family; /* 0: the destination itself is the neighbour */
	u8 gw[16];
	bool has_src;
	u8 src[16]; /* what this machine would send from */
};

/* A socket for the questions, to be closed; -errno. */
int bpf_route_open(void);
/* 0, or what the kernel says (-ENETUNREACH: there is no route). */
int bpf_route_lookup(int nl, const struct bpf_route_ask *ask, struct bpf_route *out);
/* Does the interface forward packets of that family? 1, 0, or -errno. */
int bpf_route_forwards(int nl, u8 family, u32 ifindex);
/* The neighbour's address, if it is known to be good. 0, -ENOENT, or -errno. */
int bpf_route_neighbour(int nl, u8 family, u32 ifindex, const void *dst, u8 mac[6]);

#endif
