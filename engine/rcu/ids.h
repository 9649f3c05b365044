/*
 * ids.h - objects by their number: programs, maps, types
 *
 * An object is in the table from the end of its creation until its last reference is dropped. Ids
 * rise and never repeat in one process, also not those that a caller chose. bpf_ids_find() takes no
 * lock: two loads, through a table by the id's halves. Lock: a leaf.
 */
#ifndef UBPFFS_RCU_IDS_H
#define UBPFFS_RCU_IDS_H

#include <pthread.h>
#include "rcu/rcu.h"

#define BPF_IDS_PAGE (1u << 16)

struct bpf_ids_page {
	struct rcu_head rcu;
	u32 used;
	void *objects[BPF_IDS_PAGE]; /* memory comes as it is touched */
};

struct bpf_ids {
	pthread_mutex_t lock;
	u32 last;
	struct bpf_ids_page *pages
		[1u << 16]; /* one that is empty goes, but for the last, after a grace period */
};

#define BPF_IDS_INIT                              \
	{                                         \
		.lock = PTHREAD_MUTEX_INITIALIZER \
	}

/*
 * Enter the object under *id, or with 0 under the next one. -EEXIST: taken; -ENOSPC: no number is
 * left; -ENOMEM.
 */
int bpf_ids_add(struct bpf_ids *ids, u32 *id, void *object);
void bpf_ids_remove(struct bpf_ids *ids, u32 id);
/* The lowest number above `id` that has an object; 0: there is none. */
u32 bpf_ids_next(struct bpf_ids *ids, u32 id);

/* The object, borrowed inside the caller's RCU section; NULL: none. */
static inline void *bpf_ids_find(struct bpf_ids *ids, u32 id)
{
	struct bpf_ids_page *page = bpf_rcu_dereference(ids->pages[id / BPF_IDS_PAGE]);

	return page ? bpf_rcu_dereference(page->objects[id % BPF_IDS_PAGE]) : NULL;
}

/*
 * The object with a reference, which inc() takes; NULL: none, or inc() said that it is on its way
 * out.
 */
void *bpf_ids_get(struct bpf_ids *ids, u32 id, bool (*inc)(void *object));

#endif
