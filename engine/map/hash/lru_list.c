/*
 * lru_list.c - active, inactive, free and local lists of entries (see lru_list.h)
 *
 * Functions with leading underscores need the lock of the list that they change.
 */
#include "map/hash/lru_list.h"
#include "map/map.h"

#define LOCAL_FREE_TARGET  128 /* nodes that a slot takes from the common list at once, at most */
#define PERCPU_FREE_TARGET 4 /* entries that a slot of its own evicts at once */
#define NR_SCANS	   128 /* nodes that a rotation or an eviction looks at */

static void lru_lock(struct bpf_lru_lock *lock)
{
	u32 spins = 0;

	while (unlikely(__atomic_exchange_n(&lock->held, 1, __ATOMIC_ACQUIRE)))
		while (__atomic_load_n(&lock->held, __ATOMIC_RELAXED))
			bpf_spin_wait(&spins);
}

static void lru_unlock(struct bpf_lru_lock *lock)
{
	__atomic_store_n(&lock->held, 0, __ATOMIC_RELEASE);
}

/* ---- lists by index */

static u32 nr_heads(u32 nr_slots)
{
	return 3 + 2 * nr_slots > 3 * nr_slots ? 3 + 2 * nr_slots : 3 * nr_slots;
}

/* The node that is the head of a list. */
static u32 list_head(const struct bpf_lru *lru, u32 slot, enum bpf_lru_list_type type)
{
	if (lru->percpu)
		return slot * 3 + type;
	return type <= BPF_LRU_LIST_T_FREE ? type
					   : 3 + slot * 2 + (type - BPF_LRU_LOCAL_LIST_T_FREE);
}

static void list_make_empty(struct bpf_lru *lru, u32 head)
{
	lru->nodes[head].prev = lru->nodes[head].next = head;
}

static void __list_del(struct bpf_lru *lru, u32 n)
{
	struct bpf_lru_node *node = &lru->nodes[n];

	lru->nodes[node->prev].next = node->next;
	lru->nodes[node->next].prev = node->prev;
}

static void __list_add(struct bpf_lru *lru, u32 head, u32 n)
{
	struct bpf_lru_node *node = &lru->nodes[n];
	u32 first = lru->nodes[head].next;

	node->prev = head;
	node->next = first;
	lru->nodes[first].prev = n;
	lru->nodes[head].next = n;
}

static u32 list_first(const struct bpf_lru *lru, u32 head)
{
	u32 first = lru->nodes[head].next;

	return first == head ? 0 : first;
}

/* ---- nodes */

static u8 *node_ref(const struct bpf_lru *lru, u32 n)
{
	u32 elem = __atomic_load_n(&lru->nodes[n].elem, __ATOMIC_RELAXED);

	return lru->refs + elem * lru->ref_stride;
}

static bool is_ref(const struct bpf_lru *lru, u32 n)
{
	return __atomic_load_n(node_ref(lru, n), __ATOMIC_RELAXED);
}

static void clear_ref(const struct bpf_lru *lru, u32 n)
{
	u8 *ref = node_ref(lru, n);

	if (__atomic_load_n(ref, __ATOMIC_RELAXED))
		__atomic_store_n(ref, 0, __ATOMIC_RELAXED);
}

/* common_push() looks at type and slot without a lock. */
static void set_place(struct bpf_lru_node *node, enum bpf_lru_list_type type, u32 slot)
{
	__atomic_store_n(&node->slot, (u16)slot, __ATOMIC_RELAXED);
	__atomic_store_n(&node->type, (u8)type, __ATOMIC_RELAXED);
}

/* Off an active, inactive or free list. */
static void __node_take(struct bpf_lru *lru, struct bpf_lru_list *l, u32 n)
{
	u8 type = lru->nodes[n].type;

	if (n == l->next_inactive_rotation)
		l->next_inactive_rotation = lru->nodes[n].prev;
	if (type < BPF_LRU_LIST_T_FREE)
		l->counts[type]--;
	__list_del(lru, n);
}

static void __node_put(struct bpf_lru *lru, struct bpf_lru_list *l, u32 slot, u32 n,
		       enum bpf_lru_list_type type)
{
	if (type < BPF_LRU_LIST_T_FREE) {
		l->counts[type]++;
		clear_ref(lru, n);
	}
	set_place(&lru->nodes[n], type, slot);
	__list_add(lru, list_head(lru, slot, type), n);
}

static void __node_move(struct bpf_lru *lru, struct bpf_lru_list *l, u32 slot, u32 n,
			enum bpf_lru_list_type type)
{
	__node_take(lru, l, n);
	__node_put(lru, l, slot, n, type);
}

/* ---- rotation */

/*
 * A rotation sorts by what was referenced since the last one:
 *   1. If the active list is longer than the inactive one, look at the active list from its end,
 *      for NR_SCANS nodes or once around:
 *        a. referenced: the mark is taken away, and the node goes to the front of the active list;
 *        b. not referenced: the node goes to the front of the inactive list.
 *   2. Look at the inactive list from where the last rotation stopped towards the front, for
 *      NR_SCANS nodes or once around:
 *        a. referenced: the mark is taken away, and the node goes to the front of the active list;
 *        b. not referenced: it stays where it is, and eviction may come to it.
 *   3. Keep the place where step 2 stopped (next_inactive_rotation). Whoever takes that node off
 *      the list moves the place on (__node_take()).
 */

/*
 * Step 1. From the end of the active list: what was referenced goes to its front, what was not
 * becomes inactive. For NR_SCANS nodes, or once around.
 */
static void __rotate_active(struct bpf_lru *lru, struct bpf_lru_list *l, u32 slot)
{
	u32 head = list_head(lru, slot, BPF_LRU_LIST_T_ACTIVE);
	u32 first = lru->nodes[head].next, n = lru->nodes[head].prev, prev;

	for (u32 i = 0; i < lru->nr_scans && n != head; i++, n = prev) {
		prev = lru->nodes[n].prev;
		__node_move(lru, l, slot, n,
			    is_ref(lru, n) ? BPF_LRU_LIST_T_ACTIVE : BPF_LRU_LIST_T_INACTIVE);
		if (n == first)
			break;
	}
}

/*
 * Steps 2 and 3. What was referenced on the inactive list becomes active before eviction gets to
 * it. Goes on where the last rotation stopped, from the end to the front, for NR_SCANS nodes or
 * once around.
 */
static void __rotate_inactive(struct bpf_lru *lru, struct bpf_lru_list *l, u32 slot)
{
	u32 head = list_head(lru, slot, BPF_LRU_LIST_T_INACTIVE);
	u32 n = l->next_inactive_rotation, last, prev = n, i = 0;

	if (!list_first(lru, head))
		return;
	last = lru->nodes[n].next;
	if (last == head)
		last = lru->nodes[last].next;
	while (i < lru->nr_scans) {
		prev = lru->nodes[n].prev;
		if (n != head) {
			if (is_ref(lru, n))
				__node_move(lru, l, slot, n, BPF_LRU_LIST_T_ACTIVE);
			i++;
			if (n == last)
				break;
		}
		n = prev;
		if (!list_first(lru, head))
			break;
	}
	l->next_inactive_rotation = prev;
}

static void __rotate(struct bpf_lru *lru, struct bpf_lru_list *l, u32 slot)
{
	if (l->counts[BPF_LRU_LIST_T_INACTIVE] < l->counts[BPF_LRU_LIST_T_ACTIVE])
		__rotate_active(lru, l, slot);
	__rotate_inactive(lru, l, slot);
}

/* ---- eviction */

typedef void (*lru_taker)(struct bpf_lru *lru, struct bpf_lru_list *l, u32 slot, u32 n);

/* Evict up to `want` entries from the end of the inactive list; their nodes go to take(). */
static u32 __shrink_inactive(struct bpf_lru *lru, struct bpf_lru_list *l, u32 slot, u32 want,
			     lru_taker take)
{
	u32 head = list_head(lru, slot, BPF_LRU_LIST_T_INACTIVE);
	u32 n = lru->nodes[head].prev, prev, got = 0;

	for (u32 i = 0; i < lru->nr_scans && n != head && got < want; i++, n = prev) {
		prev = lru->nodes[n].prev;
		__builtin_prefetch(node_ref(lru, prev));
		if (is_ref(lru, n)) {
			__node_move(lru, l, slot, n, BPF_LRU_LIST_T_ACTIVE);
		} else if (lru->del_from_htab(lru->arg, n)) {
			take(lru, l, slot, n);
			got++;
		}
	}
	return got;
}

/* As above; when all that was looked at was referenced, the oldest entry goes nevertheless. */
static u32 __shrink(struct bpf_lru *lru, struct bpf_lru_list *l, u32 slot, u32 want, lru_taker take)
{
	u32 got = __shrink_inactive(lru, l, slot, want, take), head, n, prev;

	if (got)
		return got;
	for (u32 type = BPF_LRU_LIST_T_INACTIVE + 1; type-- > BPF_LRU_LIST_T_ACTIVE;) {
		head = list_head(lru, slot, (enum bpf_lru_list_type)type);
		for (n = lru->nodes[head].prev; n != head; n = prev) {
			prev = lru->nodes[n].prev;
			if (lru->del_from_htab(lru->arg, n)) {
				take(lru, l, slot, n);
				return 1;
			}
		}
	}
	return 0;
}

/* ---- fresh nodes */

/* Up to `want` nodes that were never used, the first in *first. */
static u32 __take_fresh(struct bpf_lru *lru, struct bpf_lru_list *l, u32 slot, u32 want, u32 *first)
{
	u32 share = lru->percpu ? lru->nr_nodes / lru->nr_slots : lru->nr_nodes;
	u32 base = lru->percpu ? slot * share : 0;
	u32 nr = min(want, share - l->fresh), rank = base + l->fresh;

	if (!nr || (lru->back && !lru->back(lru->arg, rank, nr)))
		return 0;
	l->fresh += nr;
	*first = lru->first_node + rank;
	for (u32 i = 0; i < nr; i++)
		__atomic_store_n(&lru->nodes[*first + i].elem, lru->first_elem + rank + i,
				 __ATOMIC_RELAXED);
	return nr;
}

/* ---- the common list, with local lists */

static void __local_add_free(struct bpf_lru *lru, u32 slot, u32 n)
{
	set_place(&lru->nodes[n], BPF_LRU_LOCAL_LIST_T_FREE, slot);
	__list_add(lru, list_head(lru, slot, BPF_LRU_LOCAL_LIST_T_FREE), n);
	__atomic_store_n(&lru->local_locks[slot].nr_free, lru->local_locks[slot].nr_free + 1,
			 __ATOMIC_RELAXED);
}

static u32 __local_pop_free(struct bpf_lru *lru, u32 slot)
{
	u32 n = list_first(lru, list_head(lru, slot, BPF_LRU_LOCAL_LIST_T_FREE));

	if (!n)
		return 0;
	__list_del(lru, n);
	__atomic_store_n(&lru->local_locks[slot].nr_free, lru->local_locks[slot].nr_free - 1,
			 __ATOMIC_RELAXED);
	return n;
}

static void __local_add_pending(struct bpf_lru *lru, u32 slot, u32 n)
{
	clear_ref(lru, n);
	set_place(&lru->nodes[n], BPF_LRU_LOCAL_LIST_T_PENDING, slot);
	__list_add(lru, list_head(lru, slot, BPF_LRU_LOCAL_LIST_T_PENDING), n);
}

/* What was given out goes to the common lists, the oldest first. Both locks. */
static void __local_flush(struct bpf_lru *lru, struct bpf_lru_list *l, u32 slot)
{
	u32 head = list_head(lru, slot, BPF_LRU_LOCAL_LIST_T_PENDING);

	for (u32 n = lru->nodes[head].prev, prev; n != head; n = prev) {
		prev = lru->nodes[n].prev;
		__list_del(lru, n);
		__node_put(lru, l, slot, n,
			   is_ref(lru, n) ? BPF_LRU_LIST_T_ACTIVE : BPF_LRU_LIST_T_INACTIVE);
	}
}

static void take_to_local(struct bpf_lru *lru, struct bpf_lru_list *l, u32 slot, u32 n)
{
	__node_take(lru, l, n);
	__local_add_free(lru, slot, n);
}

/*
 * Free nodes for the slot: from the common free list, then fresh ones, then, if it may be, by
 * eviction.
 */
static void __refill_local(struct bpf_lru *lru, u32 slot, bool evict)
{
	struct bpf_lru_list *l = &lru->lists[0];
	u32 got = 0, n, first;

	lru_lock(&lru->list_locks[0]);
	__local_flush(lru, l, slot);
	while (got < lru->target_free &&
	       (n = list_first(lru, list_head(lru, slot, BPF_LRU_LIST_T_FREE)))) {
		take_to_local(lru, l, slot, n);
		got++;
	}
	if (!got) {
		got = __take_fresh(lru, l, slot, lru->target_free, &first);
		for (u32 i = got; i-- > 0;)
			__local_add_free(lru, slot, first + i);
	}
	if (!got && evict) {
		__rotate(lru, l, slot);
		__shrink(lru, l, slot, lru->target_free, take_to_local);
	}
	lru_unlock(&lru->list_locks[0]);
}

/* From the slot's own stock, filled up if need be. */
static u32 pop_local(struct bpf_lru *lru, u32 slot, bool evict)
{
	u32 n;

	lru_lock(&lru->local_locks[slot]);
	n = __local_pop_free(lru, slot);
	if (!n) {
		__refill_local(lru, slot, evict);
		n = __local_pop_free(lru, slot);
	}
	if (n)
		__local_add_pending(lru, slot, n);
	lru_unlock(&lru->local_locks[slot]);
	return n;
}

/* From another slot's stock. */
static u32 steal_free(struct bpf_lru *lru, u32 from)
{
	u32 n;

	if (!__atomic_load_n(&lru->local_locks[from].nr_free, __ATOMIC_RELAXED))
		return 0;
	lru_lock(&lru->local_locks[from]);
	n = __local_pop_free(lru, from);
	lru_unlock(&lru->local_locks[from]);
	return n;
}

/* Evict what another slot has just inserted: first what was not referenced yet, then anything. */
static u32 steal_pending(struct bpf_lru *lru, u32 from)
{
	u32 head = list_head(lru, from, BPF_LRU_LOCAL_LIST_T_PENDING), found = 0;

	lru_lock(&lru->local_locks[from]);
	for (int force = 0; force < 2 && !found; force++)
		for (u32 n = lru->nodes[head].prev; n != head && !found; n = lru->nodes[n].prev)
			if ((force || !is_ref(lru, n)) && lru->del_from_htab(lru->arg, n))
				found = n;
	if (found)
		__list_del(lru, found);
	lru_unlock(&lru->local_locks[from]);
	return found;
}

static u32 steal(struct bpf_lru *lru, u32 slot, u32 (*from)(struct bpf_lru *lru, u32 from))
{
	u32 n = 0;

	for (u32 i = 1; i < lru->nr_slots && !n; i++)
		n = from(lru, (slot + i) % lru->nr_slots);
	if (!n)
		return 0;
	lru_lock(&lru->local_locks[slot]);
	__local_add_pending(lru, slot, n);
	lru_unlock(&lru->local_locks[slot]);
	return n;
}

static u32 common_pop(struct bpf_lru *lru, u32 slot)
{
	u32 n = pop_local(lru, slot, false);

	if (!n) /* A: before anything is evicted */
		n = steal(lru, slot, steal_free);
	if (!n)
		n = pop_local(lru, slot, true);
	if (!n)
		n = steal(lru, slot, steal_pending);
	return n;
}

static void common_push(struct bpf_lru *lru, u32 n)
{
	struct bpf_lru_node *node = &lru->nodes[n];
	u32 slot = __atomic_load_n(&node->slot, __ATOMIC_RELAXED);

	/* It may leave the pending list until we have the lock, but only for the common lists. */
	if (__atomic_load_n(&node->type, __ATOMIC_RELAXED) == BPF_LRU_LOCAL_LIST_T_PENDING) {
		bool pending;

		lru_lock(&lru->local_locks[slot]);
		pending = __atomic_load_n(&node->type, __ATOMIC_RELAXED) ==
				  BPF_LRU_LOCAL_LIST_T_PENDING &&
			  __atomic_load_n(&node->slot, __ATOMIC_RELAXED) == slot;
		if (pending) {
			__list_del(lru, n);
			__local_add_free(lru, slot, n);
		}
		lru_unlock(&lru->local_locks[slot]);
		if (pending)
			return;
	}
	lru_lock(&lru->list_locks[0]);
	__node_move(lru, &lru->lists[0], 0, n, BPF_LRU_LIST_T_FREE);
	lru_unlock(&lru->list_locks[0]);
}

/* ---- lists of each slot's own */

static void take_to_free(struct bpf_lru *lru, struct bpf_lru_list *l, u32 slot, u32 n)
{
	__node_move(lru, l, slot, n, BPF_LRU_LIST_T_FREE);
}

static u32 percpu_pop(struct bpf_lru *lru, u32 slot)
{
	struct bpf_lru_list *l = &lru->lists[slot];
	u32 head = list_head(lru, slot, BPF_LRU_LIST_T_FREE), n, first;

	lru_lock(&lru->list_locks[slot]);
	n = list_first(lru, head);
	if (!n && __take_fresh(lru, l, slot, 1, &first)) {
		n = first;
		__node_put(lru, l, slot, n, BPF_LRU_LIST_T_INACTIVE);
	} else {
		if (!n) {
			__rotate(lru, l, slot);
			__shrink(lru, l, slot, PERCPU_FREE_TARGET, take_to_free);
			n = list_first(lru, head);
		}
		if (n)
			__node_move(lru, l, slot, n, BPF_LRU_LIST_T_INACTIVE);
	}
	lru_unlock(&lru->list_locks[slot]);
	return n;
}

static void percpu_push(struct bpf_lru *lru, u32 n)
{
	u32 slot = __atomic_load_n(&lru->nodes[n].slot, __ATOMIC_RELAXED); /* never changes */

	lru_lock(&lru->list_locks[slot]);
	__node_move(lru, &lru->lists[slot], slot, n, BPF_LRU_LIST_T_FREE);
	lru_unlock(&lru->list_locks[slot]);
}

/* ---- what the map calls */

u32 bpf_lru_pop_free(struct bpf_lru *lru, u32 slot)
{
	if (unlikely(slot >= lru->nr_slots))
		slot %= lru->nr_slots;
	return lru->percpu ? percpu_pop(lru, slot) : common_pop(lru, slot);
}

void bpf_lru_push_free(struct bpf_lru *lru, u32 node)
{
	if (lru->percpu)
		percpu_push(lru, node);
	else
		common_push(lru, node);
}

size_t bpf_lru_lists_bytes(u32 nr_slots)
{
	return nr_slots * sizeof(struct bpf_lru_list);
}

size_t bpf_lru_nodes_bytes(u32 max_entries, u32 nr_slots)
{
	return ((size_t)max_entries + nr_heads(nr_slots)) * sizeof(struct bpf_lru_node);
}

struct bpf_lru *bpf_lru_new(void *lists, void *nodes, u32 nr_nodes, u32 nr_slots, bool percpu)
{
	struct bpf_lru *lru = calloc(1, sizeof(*lru));
	size_t locks = nr_slots * sizeof(struct bpf_lru_lock);

	if (!lru)
		return NULL;
	lru->list_locks = aligned_alloc(64, locks);
	lru->local_locks = aligned_alloc(64, locks);
	if (!lru->list_locks || !lru->local_locks) {
		bpf_lru_free(lru);
		return NULL;
	}
	memset(lru->list_locks, 0, locks);
	memset(lru->local_locks, 0, locks);
	lru->lists = lists;
	lru->nodes = nodes;
	lru->nr_slots = nr_slots;
	lru->nr_nodes = nr_nodes;
	lru->first_node = nr_heads(nr_slots);
	lru->percpu = percpu;
	/*
	 * A stock is what a slot evicts in advance: a small part of the map, or hits would suffer.
	 */
	lru->target_free = nr_nodes / nr_slots / 64;
	lru->target_free = max(1u, min(lru->target_free, (u32)LOCAL_FREE_TARGET));
	lru->nr_scans = percpu ? PERCPU_FREE_TARGET : NR_SCANS;
	return lru;
}

void bpf_lru_free(struct bpf_lru *lru)
{
	if (!lru)
		return;
	free(lru->list_locks);
	free(lru->local_locks);
	free(lru);
}

void bpf_lru_reset(struct bpf_lru *lru)
{
	u32 nr_lists = lru->percpu ? lru->nr_slots : 1;

	for (u32 head = 0; head < lru->first_node; head++)
		list_make_empty(lru, head);
	memset(lru->lists, 0, bpf_lru_lists_bytes(lru->nr_slots));
	for (u32 slot = 0; slot < nr_lists; slot++)
		lru->lists[slot].next_inactive_rotation =
			list_head(lru, slot, BPF_LRU_LIST_T_INACTIVE);
	for (u32 slot = 0; slot < lru->nr_slots; slot++)
		lru->local_locks[slot].nr_free = 0;
}

u32 bpf_lru_fresh(const struct bpf_lru *lru, u32 slot)
{
	u32 share = lru->percpu ? lru->nr_nodes / lru->nr_slots : lru->nr_nodes;

	return min(lru->lists[slot].fresh, share);
}

u32 bpf_lru_restore(struct bpf_lru *lru, u32 slot, u32 elem, bool live)
{
	struct bpf_lru_list *l = &lru->lists[slot];
	u32 share = lru->percpu ? lru->nr_nodes / lru->nr_slots : 0;
	u32 n = lru->first_node + slot * share + l->fresh++;

	lru->nodes[n].elem = elem;
	__node_put(lru, l, slot, n,
		   !live	    ? BPF_LRU_LIST_T_FREE
		   : is_ref(lru, n) ? BPF_LRU_LIST_T_ACTIVE
				    : BPF_LRU_LIST_T_INACTIVE);
	return n;
}
