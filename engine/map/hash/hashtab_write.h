/*
 * hashtab_write.h - how writers change a bucket of the table (hashtab_layout.h)
 *
 * Functions with leading underscores need the bucket's lock. A writer locks, finds, changes,
 * unlocks:
 *
 *	word = bucket_lock(head);
 *	old = __bucket_find(htab, word, hash, key, key_size, lru, &prev);
 *	...
 *	bucket_unlock(head, word);
 *
 * No thread holds two bucket locks, and while it holds one it waits for nothing but the spare
 * element of the threads without a slot, or the lock of an element (spin_lock.h), whose holders
 * need nothing else.
 */
#ifndef UBPFFS_MAP_HASH_HASHTAB_WRITE_H
#define UBPFFS_MAP_HASH_HASHTAB_WRITE_H

#include "insn/func.h"
#include "map/hash/hashtab_find.h"

#define SPARE_STRIDE (64 / sizeof(u32))

/* ---- the bucket word */

static inline u32 word_link(u64 word)
{
	return (u32)(word & ~HTAB_LOCK);
}

static inline u64 word_set_link(u64 word, u32 link)
{
	return (word >> 32 << 32) | link;
}

static inline u64 word_set_filter(u64 word, u32 filter)
{
	return (word & 0xffffffffffff) | (u64)filter << 48;
}

/* One element more with this hash. */
static inline u64 word_filter_add(u64 word, u64 hash)
{
	u32 filter = (u32)(word >> 48);

	filter = filter & 0xf000 ? 0xffff : filter << 4 | htab_filter_of(hash);
	return word_set_filter(word, filter);
}

/* The word that says that something is being taken out. */
static inline u64 word_count_change(u64 word)
{
	return (word & ~0xffff00000000ull) | (u64)(u16)((word >> 32) + 1) << 32;
}

static inline bool is_elem(u32 link)
{
	return link && !(link & HTAB_LINK_END);
}

static inline u64 bucket_lock(u64 *bucket)
{
	u64 word = __atomic_load_n(bucket, __ATOMIC_RELAXED);
	u32 spins = 0;

	for (;;) {
		if (likely(!(word & HTAB_LOCK))) {
			if (likely(__atomic_compare_exchange_n(bucket, &word, word | HTAB_LOCK,
							       false, __ATOMIC_ACQUIRE,
							       __ATOMIC_RELAXED)))
				return word;
			continue;
		}
		bpf_spin_wait(&spins);
		word = __atomic_load_n(bucket, __ATOMIC_RELAXED);
	}
}

/* Show readers a new word while the lock is kept. */
static inline void bucket_publish(u64 *bucket, u64 word)
{
	__atomic_store_n(bucket, word | HTAB_LOCK, __ATOMIC_RELEASE);
}

static inline void bucket_unlock(u64 *bucket, u64 word)
{
	__atomic_store_n(bucket, word, __ATOMIC_RELEASE);
}

/* The page of this bucket gets its first element. Set before the element is linked. */
static inline void bucket_mark_used(struct bpf_htab *htab, u32 bucket)
{
	u32 page = bucket >> HTAB_USED_SHIFT;
	u64 *word = &htab->used[page / 64], bit = 1ull << (page % 64);

	if (!(__atomic_load_n(word, __ATOMIC_RELAXED) & bit))
		__atomic_fetch_or(word, bit, __ATOMIC_RELAXED);
}

/* *prev: the element before the one that is found, 0 when that is the first. */
__htab_inline u32 __bucket_find(const struct bpf_htab *htab, u64 word, u64 hash, const void *key,
				const u32 key_size, const bool lru, u32 *prev)
{
	u32 link = word_link(word);
	bool torn = false;

	*prev = 0;
	if (!htab_filter_may_have(word, hash))
		return 0;
	while (!(link & HTAB_LINK_END)) {
		struct htab_elem *elem = htab_elem(htab, link);

		if (htab_key_equal(htab, elem, key, key_size, lru, &torn))
			return link;
		*prev = link;
		link = elem->next;
	}
	return 0;
}

/* The word with the filter of its chain made from scratch. */
static inline u64 __bucket_filter(const struct bpf_htab *htab, u64 word)
{
	u32 link = word_link(word);

	word = word_set_filter(word, 0);
	while (is_elem(link)) {
		const struct htab_elem *elem = htab_elem(htab, link);

		word = word_filter_add(word, htab_elem_hash(htab, elem));
		link = elem->next;
	}
	return word;
}

/*
 * An element with this hash is out of the chain. Nothing but the word is looked at, which spares a
 * cache miss for each of the other elements, unless the chain was longer than a filter.
 */
static inline u64 __bucket_filter_del(const struct bpf_htab *htab, u64 word, u64 hash)
{
	u32 filter = (u32)(word >> 48), low;
	u32 places = htab_filter_places(filter, htab_filter_of(hash));

	if (unlikely(filter >= HTAB_FILTER_MORE || !places))
		return __bucket_filter(htab, word);
	low = (1u << (__builtin_ctz(places) - 3)) - 1;
	return word_set_filter(word, (filter & low) | (filter >> 4 & ~low));
}

/* ---- elements */

/*
 * Write per-CPU values: from outside those of all slots, in a program its own; of a new element the
 * others become zero.
 */
static inline void htab_pcpu_write(struct bpf_htab *htab, u32 idx, const void *value, bool all,
				   bool is_new)
{
	u32 mine = bpf_map_slot();

	if (!all && !is_new) {
		bpf_copy_to_arena(htab_pcpu_value(htab, idx, mine), value, htab->map.value_size);
		return;
	}
	for (u32 slot = 0; slot < htab->nr_slots; slot++) {
		void *to = htab_pcpu_value(htab, idx, slot);

		if (all && slot < bpf_nr_slots())
			bpf_copy_to_arena(to, (const char *)value + (size_t)slot * htab->pcpu_size,
					  htab->pcpu_size);
		else if (!all && slot == mine)
			bpf_copy_to_arena(to, value, htab->map.value_size);
		else
			bpf_zero_arena(to, htab->pcpu_size);
	}
}

static inline void elem_mark_dead(struct htab_elem *elem)
{
	__atomic_store_n(&elem->version, elem->version + 1, __ATOMIC_RELEASE);
}

/*
 * The element that an update of an existing key puts in. A slot's spare is its owner's alone; the
 * last is for all who have no slot: who finds it taken waits for the update that has it.
 */
static inline u32 spare_take(struct bpf_htab *htab)
{
	u32 slot = (u32)bpf_this.slot, spins = 0, idx;
	u32 *spare;

	if (likely(slot < htab->nr_slots))
		return htab->spares[slot * SPARE_STRIDE];
	spare = &htab->spares[htab->nr_slots * SPARE_STRIDE];
	while (!(idx = __atomic_exchange_n(spare, 0, __ATOMIC_ACQUIRE)))
		bpf_spin_wait(&spins);
	return idx;
}

static inline void spare_give(struct bpf_htab *htab, u32 idx)
{
	u32 slot = (u32)bpf_this.slot;

	if (slot > htab->nr_slots)
		slot = htab->nr_slots;
	__atomic_store_n(&htab->spares[slot * SPARE_STRIDE], idx, __ATOMIC_RELEASE);
}

/* ---- changes. Key and value of the new element are complete, its version even. They unlock. */

__htab_inline void __bucket_insert_unlock(struct bpf_htab *htab, u64 *head, u64 word, u64 hash,
					  u32 idx)
{
	u32 bucket = (u32)hash & htab->mask, next = word_link(word);
	struct htab_elem *elem = htab_elem(htab, idx);

	if (unlikely(!next)) {
		bucket_mark_used(htab, bucket);
		next = HTAB_LINK_END | bucket;
	}
	__atomic_store_n(&elem->next, next, __ATOMIC_RELAXED);
	__atomic_store_n(&elem->version, elem->version + 1, __ATOMIC_RELEASE);
	bucket_unlock(head, word_filter_add(word_set_link(word, idx), hash));
}

/* The new element goes in front; see "An element is put in only in front" in hashtab_layout.h. */
__htab_inline void __bucket_replace_unlock(struct bpf_htab *htab, u64 *head, u64 word, u32 prev,
					   u32 old, u32 new)
{
	struct htab_elem *elem = htab_elem(htab, new), *old_elem = htab_elem(htab, old);
	u32 next = prev ? word_link(word) : old_elem->next;

	__atomic_store_n(&elem->next, next, __ATOMIC_RELAXED);
	__atomic_store_n(&elem->version, old_elem->version + 2, __ATOMIC_RELEASE);
	word = word_count_change(word_set_link(word, new));
	bucket_publish(head, word);
	if (prev)
		__atomic_store_n(&htab_elem(htab, prev)->next, old_elem->next, __ATOMIC_RELEASE);
	elem_mark_dead(old_elem);
	bucket_unlock(head, word);
}

__htab_inline void __bucket_delete_unlock(struct bpf_htab *htab, u64 *head, u64 word, u64 hash,
					  u32 prev, u32 idx)
{
	struct htab_elem *elem = htab_elem(htab, idx);
	u32 next = elem->next;

	word = word_count_change(word);
	if (!prev)
		word = word_set_link(word, next);
	bucket_publish(head, word);
	if (prev)
		__atomic_store_n(&htab_elem(htab, prev)->next, next, __ATOMIC_RELEASE);
	elem_mark_dead(elem);
	bucket_unlock(head, __bucket_filter_del(htab, word, hash));
}

/*
 * map_gen_lookup of a type: a call of the lookup for the map's key size, without dispatch. `find`
 * is find(htab, key, key_size), inlined once for each.
 */
#define HTAB_GEN_LOOKUP_ONE(prefix, find, size)                                               \
	static u64 prefix##_key##size(u64 map, u64 key, u64 r3, u64 r4, u64 r5)               \
	{                                                                                     \
		return (u64)(uintptr_t)find((struct bpf_htab *)map, (const void *)key, size); \
	}
#define HTAB_GEN_LOOKUP(prefix, find)                                                              \
	HTAB_GEN_LOOKUP_ONE(prefix, find, 4)                                                       \
	HTAB_GEN_LOOKUP_ONE(prefix, find, 8)                                                       \
	HTAB_GEN_LOOKUP_ONE(prefix, find, 16)                                                      \
	HTAB_GEN_LOOKUP_ONE(prefix, find, 0)                                                       \
	static int prefix##_gen_lookup(struct bpf_map *map, struct bpf_insn *buf, u32 max)         \
	{                                                                                          \
		bpf_func_t func = map->key_size == 4	? prefix##_key4                            \
				  : map->key_size == 8	? prefix##_key8                            \
				  : map->key_size == 16 ? prefix##_key16                           \
							: prefix##_key0;                           \
                                                                                                   \
		if (max < 1)                                                                       \
			return -EOPNOTSUPP;                                                        \
		buf[0] = (struct bpf_insn){.code = BPF_JMP | BPF_CALL, .imm = BPF_CALL_IMM(func)}; \
		return 1;                                                                          \
	}

/* Why a free list gave nothing: the map is full, or the filesystem is. */
static inline long htab_no_element(const struct bpf_htab *htab)
{
	return pcpu_freelist_fresh(&htab->freelist) < htab->total_elems ? -ENOMEM : -E2BIG;
}

#endif
