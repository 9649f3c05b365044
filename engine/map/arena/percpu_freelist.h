/*
 * percpu_freelist.h - the free elements of a map
 *
 * A stack of node indices a slot, in the map's arena. A node's link lives in the node itself (its
 * first u32); index 0 is no node. Nodes that were never used are not linked anywhere: they are
 * those from `fresh` to `total`, so that an arena of any size starts without touching its elements.
 *
 * Push goes to the list of the given slot. Pop takes from that slot's list, then from the fresh
 * nodes, then from the neighbours' lists.
 *
 * A link of a free node has the two upper bits set (PCPU_FREE_LINK): a reader of a hash chain that
 * was standing on the node when it was freed sees that it left the chain.
 *
 * Guarantees
 *   A. Any number of threads may push and pop at once, on any slot, also the same one (lock-free:
 *      compare-and-swap of a head that counts its changes, so a node that left and came back is
 *      noticed).
 *   B. A node is given to one caller only until it is pushed again.
 *   C. What a thread did with a node before pushing it happened before what the next owner does.
 *   D. Pop fails only if there was a moment during the call at which every list was empty and no
 *      fresh node was left, or no memory for it.
 *   E. Nodes are first given in ascending order, so a map that is filled in part touches only that
 *      part. Before a node is given for the first time, `back` is asked for memory under it (if it
 *      is set).
 *   F. After a crash the lists are void: pcpu_freelist_reset(), and push what is not in use
 *      below pcpu_freelist_fresh(). A node at or above it was never used.
 * Tests: tests/unit/test_percpu_freelist.c names each case by its letter.
 */
#ifndef UBPFFS_MAP_PERCPU_FREELIST_H
#define UBPFFS_MAP_PERCPU_FREELIST_H

#include "util/types.h"

#define PCPU_FREE_LINK 0xc0000000u

struct pcpu_freelist_head { /* in the arena */
	u64 first; /* changes << 32 | index */
	u64 pad[7];
};

struct pcpu_freelist { /* this process's view */
	struct pcpu_freelist_head
		*heads; /* nr_slots of them, then the one whose `first` is `fresh` */
	u32 nr_slots;
	u32 total; /* nodes are 1 .. total - 1 */
	char *nodes;
	u32 node_size;
	u32 backed; /* fresh nodes below this have memory */
	/*
	 * Provide memory from node `from` on; returns the new `backed`, or `from` when there is
	 * none.
	 */
	u32 (*back)(struct pcpu_freelist *fl, u32 from);
};

/* Bytes that the lists need in the arena, on a boundary of a cache line. */
static inline size_t pcpu_freelist_bytes(u32 nr_slots)
{
	return (nr_slots + 1) * sizeof(struct pcpu_freelist_head);
}

/* Attach to lists in `mem`; zeroed memory is an empty list with all nodes fresh. */
void pcpu_freelist_init(struct pcpu_freelist *fl, void *mem, u32 nr_slots, void *nodes,
			u32 node_size, u32 total);
/* Empty all lists. Only while nobody else uses them. `fresh` is clamped to what can be. */
void pcpu_freelist_reset(struct pcpu_freelist *fl);
/* The first index that was never given out. */
u32 pcpu_freelist_fresh(const struct pcpu_freelist *fl);

/* slot may be any number: it is taken modulo the lists. */
void pcpu_freelist_push(struct pcpu_freelist *fl, u32 slot, u32 idx);
u32 pcpu_freelist_pop(struct pcpu_freelist *fl, u32 slot); /* 0: none */

#endif
