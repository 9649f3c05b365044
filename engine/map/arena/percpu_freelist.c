/*
 * percpu_freelist.c - lock-free stacks of free elements, one a slot (see percpu_freelist.h)
 */
#include "map/arena/percpu_freelist.h"

static u32 *node_link(const struct pcpu_freelist *fl, u32 idx)
{
	return (u32 *)(fl->nodes + (size_t)idx * fl->node_size);
}

static u64 *fresh_ptr(const struct pcpu_freelist *fl)
{
	return &fl->heads[fl->nr_slots].first;
}

/* The head after a change: one more change, another first node. */
static u64 head_next(u64 head, u32 idx)
{
	return ((head >> 32) + 1) << 32 | idx;
}

void pcpu_freelist_init(struct pcpu_freelist *fl, void *mem, u32 nr_slots, void *nodes,
			u32 node_size, u32 total)
{
	fl->heads = mem;
	fl->nr_slots = nr_slots;
	fl->total = total;
	fl->nodes = nodes;
	fl->node_size = node_size;
	fl->backed = total;
	fl->back = NULL;
	if (!*fresh_ptr(fl))
		*fresh_ptr(fl) = 1;
}

void pcpu_freelist_reset(struct pcpu_freelist *fl)
{
	u64 fresh = *fresh_ptr(fl);

	for (u32 i = 0; i < fl->nr_slots; i++)
		fl->heads[i].first = 0;
	*fresh_ptr(fl) = fresh < 1 ? 1 : min(fresh, (u64)fl->total);
}

u32 pcpu_freelist_fresh(const struct pcpu_freelist *fl)
{
	u64 fresh = __atomic_load_n(fresh_ptr(fl), __ATOMIC_RELAXED);

	return (u32)min(fresh, (u64)fl->total);
}

void pcpu_freelist_push(struct pcpu_freelist *fl, u32 slot, u32 idx)
{
	u64 *head, old;

	if (unlikely(slot >= fl->nr_slots))
		slot %= fl->nr_slots;
	head = &fl->heads[slot].first;
	old = __atomic_load_n(head, __ATOMIC_RELAXED);
	do {
		__atomic_store_n(node_link(fl, idx), PCPU_FREE_LINK | (u32)old, __ATOMIC_RELAXED);
	} while (!__atomic_compare_exchange_n(head, &old, head_next(old, idx), true,
					      __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

static u32 pop_list(struct pcpu_freelist *fl, u32 slot)
{
	u64 *head = &fl->heads[slot].first;
	u64 old = __atomic_load_n(head, __ATOMIC_ACQUIRE);

	/*
	 * The link may be read from a node that somebody else popped meanwhile and writes to: then
	 * the head has changed, and what was read is not used.
	 */
	while ((u32)old) {
		u32 link = __atomic_load_n(node_link(fl, (u32)old), __ATOMIC_RELAXED);

		if (__atomic_compare_exchange_n(head, &old, head_next(old, link & ~PCPU_FREE_LINK),
						true, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE))
			return (u32)old;
	}
	return 0;
}

static bool back_from(struct pcpu_freelist *fl, u32 idx)
{
	u32 end = fl->back(fl, idx), backed = __atomic_load_n(&fl->backed, __ATOMIC_RELAXED);

	while (backed < end && !__atomic_compare_exchange_n(&fl->backed, &backed, end, true,
							    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	return idx < end;
}

/*
 * A node that was never used. One at a time: nodes that a thread had taken to hand on would be
 * missing for the others in between, and a map of N entries would refuse the Nth.
 */
static u32 pop_fresh(struct pcpu_freelist *fl)
{
	u64 *fresh = fresh_ptr(fl);
	u64 idx = __atomic_load_n(fresh, __ATOMIC_RELAXED);

	do {
		if (idx >= fl->total)
			return 0;
		if (unlikely(idx >= __atomic_load_n(&fl->backed, __ATOMIC_RELAXED)) &&
		    !back_from(fl, (u32)idx))
			return 0;
	} while (!__atomic_compare_exchange_n(fresh, &idx, idx + 1, true, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	return (u32)idx;
}

/* How often the lists changed, all together. Equal before and after: nothing changed in between. */
static u64 changes(const struct pcpu_freelist *fl)
{
	u64 sum = 0;

	for (u32 i = 0; i < fl->nr_slots; i++)
		sum += __atomic_load_n(&fl->heads[i].first, __ATOMIC_SEQ_CST) >> 32;
	return sum;
}

static u32 pop_others(struct pcpu_freelist *fl, u32 slot)
{
	u64 before;

	do {
		before = changes(fl);
		for (u32 i = 0; i < fl->nr_slots; i++) {
			u32 from = slot + i < fl->nr_slots ? slot + i : slot + i - fl->nr_slots;
			u32 idx = pop_list(fl, from);

			if (idx)
				return idx;
		}
	} while (before != changes(fl));
	return 0;
}

u32 pcpu_freelist_pop(struct pcpu_freelist *fl, u32 slot)
{
	u32 idx;

	if (unlikely(slot >= fl->nr_slots))
		slot %= fl->nr_slots;
	idx = pop_list(fl, slot);
	if (unlikely(!idx))
		idx = pop_fresh(fl);
	if (unlikely(!idx))
		idx = pop_others(fl, slot);
	return idx;
}
