/*
 * redirect.c - helpers that send packets elsewhere
 *
 * They note the target (run/redirect.h) and return the action that says so, or the one that Linux
 * gives for what it does not take.
 */
#include <linux/pkt_cls.h>
#include "core/map.h"
#include "prog_type/redirect.h"
#include "run/redirect.h"
#include "util/netdev.h"

static u64 note(enum bpf_redirect_to to, u64 target, u64 flags, u64 action)
{
	u32 clone = bpf_redirect_note.clone;

	bpf_redirect_note = (struct bpf_redirect){
		.to = to, .target = (u32)target, .flags = flags, .clone = clone};
	return action;
}

/* ---- xdp */

static u64 xdp_redirect(u64 ifindex, u64 flags, u64 r3, u64 r4, u64 r5)
{
	return flags ? XDP_ABORTED : note(BPF_REDIRECT_IFINDEX, ifindex, 0, XDP_REDIRECT);
}

const struct bpf_func_proto bpf_xdp_redirect_proto = {
	.name = "bpf_redirect",
	.id = BPF_FUNC_redirect,
	.func = xdp_redirect,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_ANYTHING, ARG_ANYTHING},
};

#define REDIRECT_ACTIONS 3u /* XDP_ABORTED, DROP, PASS or TX, when there is no such entry */

static u64 xdp_redirect_map(u64 r1, u64 key64, u64 flags, u64 r4, u64 r5)
{
	struct bpf_map *map = PTR(r1);
	bool cpus = map->map_type == BPF_MAP_TYPE_CPUMAP;
	bool devices = map->map_type == BPF_MAP_TYPE_DEVMAP ||
		       map->map_type == BPF_MAP_TYPE_DEVMAP_HASH;
	u64 known = devices ? BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS : 0;
	const u32 key = (u32)key64, *entry;

	if (flags & ~(REDIRECT_ACTIONS | known))
		return XDP_ABORTED;
	entry = map->ops->map_lookup_elem(map, &key);
	if (!entry && !(flags & BPF_F_BROADCAST))
		return flags & REDIRECT_ACTIONS;
	if (flags & BPF_F_BROADCAST)
		note(BPF_REDIRECT_ALL, 0, flags, 0);
	else if (cpus)
		note(BPF_REDIRECT_CPU, key, flags, 0);
	else
		note(BPF_REDIRECT_IFINDEX, __atomic_load_n(entry, __ATOMIC_RELAXED), flags, 0);
	bpf_redirect_note.map_id = map->id;
	bpf_redirect_note.key = key;
	return XDP_REDIRECT;
}

const struct bpf_func_proto bpf_xdp_redirect_map_proto = {
	.name = "bpf_redirect_map",
	.id = BPF_FUNC_redirect_map,
	.func = xdp_redirect_map,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_CONST_MAP_PTR, ARG_ANYTHING, ARG_ANYTHING},
};

/* ---- traffic control */

static u64 skb_redirect(u64 ifindex, u64 flags, u64 r3, u64 r4, u64 r5)
{
	if (flags & ~(u64)BPF_F_INGRESS)
		return TC_ACT_SHOT;
	return note(BPF_REDIRECT_IFINDEX, ifindex, flags, TC_ACT_REDIRECT);
}

const struct bpf_func_proto bpf_skb_redirect_proto = {
	.name = "bpf_redirect",
	.id = BPF_FUNC_redirect,
	.func = skb_redirect,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_ANYTHING, ARG_ANYTHING},
};

static u64 skb_redirect_neigh(u64 ifindex, u64 params, u64 plen, u64 flags, u64 r5)
{
	if ((plen && plen < sizeof(struct bpf_redir_neigh)) || flags)
		return TC_ACT_SHOT;
	return note(BPF_REDIRECT_NEIGH, ifindex, 0, TC_ACT_REDIRECT);
}

const struct bpf_func_proto bpf_skb_redirect_neigh_proto = {
	.name = "bpf_redirect_neigh",
	.id = BPF_FUNC_redirect_neigh,
	.func = skb_redirect_neigh,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_ANYTHING, ARG_PTR_TO_MEM_OR_NULL | MEM_RDONLY, ARG_CONST_SIZE_OR_ZERO,
		     ARG_ANYTHING},
};

static u64 skb_redirect_peer(u64 ifindex, u64 flags, u64 r3, u64 r4, u64 r5)
{
	return flags ? TC_ACT_SHOT : note(BPF_REDIRECT_PEER, ifindex, 0, TC_ACT_REDIRECT);
}

const struct bpf_func_proto bpf_skb_redirect_peer_proto = {
	.name = "bpf_redirect_peer",
	.id = BPF_FUNC_redirect_peer,
	.func = skb_redirect_peer,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_ANYTHING, ARG_ANYTHING},
};

/* The copy goes nowhere here; the program goes on with its own. */
static u64 skb_clone_redirect(u64 r1, u64 ifindex, u64 flags, u64 r4, u64 r5)
{
	if (flags & ~(u64)BPF_F_INGRESS || bpf_netdev_exists((u32)ifindex))
		return (u64)-EINVAL;
	bpf_redirect_note.clone = (u32)ifindex;
	return 0;
}

const struct bpf_func_proto bpf_skb_clone_redirect_proto = {
	.name = "bpf_clone_redirect",
	.id = BPF_FUNC_clone_redirect,
	.func = skb_clone_redirect,
	.changes_pkt_data = true,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_PTR_TO_CTX, ARG_ANYTHING, ARG_ANYTHING},
};
