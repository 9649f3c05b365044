/*
 * fib.c - see fib.h
 *
 * The answers are the machine's: routes, forwarding and neighbours of the network namespace of this
 * process (route.h), in the order in which Linux asks for them.
 */
#include <linux/if_ether.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <unistd.h>
#include "prog_type/route/fib.h"
#include "prog_type/route/route.h"
#include "prog_type/skb/skb.h"
#include "util/netdev.h"

#define LOOKUP_TBID (1u << 3) /* what older headers lack */
#define LOOKUP_SRC  (1u << 4)
#define LOOKUP_MARK (1u << 5)
#define LOOKUP_ALL  0x3fu
#define NO_SRC_ADDR 9

struct lookup {
	int nl;
	struct bpf_fib_lookup *params;
	u32 flags, mtu; /* mtu 0: not asked for */
	struct bpf_route route;
};

static bool is_v6(const struct lookup *l)
{
	return l->params->family == AF_INET6;
}

/* Addresses of one link are never forwarded: multicast, link-local, loopback. */
static bool stays_on_link(const void *addr)
{
	static const u8 loopback[16] = {[15] = 1};
	const u8 *a = addr;

	return a[0] == 0xff || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80) || !memcmp(a, loopback, 16);
}

/* Whether there is a route for it: BPF_FIB_LKUP_RET_*, or -errno. */
static s64 find_route(struct lookup *l)
{
	const struct bpf_fib_lookup *p = l->params;
	struct bpf_route_ask ask = {
		.family = p->family,
		.tos = p->tos,
		.proto = p->l4_protocol,
		.sport = p->sport,
		.dport = p->dport,
		.oif = l->flags & BPF_FIB_LOOKUP_OUTPUT ? p->ifindex : 0,
		.dst = is_v6(l) ? (const void *)p->ipv6_dst : &p->ipv4_dst,
	};
	int err;

	if (l->flags & LOOKUP_MARK)
		memcpy(&ask.mark, p->smac, sizeof(ask.mark));
	err = bpf_route_lookup(l->nl, &ask, &l->route);
	if (ask.oif && (is_v6(l) ? err != 0 : err == -EHOSTUNREACH)) {
		/*
		 * No route by that interface. What is refused is refused by any, and IPv6 only
		 * prefers one.
		 */
		ask.oif = 0;
		err = bpf_route_lookup(l->nl, &ask, &l->route);
		if (!err && !is_v6(l) && l->route.type == RTN_UNICAST)
			return BPF_FIB_LKUP_RET_NOT_FWDED;
	}
	if (err == -EINVAL)
		return BPF_FIB_LKUP_RET_BLACKHOLE;
	if (err == -EHOSTUNREACH)
		return BPF_FIB_LKUP_RET_UNREACHABLE;
	if (err == -EACCES)
		return BPF_FIB_LKUP_RET_PROHIBIT;
	if (err == -ENOMEM || err == -ENOBUFS || err == -EBADMSG)
		return err;
	if (err)
		return BPF_FIB_LKUP_RET_NOT_FWDED;
	switch (l->route.type) {
	case RTN_UNICAST:
		return BPF_FIB_LKUP_RET_SUCCESS;
	case RTN_BLACKHOLE:
		return BPF_FIB_LKUP_RET_BLACKHOLE;
	case RTN_UNREACHABLE:
		return BPF_FIB_LKUP_RET_UNREACHABLE;
	case RTN_PROHIBIT:
		return BPF_FIB_LKUP_RET_PROHIBIT;
	}
	return BPF_FIB_LKUP_RET_NOT_FWDED;
}

static s64 fits(struct lookup *l)
{
	u32 header;

	l->mtu = l->route.mtu;
	if (!l->mtu && bpf_netdev_mtu(l->route.oif, &l->mtu, &header))
		return -ENODEV;
	if (l->params->tot_len <= l->mtu)
		return BPF_FIB_LKUP_RET_SUCCESS;
	l->params->mtu_result = (u16)l->mtu;
	return BPF_FIB_LKUP_RET_FRAG_NEEDED;
}

/* What it will be sent to: into the parameters. */
static s64 say_target(struct lookup *l)
{
	struct bpf_fib_lookup *p = l->params;
	const struct bpf_route *r = &l->route;

	p->rt_metric = r->priority;
	p->ifindex = r->oif;
	if (l->flags & LOOKUP_SRC) {
		if (!r->has_src)
			return NO_SRC_ADDR;
		memcpy(p->ipv6_src, r->src, is_v6(l) ? 16 : 4);
	}
	if (r->gw_family == AF_INET6) {
		p->family = AF_INET6;
		memcpy(p->ipv6_dst, r->gw, 16);
	} else if (r->gw_family) {
		memcpy(&p->ipv4_dst, r->gw, 4);
	}
	return BPF_FIB_LKUP_RET_SUCCESS;
}

static s64 find_neighbour(struct lookup *l)
{
	struct bpf_fib_lookup *p = l->params;
	const void *dst = is_v6(l) ? (const void *)p->ipv6_dst : &p->ipv4_dst;
	u16 hatype;

	if (l->flags & BPF_FIB_LOOKUP_SKIP_NEIGH)
		return BPF_FIB_LKUP_RET_SUCCESS;
	if (bpf_route_neighbour(l->nl, p->family, p->ifindex, dst, p->dmac))
		return BPF_FIB_LKUP_RET_NO_NEIGH;
	return bpf_netdev_address(p->ifindex, p->smac, &hatype);
}

static s64 run(struct lookup *l, bool check_mtu)
{
	struct bpf_fib_lookup *p = l->params;
	s64 ret;

	if (is_v6(l) && (stays_on_link(p->ipv6_dst) || stays_on_link(p->ipv6_src)))
		return BPF_FIB_LKUP_RET_NOT_FWDED;
	ret = bpf_netdev_exists(p->ifindex);
	if (!ret)
		ret = bpf_route_forwards(l->nl, p->family, p->ifindex);
	if (ret <= 0)
		return ret ? ret : BPF_FIB_LKUP_RET_FWD_DISABLED;
	ret = find_route(l);
	if (!ret && check_mtu)
		ret = fits(l);
	if (ret)
		return ret;
	if (l->route.encap)
		return BPF_FIB_LKUP_RET_UNSUPP_LWT;
	ret = say_target(l);
	if (!ret)
		ret = find_neighbour(l);
	if (ret)
		return ret;
	p->h_vlan_TCI = 0;
	p->h_vlan_proto = 0;
	if (check_mtu)
		p->mtu_result = (u16)l->mtu;
	return 0;
}

static s64 fib_lookup(struct bpf_fib_lookup *params, u64 plen, u64 flags, bool check_mtu)
{
	struct lookup l = {.params = params, .flags = (u32)flags};
	s64 ret;

	if (plen < sizeof(*params) || l.flags & ~LOOKUP_ALL)
		return -EINVAL;
	if (params->family != AF_INET && params->family != AF_INET6)
		return -EAFNOSUPPORT;
	if (l.flags & LOOKUP_TBID && l.flags & BPF_FIB_LOOKUP_DIRECT)
		return -EOPNOTSUPP; /* the kernel shows whole tables only */
	l.nl = bpf_route_open();
	if (l.nl < 0)
		return l.nl;
	ret = run(&l, check_mtu);
	close(l.nl);
	return ret;
}

static u64 xdp_fib_lookup(u64 r1, u64 params, u64 plen, u64 flags, u64 r5)
{
	return (u64)fib_lookup(PTR(params), (u32)plen, flags, true);
}

static u64 skb_fib_lookup(u64 r1, u64 r2, u64 plen, u64 flags, u64 r5)
{
	const struct bpf_skb *skb = PTR(r1);
	struct bpf_fib_lookup *params = PTR(r2);
	bool check_mtu = plen >= sizeof(*params) && params->tot_len;
	s64 ret = fib_lookup(params, (u32)plen, flags, check_mtu);
	u32 mtu, header;

	if (ret || check_mtu)
		return (u64)ret;
	/* Without a length it is the packet's own. */
	if (bpf_netdev_mtu(params->ifindex, &mtu, &header))
		return (u64)-ENODEV;
	params->mtu_result = (u16)mtu;
	return skb->md.len <= mtu + header + 4 || skb->md.gso_size ? BPF_FIB_LKUP_RET_SUCCESS
								   : BPF_FIB_LKUP_RET_FRAG_NEEDED;
}

#define FIB_PROTO(NAME, FUNC)                                                            \
	const struct bpf_func_proto NAME = {                                             \
		.name = "bpf_fib_lookup",                                                \
		.id = BPF_FUNC_fib_lookup,                                               \
		.func = FUNC,                                                            \
		.gpl_only = true,                                                        \
		.ret_type = RET_INTEGER,                                                 \
		.arg_type = {ARG_PTR_TO_CTX, ARG_PTR_TO_MEM | MEM_WRITE, ARG_CONST_SIZE, \
			     ARG_ANYTHING},                                              \
	}

FIB_PROTO(bpf_xdp_fib_lookup_proto, xdp_fib_lookup);
FIB_PROTO(bpf_skb_fib_lookup_proto, skb_fib_lookup);
