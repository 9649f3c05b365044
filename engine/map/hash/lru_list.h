/*
 * lru_list.h - which entry to evict when a map is full
 *
 * A node stands for one entry. It is on exactly one list:
 *	active     entries that were referenced since they were looked at last
 *	inactive   the others, the oldest at its end; eviction takes from there
 *	free       nodes without an entry
 *	local free, local pending (one each a slot)   free nodes in stock, and nodes just given out
 * A lookup only sets the element's ref mark; it takes no lock and moves nothing. Nodes given out
 * wait on the slot's pending list and go to the common lists together, when the slot needs new free
 * nodes, so that the common lock is taken once for `target_free` inserts. `target_free` shrinks
 * with the map.
 *
 * With lists of each slot's own (BPF_F_NO_COMMON_LRU) a slot has its share of the nodes, and its
 * own active, inactive and free list, and nothing moves between slots.
 *
 * Nodes are in the arena and link by index. The first nodes are the lists' heads. An entry's
 * element may be exchanged for another (an update of an existing key does that) without touching
 * the lists.
 *
 * Guarantees
 *   A. Common list: an insert into a map with a free node anywhere never evicts.
 *   B. Updating an existing key takes no node, and so never evicts.
 *   C. The active list is rotated only while it is longer than the inactive list.
 *   D. What is referenced again before its turn is not evicted while there is an unreferenced
 *      inactive entry among those looked at; a forced eviction is the last resort.
 *   E. Pop fails only if every node is in the hands of somebody who is between getting and linking
 *      it.
 *   F. Nodes are first given in ascending order, so a map that is filled in part touches only that
 *      part.
 *
 * Lock order: a local list, then the common list (or a slot's own), then a bucket. Two local lists
 * are never locked together.
 * Tests: tests/unit/test_lru_list.c names each case by its letter.
 */
#ifndef UBPFFS_MAP_HASH_LRU_LIST_H
#define UBPFFS_MAP_HASH_LRU_LIST_H

#include "util/types.h"

enum bpf_lru_list_type {
	BPF_LRU_LIST_T_ACTIVE,
	BPF_LRU_LIST_T_INACTIVE,
	BPF_LRU_LIST_T_FREE,
	BPF_LRU_LOCAL_LIST_T_FREE,
	BPF_LRU_LOCAL_LIST_T_PENDING,
};

struct bpf_lru_node { /* in the arena */
	u32 prev, next;
	u32 elem; /* the element of the entry that the node stands for, or will */
	u8 type;
	u8 pad;
	u16 slot;
};

struct bpf_lru_list { /* in the arena: the common one, or one a slot */
	u32 counts[2]; /* active, inactive */
	u32 next_inactive_rotation;
	u32 fresh; /* nodes that were given out at least once */
	u32 pad[12];
};

struct bpf_lru_lock {
	u32 held;
	u32 nr_free; /* of a local list; read without the lock as a hint */
} __attribute__((aligned(64)));

struct bpf_lru { /* this process's view */
	struct bpf_lru_node *nodes;
	struct bpf_lru_list *lists;
	struct bpf_lru_lock *list_locks; /* one, or one a slot */
	struct bpf_lru_lock *local_locks; /* one a slot */
	u32 nr_slots;
	u32 nr_nodes; /* those that stand for entries */
	u32 first_node; /* before it: the list heads */
	u32 target_free;
	u32 nr_scans;
	bool percpu; /* lists of each slot's own */

	/*
	 * Where the ref mark of element e is, and what element a fresh node gets: first_elem + its
	 * rank.
	 */
	u8 *refs;
	u64 ref_stride;
	u32 first_elem;

	/* Take the node's entry out of its map, if it is in; called with list locks held. */
	bool (*del_from_htab)(void *arg, u32 node);
	/* Provide memory for the nodes with these ranks; false: there is none. May be NULL. */
	bool (*back)(void *arg, u32 rank, u32 nr);
	void *arg;
};

size_t bpf_lru_lists_bytes(u32 nr_slots);
size_t bpf_lru_nodes_bytes(u32 max_entries, u32 nr_slots);

/* Attach to lists and nodes in an arena; bpf_lru_reset() makes them new. NULL: -ENOMEM. */
struct bpf_lru *bpf_lru_new(void *lists, void *nodes, u32 nr_nodes, u32 nr_slots, bool percpu);
void bpf_lru_free(struct bpf_lru *lru); /* this process's view; NULL is ignored */
/* All lists empty, all nodes fresh. */
void bpf_lru_reset(struct bpf_lru *lru);

/* A node for a new entry, evicting one when it must; 0: none. */
u32 bpf_lru_pop_free(struct bpf_lru *lru, u32 slot);
/* The node's entry is out of the map, or never was in. */
void bpf_lru_push_free(struct bpf_lru *lru, u32 node);

static inline struct bpf_lru_node *bpf_lru_node(const struct bpf_lru *lru, u32 node)
{
	return &lru->nodes[node];
}

/* ---- recovery: after bpf_lru_reset(), while nobody else uses the list */

/*
 * How many nodes of a slot's share (common list: slot 0, of all) were ever given out; to read
 * before reset.
 */
u32 bpf_lru_fresh(const struct bpf_lru *lru, u32 slot);
/* The next node of the share, now used, stands for this element: on a list that fits. */
u32 bpf_lru_restore(struct bpf_lru *lru, u32 slot, u32 elem, bool live);

#endif
