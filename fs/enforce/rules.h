/*
 * rules.h - the rules that send the packets of a tree of cgroups to queues
 *
 * One table of our own (family inet), written by netlink in transactions:
 *
 *	map level<K>	{ cgroup id : goto q<number> }, of the cgroups of that level
 *	input, output	hooks; socket cgroupv2 level L is the tree's root: goto tree
 *	chain tree	deepest level first: socket cgroupv2 level K vmap @level<K>
 *	chain q<number>	NFQUEUE to that number
 *	chain synack	SYN-ACKs, which have no socket yet: NFQUEUE, always with bypass, for they
 *			are everybody's
 *
 * So a packet that is none of the tree's costs one rule, one of the tree's one lookup a level,
 * however many cgroups there are; a directory that somebody else makes inside counts as the nearest
 * cgroup of ours above it. A map a level, for the kernel walks every map once for each rule that
 * uses it when an element is added. Not thread safe.
 */
#ifndef UBPFFS_FS_ENFORCE_RULES_H
#define UBPFFS_FS_ENFORCE_RULES_H

#include "util/types.h"

struct nft_cgroup {
	u64 id; /* the kernel's */
	u32 level; /* of the directory */
	u16 queue;
};

struct mnl_socket;

struct nft_rules {
	struct mnl_socket *nl;
	char table[64];
	u16 queue_flags;
	u32 deepest; /* level of the rules that are there */
	u32 seq;
};

/* table: its name; bypass: packets pass while nobody listens. -EPERM: no CAP_NET_ADMIN here. */
int nft_start(struct nft_rules *r, const char *table, bool bypass);
/*
 * Before queues are bound: the rules of a killed server name queues that will be another cgroup's
 * now. Without bypass everything of the tree is dropped until nft_replace().
 */
int nft_hold(struct nft_rules *r, const struct nft_cgroup *root);
/*
 * Replace what the table held, if there was one, by rules for these, the first being the root. One
 * transaction.
 */
int nft_replace(struct nft_rules *r, const struct nft_cgroup *cgroups, u32 nr, u16 synack_queue);
/* One transaction, too: the kernel looks at everything that is there, so add many at once. */
int nft_add(struct nft_rules *r, const struct nft_cgroup *cgroups, u32 nr);
int nft_remove(struct nft_rules *r, const struct nft_cgroup *cgroup);
/* remove: delete the table. */
void nft_stop(struct nft_rules *r, bool remove);

#endif
