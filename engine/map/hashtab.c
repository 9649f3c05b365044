/*
 * hashtab.c - hash maps
 *
 * The structure is described in hashtab.h. The arena's index holds, in this order: the free lists, the spare
 * elements, the bitmap of used bucket pages, the buckets, the elements.
 *
 * There is one element more a slot than max_entries, and one for threads without a slot: an update of an
 * existing key puts the new element in place with the slot's spare, and the old element becomes the
 * spare. So an update never fails for want of an element, and the elements on the free lists are exactly the
 * free entries.
 *
 * Guarantees
 *   A. A lookup takes no lock and writes nothing. It finds a key that is in the map during the whole
 *      lookup, also while the key's value is replaced and while other keys come and go.
 *   B. An update of an existing key is atomic: every lookup finds the old or the new value, whole.
 *   C. A map of N takes N different keys, never N + 1; the N + 1st is -E2BIG.
 *   D. A value that a program holds a pointer to stays readable until its RCU section ends, but a delete or an
 *      update may give the element to another key at once (as Linux does with preallocated elements).
 *   E. An update or delete that returned survives SIGKILL at any instruction; one that did not is there
 *      whole or not at all.
 *   F. The order of a walk is by bucket; get_next_key and iteration read a bucket under its lock.
 *
 * Locks: one bit a bucket; no thread ever holds two. Nothing is locked by or waited for while one is held,
 * but the spare of the threads without a slot, whose holder holds a bucket lock and needs nothing else.
 * Tests: tests/unit/test_hashtab.c names each case by its letter.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "map/hashtab.h"

#define SPARE_STRIDE (64 / sizeof(u32))

#define HTAB_FLAGS (BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | BPF_F_ACCESS_MASK | BPF_F_ZERO_SEED)

/* ---- layout */

struct htab_layout {
	u32 n_buckets, total_elems, elem_size, value_off;
	u64 spares, used, buckets, elems, end; /* offsets in the index */
};

static u32 roundup_pow2(u32 n)
{
	return n <= 1 ? 1 : 1u << (32 - __builtin_clz(n - 1));
}

/* Elements that would straddle cache lines for the want of 8 bytes get them. */
static u32 htab_elem_size(u32 value_off, u32 value_size)
{
	u32 size = value_off + round_up(value_size, 8);

	return size == 24 || size == 56 ? size + 8 : size;
}

static void htab_layout(const struct bpf_map_spec *spec, u32 nr_slots, struct htab_layout *l)
{
	u64 used_bytes;

	l->n_buckets = roundup_pow2(spec->max_entries);
	l->total_elems = 1 + spec->max_entries + nr_slots + 1;
	l->value_off = sizeof(struct htab_elem) + round_up(spec->key_size, 8);
	l->elem_size = htab_elem_size(l->value_off, spec->value_size);

	l->spares = pcpu_freelist_bytes(nr_slots);
	l->used = l->spares + (nr_slots + 1) * SPARE_STRIDE * sizeof(u32);
	used_bytes = round_up(((u64)l->n_buckets >> HTAB_USED_SHIFT) / 8 + 1, (u64)64);
	l->buckets = round_up(l->used + used_bytes, (u64)4096);
	l->elems = round_up(l->buckets + (u64)l->n_buckets * sizeof(u64), (u64)4096);
	l->end = l->elems + (u64)l->total_elems * l->elem_size;
}

static int htab_map_alloc_check(const struct bpf_map_spec *spec)
{
	if (spec->map_flags & ~HTAB_FLAGS)
		return -EINVAL;
	if (!spec->max_entries || !spec->key_size || !spec->value_size)
		return -EINVAL;
	if ((u64)spec->key_size + spec->value_size >= KMALLOC_MAX_SIZE - 48)
		return -E2BIG;
	if (spec->max_entries > HTAB_MAX_BUCKETS)
		return -E2BIG;
	return 0;
}

static int htab_map_layout(const struct bpf_map_spec *spec, u32 nr_slots, u64 *index, u64 *values)
{
	struct htab_layout l;

	htab_layout(spec, nr_slots, &l);
	*index = l.end;
	*values = 0;
	return l.end > BPF_ARENA_MAX_SIZE ? -ENOMEM : 0;
}

/* ---- keys and hashes of any size */

u64 htab_hash_bytes(const void *key, u32 size, u64 seed)
{
	return XXH3_64bits_withSeed(key, size, seed);
}

/* Word i of a key, zero-padded. */
static u64 key_word(const void *key, u32 key_size, u32 i)
{
	u32 left = key_size - i * 8;
	u64 word = 0;

	memcpy(&word, (const char *)key + i * 8, min(left, 8u));
	return word;
}

bool htab_key_equal_words(const struct bpf_htab *htab, const struct htab_elem *elem,
			  const void *key)
{
	for (u32 i = 0; i < htab->key_words; i++)
		if (__atomic_load_n(&elem->key[i], __ATOMIC_ACQUIRE) !=
		    key_word(key, htab->map.key_size, i))
			return false;
	return true;
}

static void elem_set_key(const struct bpf_htab *htab, struct htab_elem *elem, const void *key)
{
	for (u32 i = 0; i < htab->key_words; i++)
		__atomic_store_n(&elem->key[i], key_word(key, htab->map.key_size, i),
				 __ATOMIC_RELEASE);
}

static u64 elem_hash(const struct bpf_htab *htab, const struct htab_elem *elem)
{
	switch (htab->map.key_size) {
	case 4:
		return htab_hash(htab, elem->key, 4);
	case 8:
		return htab_hash(htab, elem->key, 8);
	case 16:
		return htab_hash(htab, elem->key, 16);
	default:
		return htab_hash(htab, elem->key, 0);
	}
}

/* ---- buckets */

static u64 bucket_lock(u64 *bucket)
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
		/* The holder may have lost its CPU: let it run. */
		if (++spins % 128 == 0)
			sched_yield();
		else
			__builtin_ia32_pause();
		word = __atomic_load_n(bucket, __ATOMIC_RELAXED);
	}
}

/* Show readers a new word while the lock is kept. */
static void bucket_publish(u64 *bucket, u64 word)
{
	__atomic_store_n(bucket, word | HTAB_LOCK, __ATOMIC_RELEASE);
}

static void bucket_unlock(u64 *bucket, u64 word)
{
	__atomic_store_n(bucket, word, __ATOMIC_RELEASE);
}

static u32 word_link(u64 word)
{
	return (u32)(word & ~HTAB_LOCK);
}

static u64 word_set_link(u64 word, u32 link)
{
	return (word >> 32 << 32) | link;
}

static u64 word_set_filter(u64 word, u64 filter)
{
	return (word & 0xffffffffffff) | filter;
}

/* The word that says that something is being taken out. */
static u64 word_count_change(u64 word)
{
	return (word & ~0xffff00000000ull) | (u64)(u16)((word >> 32) + 1) << 32;
}

static bool is_elem(u32 link)
{
	return link && !(link & HTAB_LINK_END);
}

/* The page of this bucket gets its first element. Set before the element is linked. */
static void bucket_mark_used(struct bpf_htab *htab, u32 bucket)
{
	u32 page = bucket >> HTAB_USED_SHIFT;
	u64 *word = &htab->used[page / 64], bit = 1ull << (page % 64);

	if (!(__atomic_load_n(word, __ATOMIC_RELAXED) & bit))
		__atomic_fetch_or(word, bit, __ATOMIC_RELAXED);
}

/* The first bucket from `from` on whose page was ever used, or the number of buckets. */
static u32 bucket_next_used(const struct bpf_htab *htab, u32 from)
{
	u32 n_buckets = htab->mask + 1;

	while (from < n_buckets) {
		u32 page = from >> HTAB_USED_SHIFT;
		u64 bits = __atomic_load_n(&htab->used[page / 64], __ATOMIC_RELAXED);

		if (bits >> (page % 64) & 1)
			return from;
		from = bits >> (page % 64) ? (page + 1) << HTAB_USED_SHIFT
					   : (page / 64 + 1) * 64 << HTAB_USED_SHIFT;
	}
	return n_buckets;
}

/* The caller holds the bucket's lock. *prev: the element before, 0 when it is the first. */
static inline __attribute__((always_inline)) u32 __bucket_find(const struct bpf_htab *htab,
							       u64 word, u64 hash, const void *key,
							       const u32 key_size, u32 *prev)
{
	u32 link = word_link(word);
	bool torn = false;

	*prev = 0;
	if (!(word & htab_filter_bit(hash)))
		return 0;
	while (!(link & HTAB_LINK_END)) {
		struct htab_elem *elem = htab_elem(htab, link);

		if (htab_key_equal(htab, elem, key, key_size, &torn))
			return link;
		*prev = link;
		link = elem->next;
	}
	return 0;
}

/* The filter of a chain, from scratch. */
static u64 __bucket_filter(const struct bpf_htab *htab, u32 link)
{
	u64 filter = 0;

	while (is_elem(link)) {
		const struct htab_elem *elem = htab_elem(htab, link);

		filter |= htab_filter_bit(elem_hash(htab, elem));
		link = elem->next;
	}
	return filter;
}

/*
 * Take an element out of its chain, and publish the bucket's new word, which is returned for unlocking.
 */
static inline __attribute__((always_inline)) u64 __bucket_unlink(struct bpf_htab *htab, u64 *head,
								 u64 word, u32 prev, u32 idx)
{
	u32 next = htab_elem(htab, idx)->next;

	word = word_count_change(word);
	if (!prev)
		word = word_set_link(word, next);
	bucket_publish(head, word);
	if (prev)
		__atomic_store_n(&htab_elem(htab, prev)->next, next, __ATOMIC_RELEASE);
	return word;
}

/* ---- elements */

static void elem_mark_dead(struct htab_elem *elem)
{
	__atomic_store_n(&elem->version, elem->version + 1, __ATOMIC_RELEASE);
}

static bool elem_live(const struct htab_elem *elem)
{
	return elem->version & 1;
}

/*
 * The element that an update of an existing key puts in. A slot's spare is its owner's alone; the
 * last is for all who have no slot: who finds it taken waits for the update that has it.
 */
static u32 spare_take(struct bpf_htab *htab)
{
	u32 slot = (u32)bpf_this.slot, spins = 0, idx;
	u32 *spare;

	if (likely(slot < htab->nr_slots))
		return htab->spares[slot * SPARE_STRIDE];
	spare = &htab->spares[htab->nr_slots * SPARE_STRIDE];
	while (!(idx = __atomic_exchange_n(spare, 0, __ATOMIC_ACQUIRE)))
		if (++spins % 128 == 0)
			sched_yield();
	return idx;
}

static void spare_give(struct bpf_htab *htab, u32 idx)
{
	u32 slot = (u32)bpf_this.slot;

	if (slot > htab->nr_slots)
		slot = htab->nr_slots;
	__atomic_store_n(&htab->spares[slot * SPARE_STRIDE], idx, __ATOMIC_RELEASE);
}

/* Why a free list gave nothing: the map is full, or the filesystem is. */
static long htab_no_element(const struct bpf_htab *htab)
{
	return pcpu_freelist_fresh(&htab->freelist) < htab->total_elems ? -ENOMEM : -E2BIG;
}

#define BACK_STEP (128u << 10)

/* pcpu_freelist.back: a piece of the file at a time. */
static u32 htab_back(struct pcpu_freelist *fl, u32 from)
{
	struct bpf_htab *htab = container_of(fl, struct bpf_htab, freelist);
	u32 end = (u32)min((u64)from + BACK_STEP / htab->elem_size + 1, (u64)fl->total);

	if (bpf_arena_reserve(htab->map.arena, htab_elem(htab, from),
			      (u64)(end - from) * htab->elem_size))
		return from;
	return end;
}

/* ---- operations, one copy for each key size that is worth it */

#define HTAB_BY_KEY_SIZE(map, call) \
	switch ((map)->key_size) {  \
	case 4:                     \
		return call(4);     \
	case 8:                     \
		return call(8);     \
	case 16:                    \
		return call(16);    \
	default:                    \
		return call(0);     \
	}

static inline __attribute__((always_inline)) void *lookup(struct bpf_htab *htab, const void *key,
							  const u32 key_size)
{
	struct htab_elem *elem = htab_find(htab, key, htab_hash(htab, key, key_size), key_size);

	return elem ? htab_elem_value(htab, elem) : NULL;
}

static void *htab_map_lookup_elem(struct bpf_map *map, const void *key)
{
#define call(size) lookup(bpf_htab(map), key, size)
	HTAB_BY_KEY_SIZE(map, call)
#undef call
}

static inline __attribute__((always_inline)) long update(struct bpf_htab *htab, const void *key,
							 const void *value, u64 flags,
							 const u32 key_size)
{
	u64 hash = htab_hash(htab, key, key_size);
	u32 bucket = (u32)hash & htab->mask;
	u64 *head = &htab->buckets[bucket];
	struct htab_elem *elem;
	u32 old, new, prev;
	u64 word;
	long err;

	word = bucket_lock(head);
	old = __bucket_find(htab, word, hash, key, key_size, &prev);
	if (old) {
		err = -EEXIST;
		if (unlikely(flags == BPF_NOEXIST))
			goto fail;
		new = spare_take(htab);
	} else {
		err = -ENOENT;
		if (unlikely(flags == BPF_EXIST))
			goto fail;
		new = pcpu_freelist_pop(&htab->freelist, bpf_map_slot());
		if (unlikely(!new)) {
			err = htab_no_element(htab);
			goto fail;
		}
	}

	elem = htab_elem(htab, new);
	if (key_size == 4 || key_size == 8 || key_size == 16) {
		u64 words[2] = {};

		memcpy(words, key, key_size);
		__atomic_store_n(&elem->key[0], words[0], __ATOMIC_RELEASE);
		if (key_size == 16)
			__atomic_store_n(&elem->key[1], words[1], __ATOMIC_RELEASE);
	} else {
		elem_set_key(htab, elem, key);
	}
	bpf_copy_to_arena(htab_elem_value(htab, elem), value, htab->map.value_size);

	if (old) {
		struct htab_elem *old_elem = htab_elem(htab, old);
		u32 next = prev ? word_link(word) : old_elem->next;

		__atomic_store_n(&elem->next, next, __ATOMIC_RELAXED);
		__atomic_store_n(&elem->version, old_elem->version + 2, __ATOMIC_RELEASE);
		word = word_count_change(word_set_link(word, new));
		bucket_publish(head, word);
		if (prev)
			__atomic_store_n(&htab_elem(htab, prev)->next, old_elem->next,
					 __ATOMIC_RELEASE);
		elem_mark_dead(old_elem);
		bucket_unlock(head, word);
		spare_give(htab, old);
	} else {
		u32 next = word_link(word);

		if (unlikely(!next)) {
			bucket_mark_used(htab, bucket);
			next = HTAB_LINK_END | bucket;
		}
		__atomic_store_n(&elem->next, next, __ATOMIC_RELAXED);
		__atomic_store_n(&elem->version, elem->version + 1, __ATOMIC_RELEASE);
		bucket_unlock(head, word_set_link(word, new) | htab_filter_bit(hash));
		bpf_map_count(&htab->map, entries, 1);
	}
	bpf_map_count(&htab->map, updates, 1);
	return 0;
fail:
	bucket_unlock(head, word);
	bpf_map_count(&htab->map, failed_updates, 1);
	return err;
}

static long htab_map_update_elem(struct bpf_map *map, const void *key, const void *value, u64 flags)
{
	if (unlikely(flags & ~(u64)(BPF_NOEXIST | BPF_EXIST) || flags > BPF_EXIST)) {
		bpf_map_count(map, failed_updates, 1);
		return -EINVAL;
	}
#define call(size) update(bpf_htab(map), key, value, flags, size)
	HTAB_BY_KEY_SIZE(map, call)
#undef call
}

static inline __attribute__((always_inline)) long delete (struct bpf_htab *htab, const void *key,
							  const u32 key_size)
{
	u64 hash = htab_hash(htab, key, key_size);
	u64 *head = &htab->buckets[(u32)hash & htab->mask];
	u64 word = bucket_lock(head);
	u32 prev, idx;

	idx = __bucket_find(htab, word, hash, key, key_size, &prev);
	if (!idx) {
		bucket_unlock(head, word);
		return -ENOENT;
	}
	word = __bucket_unlink(htab, head, word, prev, idx);
	word = word_set_filter(word, __bucket_filter(htab, word_link(word)));
	elem_mark_dead(htab_elem(htab, idx));
	bucket_unlock(head, word);

	pcpu_freelist_push(&htab->freelist, bpf_map_slot(), idx);
	bpf_map_count(&htab->map, entries, -1);
	bpf_map_count(&htab->map, deletes, 1);
	return 0;
}

static long htab_map_delete_elem(struct bpf_map *map, const void *key)
{
#define call(size) delete (bpf_htab(map), key, size)
	HTAB_BY_KEY_SIZE(map, call)
#undef call
}

/* From outside a value is copied, so the bucket is locked: an update cannot reuse the element meanwhile. */
static inline __attribute__((always_inline)) long copy_out(struct bpf_htab *htab, const void *key,
							   void *value, const u32 key_size)
{
	u64 hash = htab_hash(htab, key, key_size);
	u64 *head = &htab->buckets[(u32)hash & htab->mask];
	u32 idx, prev;
	u64 word;

	if (!(__atomic_load_n(head, __ATOMIC_ACQUIRE) & htab_filter_bit(hash)))
		return -ENOENT;
	word = bucket_lock(head);
	idx = __bucket_find(htab, word, hash, key, key_size, &prev);
	if (idx)
		bpf_copy_from_arena(value, htab_elem_value(htab, htab_elem(htab, idx)),
				    htab->map.value_size);
	bucket_unlock(head, word);
	return idx ? 0 : -ENOENT;
}

static long htab_sys_lookup_elem(struct bpf_map *map, const void *key, void *value)
{
#define call(size) copy_out(bpf_htab(map), key, value, size)
	HTAB_BY_KEY_SIZE(map, call)
#undef call
}

/* ---- walks */

/* The key of the first element from this bucket on. */
static int first_key_from(struct bpf_htab *htab, u32 bucket, void *key)
{
	for (; (bucket = bucket_next_used(htab, bucket)) <= htab->mask; bucket++) {
		u64 *head = &htab->buckets[bucket];
		u64 word;
		u32 link;

		if (!is_elem(word_link(__atomic_load_n(head, __ATOMIC_RELAXED))))
			continue;
		word = bucket_lock(head);
		link = word_link(word);
		if (is_elem(link))
			memcpy(key, htab_elem(htab, link)->key, htab->map.key_size);
		bucket_unlock(head, word);
		if (is_elem(link))
			return 0;
	}
	return -ENOENT;
}

static int htab_map_get_next_key(struct bpf_map *map, const void *key, void *next_key)
{
	struct bpf_htab *htab = bpf_htab(map);
	u32 bucket, idx, prev, link = 0;
	u64 *head, hash, word;

	if (!key)
		return first_key_from(htab, 0, next_key);
	hash = map->key_size == 4    ? htab_hash(htab, key, 4)
	       : map->key_size == 8  ? htab_hash(htab, key, 8)
	       : map->key_size == 16 ? htab_hash(htab, key, 16)
				     : htab_hash(htab, key, 0);
	bucket = (u32)hash & htab->mask;
	head = &htab->buckets[bucket];
	word = bucket_lock(head);
	idx = __bucket_find(htab, word, hash, key, 0, &prev);
	if (idx)
		link = htab_elem(htab, idx)->next;
	if (is_elem(link))
		memcpy(next_key, htab_elem(htab, link)->key, map->key_size);
	bucket_unlock(head, word);
	if (is_elem(link))
		return 0;
	return first_key_from(htab, idx ? bucket + 1 : 0, next_key);
}

/* Copy a bucket whole, or say (by the number) how much room it needs. */
static u32 bucket_copy(struct bpf_map_iter *it, u32 bucket, u32 room)
{
	struct bpf_htab *htab = bpf_htab(it->map);
	u64 *head = &htab->buckets[bucket];
	u64 word = bucket_lock(head);
	u32 nr = 0;

	for (u32 link = word_link(word); is_elem(link); link = htab_elem(htab, link)->next)
		nr++;
	if (nr <= room) {
		u32 link = word_link(word);

		for (u32 i = 0; i < nr; i++) {
			struct htab_elem *elem = htab_elem(htab, link);

			memcpy(bpf_map_iter_key(it, i), elem->key, htab->map.key_size);
			if (!it->keys_only)
				bpf_copy_from_arena(bpf_map_iter_value(it, i),
						    htab_elem_value(htab, elem),
						    htab->map.value_size);
			link = elem->next;
		}
	}
	bucket_unlock(head, word);
	return nr;
}

static int htab_map_iter(struct bpf_map_iter *it)
{
	struct bpf_htab *htab = bpf_htab(it->map);
	u32 nr, room = 4;

	while (it->pos <= htab->mask) {
		u32 bucket = bucket_next_used(htab, (u32)it->pos);

		it->pos = bucket;
		if (bucket > htab->mask)
			break;
		nr = 0;
		if (is_elem(word_link(__atomic_load_n(&htab->buckets[bucket], __ATOMIC_RELAXED)))) {
			do {
				room = max(room, nr);
				if (bpf_map_iter_reserve(it, room))
					return -ENOMEM;
				nr = bucket_copy(it, bucket, room);
			} while (nr > room);
		}
		it->pos = bucket + 1;
		if (nr)
			return (int)nr;
	}
	return 0;
}

/* ---- making, opening, recovering */

static u64 seed_expand(u64 seed)
{
	seed += HTAB_MUL1;
	seed = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9ull;
	seed = (seed ^ seed >> 27) * 0x94d049bb133111ebull;
	return seed ^ seed >> 31;
}

static int htab_attach(struct bpf_htab *htab)
{
	struct bpf_arena *arena = htab->map.arena;
	char *index = arena->index;
	struct htab_layout l;

	htab->nr_slots = arena->header->nr_slots;
	htab_layout(&arena->header->spec, htab->nr_slots, &l);
	htab->spares = (u32 *)(index + l.spares);
	htab->used = (u64 *)(index + l.used);
	htab->buckets = (u64 *)(index + l.buckets);
	htab->elems = index + l.elems;
	htab->mask = l.n_buckets - 1;
	htab->elem_size = l.elem_size;
	htab->value_off = l.value_off;
	htab->key_words = round_up(htab->map.key_size, 8) / 8;
	htab->total_elems = l.total_elems;
	htab->seed = seed_expand(arena->header->hash_seed);
	pcpu_freelist_init(&htab->freelist, index, htab->nr_slots, htab->elems, l.elem_size,
			   l.total_elems);
	if (arena->index_fd < 0) {
		/* Elements are used densely; the buckets of a large map are not, until it is full. */
		if (l.elems - l.buckets <= 64 << 20)
			bpf_arena_advise_huge(htab->buckets, l.elems - l.buckets);
		bpf_arena_advise_huge(htab->elems, l.end - l.elems);
		return 0;
	}
	htab->freelist.backed = pcpu_freelist_fresh(&htab->freelist);
	htab->freelist.back = htab_back;
	return bpf_arena_reserve(arena, arena->header,
				 (l.elems <= BPF_ARENA_RESERVE_MAX ? l.elems : l.buckets) +
					 BPF_ARENA_HEADER_SIZE);
}

/* Recovery does not need memory for it: what was in use before is there. */
static int spares_fill(struct bpf_htab *htab)
{
	for (u32 i = 0; i <= htab->nr_slots; i++) {
		u32 idx = pcpu_freelist_pop(&htab->freelist, i);

		if (!idx)
			return -ENOSPC;
		htab->spares[i * SPARE_STRIDE] = idx;
	}
	return 0;
}

static int htab_map_alloc(struct bpf_map *map)
{
	struct bpf_htab *htab = bpf_htab(map);
	int err = htab_attach(htab);

	return err ? err : spares_fill(htab);
}

static void buckets_clear(struct bpf_htab *htab)
{
	u32 n_buckets = htab->mask + 1, page = 1u << HTAB_USED_SHIFT;

	for (u32 b = 0; (b = bucket_next_used(htab, b)) < n_buckets; b += page)
		memset(&htab->buckets[b], 0, min(page, n_buckets - b) * sizeof(u64));
}

/*
 * Put a live element that recovery found back into its chain. Returns the element that lost: of two with
 * the same key, the older (an update was cut short between its two halves).
 */
static u32 recover_elem(struct bpf_htab *htab, u32 idx)
{
	struct htab_elem *elem = htab_elem(htab, idx);
	u64 hash = elem_hash(htab, elem);
	u32 bucket = (u32)hash & htab->mask;
	u64 *head = &htab->buckets[bucket];
	u32 prev, loser;

	loser = __bucket_find(htab, *head, hash, elem->key, 0, &prev);
	if (loser) {
		struct htab_elem *other = htab_elem(htab, loser);

		if ((s32)(elem->version - other->version) < 0)
			return idx;
		*head = __bucket_unlink(htab, head, *head, prev, loser);
	}
	bucket_mark_used(htab, bucket);
	elem->next = word_link(*head) ? word_link(*head) : HTAB_LINK_END | bucket;
	*head = word_set_link(*head, idx) | htab_filter_bit(hash);
	return loser;
}

/*
 * Rebuild everything from the elements' own marks. Nothing that the process that died left in links,
 * locks, lists or spares is used. May be cut short itself and begun again.
 */
static int htab_recover(struct bpf_htab *htab)
{
	u32 fresh, live = 0;

	pcpu_freelist_reset(&htab->freelist);
	buckets_clear(htab);
	fresh = pcpu_freelist_fresh(&htab->freelist);
	for (u32 idx = 1; idx < fresh; idx++) {
		u32 loser = idx;

		if (elem_live(htab_elem(htab, idx))) {
			loser = recover_elem(htab, idx);
			live += !loser;
		}
		if (!loser)
			continue;
		if (elem_live(htab_elem(htab, loser)))
			elem_mark_dead(htab_elem(htab, loser));
		pcpu_freelist_push(&htab->freelist, idx, loser);
	}
	if (live > htab->map.max_entries)
		return -EBADMSG;
	bpf_map_set_entries(&htab->map, live);
	return spares_fill(htab);
}

static int htab_map_open(struct bpf_map *map)
{
	struct bpf_htab *htab = bpf_htab(map);
	int err = htab_attach(htab);

	return err || map->arena->was_clean ? err : htab_recover(htab);
}

static void htab_map_free(struct bpf_map *map)
{
}

/* ---- inlined into programs: the lookup for this key size, without dispatch */

#define HTAB_LOOKUP_FUNC(name, size)                                                            \
	static u64 name(u64 map, u64 key, u64 r3, u64 r4, u64 r5)                               \
	{                                                                                       \
		return (u64)(uintptr_t)lookup((struct bpf_htab *)map, (const void *)key, size); \
	}
HTAB_LOOKUP_FUNC(htab_lookup_key4, 4)
HTAB_LOOKUP_FUNC(htab_lookup_key8, 8)
HTAB_LOOKUP_FUNC(htab_lookup_key16, 16)
HTAB_LOOKUP_FUNC(htab_lookup_key, 0)

static int htab_map_gen_lookup(struct bpf_map *map, struct bpf_insn *buf, u32 max)
{
	bpf_func_t func = map->key_size == 4	? htab_lookup_key4
			  : map->key_size == 8	? htab_lookup_key8
			  : map->key_size == 16 ? htab_lookup_key16
						: htab_lookup_key;

	if (max < 1)
		return -EOPNOTSUPP;
	buf[0] = (struct bpf_insn){.code = BPF_JMP | BPF_CALL, .imm = BPF_CALL_IMM(func)};
	return 1;
}

const struct bpf_map_ops htab_map_ops = {
	.name = "hash",
	.map_size = sizeof(struct bpf_htab),
	.alloc_check = htab_map_alloc_check,
	.map_layout = htab_map_layout,
	.alloc = htab_map_alloc,
	.open = htab_map_open,
	.free = htab_map_free,
	.map_lookup_elem = htab_map_lookup_elem,
	.map_update_elem = htab_map_update_elem,
	.map_delete_elem = htab_map_delete_elem,
	.map_get_next_key = htab_map_get_next_key,
	.sys_lookup_elem = htab_sys_lookup_elem,
	.map_iter = htab_map_iter,
	.map_gen_lookup = htab_map_gen_lookup,
};
