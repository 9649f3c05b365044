/*
 * hashtab.c - the table under all hash kinds: its layout in the arena, walks, recovery
 *
 * The structure is described in hashtab_layout.h. The arena's index holds, in this order: the free
 * lists, the spare elements, the bitmap of used bucket pages, the LRU list's heads, the buckets,
 * the elements, the LRU list's nodes, the per-CPU values.
 *
 * Guarantees, of all types that are built on it
 *   A. A lookup takes no lock and writes nothing (LRU: the ref mark only). It finds a key that is
 *      in the map during the whole lookup, also while the key's value is replaced and while other
 *      keys come and go.
 *   B. An update of an existing key is atomic: every lookup finds the old or the new value, whole.
 *      (Per-CPU kinds update in place, as Linux does.)
 *   C. A map of N takes N different keys, never N + 1; the N + 1st is -E2BIG (LRU: evicts).
 *   D. A value that a program holds a pointer to stays readable until its RCU section ends, but a
 *      delete or an update may give the element to another key at once (as Linux does with
 *      preallocated elements).
 *   E. An update or delete that returned survives SIGKILL at any instruction; one that did not is
 *      there whole or not at all (but for one in place, under BPF_F_LOCK: spin_lock.h).
 *   F. The order of a walk is by bucket; get_next_key and iteration read a bucket under its lock.
 *
 * There is one element more a slot than max_entries, and one for threads without a slot: an update
 * of an existing key puts the new element in place with the slot's spare, and the old element
 * becomes the spare. So an update never fails for want of an element.
 * Tests: tests/unit/test_hashtab.c names each case by its letter, test_hashtab_recovery.c has E.
 */
#include "map/hash/hashtab.h"
#include "map/hash/hashtab_write.h"
#include "map/hash/lru_list.h"
#include "map/map.h"
#include "map/spin_lock.h"
#include "map/iter.h"

/* ---- layout */

struct htab_layout {
	u32 max_entries, n_buckets, nr_spares, total_elems, elem_size, value_off;
	u64 spares, used, lru, buckets, elems, nodes, pcpu, pcpu_stride, end; /* offsets */
};

static u32 roundup_pow2(u32 n)
{
	return n <= 1 ? 1 : 1u << (32 - __builtin_clz(n - 1));
}

/*
 * Where 8 bytes an entry buy most: a second bucket makes the chains of the smallest elements half
 * as long, and those that would straddle cache lines for the want of 8 bytes get them.
 */
static void spend_eight_bytes(struct htab_layout *l)
{
	if (l->elem_size == 24)
		l->n_buckets *= 2;
	else if (l->elem_size == 56)
		l->elem_size += 8;
}

/* Lists of each slot's own have equally many entries, as in Linux. */
static u32 effective_max_entries(const struct bpf_map_spec *spec, u32 nr_slots)
{
	u64 up = round_up((u64)spec->max_entries, (u64)nr_slots);

	if (!(spec->map_flags & BPF_F_NO_COMMON_LRU))
		return spec->max_entries;
	return up <= UINT32_MAX ? (u32)up : spec->max_entries / nr_slots * nr_slots;
}

static void htab_layout(const struct bpf_map_spec *spec, u32 nr_slots, struct htab_layout *l)
{
	bool lru = htab_type_is_lru(spec->map_type), percpu = htab_type_is_percpu(spec->map_type);
	u32 key_off = HTAB_KEY_OFF(spec->key_size, lru);

	l->max_entries = effective_max_entries(spec, nr_slots);
	l->n_buckets = roundup_pow2(l->max_entries);
	l->nr_spares = percpu ? 0 : nr_slots + 1;
	l->total_elems = 1 + l->nr_spares + l->max_entries;
	l->value_off = round_up(key_off + spec->key_size, 8);
	l->elem_size = l->value_off + (percpu ? 0 : round_up(spec->value_size, 8));
	if (!lru)
		spend_eight_bytes(l);

	l->spares = pcpu_freelist_bytes(nr_slots);
	l->used = l->spares + (nr_slots + 1) * SPARE_STRIDE * sizeof(u32);
	l->lru = round_up(l->used + ((u64)l->n_buckets >> HTAB_USED_SHIFT) / 8 + 8, (u64)64);
	l->buckets = round_up(l->lru + (lru ? bpf_lru_lists_bytes(nr_slots) : 0), (u64)4096);
	l->elems = round_up(l->buckets + (u64)l->n_buckets * sizeof(u64), (u64)4096);
	l->nodes = round_up(l->elems + (u64)l->total_elems * l->elem_size, (u64)4096);
	l->pcpu = l->nodes;
	if (lru)
		l->pcpu += round_up(bpf_lru_nodes_bytes(l->max_entries, nr_slots), (u64)4096);
	l->pcpu_stride = round_up((u64)l->total_elems * round_up(spec->value_size, 8), (u64)4096);
	l->end = l->pcpu + (percpu ? l->pcpu_stride * nr_slots : 0);
}

#define HTAB_FLAGS                                                                       \
	(BPF_F_NO_PREALLOC | BPF_F_NO_COMMON_LRU | BPF_F_NUMA_NODE | BPF_F_ACCESS_MASK | \
	 BPF_F_ZERO_SEED)

int htab_map_alloc_check(const struct bpf_map_spec *spec, const char **why)
{
	bool lru = htab_type_is_lru(spec->map_type), percpu = htab_type_is_percpu(spec->map_type);
	u32 flags = HTAB_FLAGS & ~(lru ? 0u : BPF_F_NO_COMMON_LRU);
	int err;

	/* Before the sizes, as Linux does. */
	if (lru && spec->map_flags & BPF_F_NO_PREALLOC && !(spec->map_flags & ~flags))
		return bpf_spec_refuse(why, EOPNOTSUPP,
				       "a map that evicts has all of its memory from the start: no "
				       "BPF_F_NO_PREALLOC");
	if (spec->map_flags & BPF_F_NO_COMMON_LRU || percpu)
		flags &= ~BPF_F_NUMA_NODE;
	err = bpf_spec_check_sizes(spec, BPF_SPEC_ANY, BPF_SPEC_ANY, flags, why);
	if (err)
		return err;
	if ((u64)spec->key_size + spec->value_size >= KMALLOC_MAX_SIZE - 48)
		return bpf_spec_refuse(why, E2BIG, "key and value have less than 4 MiB together");
	if (percpu && round_up(spec->value_size, 8) > PCPU_MIN_UNIT_SIZE)
		return bpf_spec_refuse(why, E2BIG, "a per-CPU value has at most 32768 bytes");
	if (spec->max_entries > HTAB_MAX_ENTRIES)
		return bpf_spec_refuse(why, E2BIG, "max_entries is beyond what a hash table holds");
	return 0;
}

int htab_map_layout(const struct bpf_map_spec *spec, u32 nr_slots, u64 *index, u64 *values)
{
	struct htab_layout l;

	htab_layout(spec, nr_slots, &l);
	*index = l.end;
	*values = 0;
	return l.end > BPF_ARENA_MAX_SIZE ? -ENOMEM : 0;
}

/* __bucket_find() where speed does not matter. */
static u32 __bucket_find_any(const struct bpf_htab *htab, u64 word, u64 hash, const void *key,
			     u32 *prev)
{
	if (htab->map.key_size == 4)
		return htab->lru ? __bucket_find(htab, word, hash, key, 4, true, prev)
				 : __bucket_find(htab, word, hash, key, 4, false, prev);
	return htab->lru ? __bucket_find(htab, word, hash, key, 0, true, prev)
			 : __bucket_find(htab, word, hash, key, 0, false, prev);
}

/* ---- values */

/*
 * A value as it is seen from outside; flags: 0 or BPF_F_LOCK. The caller holds the bucket's lock.
 */
static void htab_copy_value(const struct bpf_htab *htab, u32 idx, void *value, u64 flags)
{
	if (!htab->pcpu) {
		bpf_value_from_arena(&htab->map, value, htab_elem_value(htab, htab_elem(htab, idx)),
				     flags);
		return;
	}
	for (u32 slot = 0; slot < bpf_nr_slots(); slot++)
		bpf_copy_from_arena((char *)value + (size_t)slot * htab->pcpu_size,
				    htab_pcpu_value(htab, idx, slot), htab->pcpu_size);
}

/*
 * From outside a value is copied, so the bucket is locked: an update cannot reuse the element
 * meanwhile.
 */
static long lookup_outside(struct bpf_map *map, const void *key, void *value, u64 flags)
{
	struct bpf_htab *htab = bpf_htab(map);
	u64 hash = htab_key_hash(htab, key), word;
	u64 *head = &htab->buckets[(u32)hash & htab->mask];
	u32 idx, prev;

	if (!htab_filter_may_have(__atomic_load_n(head, __ATOMIC_ACQUIRE), hash))
		return -ENOENT;
	word = bucket_lock(head);
	idx = __bucket_find_any(htab, word, hash, key, &prev);
	if (idx && value)
		htab_copy_value(htab, idx, value, flags);
	bucket_unlock(head, word);
	return idx ? 0 : -ENOENT;
}

long htab_sys_lookup_elem(struct bpf_map *map, const void *key, void *value)
{
	return lookup_outside(map, key, value, 0);
}

long htab_sys_lookup_locked(struct bpf_map *map, const void *key, void *value)
{
	return lookup_outside(map, key, value, BPF_F_LOCK);
}

/* ---- walks */

/* The first bucket from `from` on whose page was ever used, or the number of buckets. */
u32 htab_bucket_next_used(const struct bpf_htab *htab, u32 from)
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

/* The key of the first element from this bucket on. */
static int first_key_from(struct bpf_htab *htab, u32 bucket, void *key)
{
	for (; (bucket = htab_bucket_next_used(htab, bucket)) <= htab->mask; bucket++) {
		u64 *head = &htab->buckets[bucket];
		u64 word;
		u32 link;

		if (!is_elem(word_link(__atomic_load_n(head, __ATOMIC_RELAXED))))
			continue;
		word = bucket_lock(head);
		link = word_link(word);
		if (is_elem(link))
			memcpy(key, htab_elem_key(htab, htab_elem(htab, link)), htab->map.key_size);
		bucket_unlock(head, word);
		if (is_elem(link))
			return 0;
	}
	return -ENOENT;
}

int htab_map_get_next_key(struct bpf_map *map, const void *key, void *next_key)
{
	struct bpf_htab *htab = bpf_htab(map);
	u32 bucket, idx, prev, link = 0;
	u64 *head, hash, word;

	if (!key)
		return first_key_from(htab, 0, next_key);
	hash = htab_key_hash(htab, key);
	bucket = (u32)hash & htab->mask;
	head = &htab->buckets[bucket];
	word = bucket_lock(head);
	idx = __bucket_find_any(htab, word, hash, key, &prev);
	if (idx)
		link = htab_elem(htab, idx)->next;
	if (is_elem(link))
		memcpy(next_key, htab_elem_key(htab, htab_elem(htab, link)), map->key_size);
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

			memcpy(bpf_map_iter_key(it, i), htab_elem_key(htab, elem),
			       htab->map.key_size);
			if (!it->keys_only)
				htab_copy_value(htab, link, bpf_map_iter_value(it, i), it->flags);
			link = elem->next;
		}
	}
	bucket_unlock(head, word);
	return nr;
}

int htab_map_iter(struct bpf_map_iter *it)
{
	struct bpf_htab *htab = bpf_htab(it->map);
	u32 nr, room = 4;

	while (it->pos <= htab->mask) {
		u32 bucket = htab_bucket_next_used(htab, (u32)it->pos);

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

/* ---- attaching */

static u64 seed_expand(u64 seed)
{
	seed += HTAB_MUL1;
	seed = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9ull;
	seed = (seed ^ seed >> 27) * 0x94d049bb133111ebull;
	return seed ^ seed >> 31;
}

int htab_reserve_elems(struct bpf_htab *htab, u32 from, u32 end)
{
	const struct bpf_arena *arena = htab->map.arena;
	u64 nr = end - from;
	int err = bpf_arena_reserve(arena, htab_elem(htab, from), nr * htab->elem_size);

	for (u32 slot = 0; !err && htab->pcpu && slot < htab->nr_slots; slot++)
		err = bpf_arena_reserve(arena, htab_pcpu_value(htab, from, slot),
					nr * htab->pcpu_size);
	return err;
}

#define BACK_STEP (128u << 10)

/* pcpu_freelist.back: a piece of the file at a time. */
static u32 freelist_back(struct pcpu_freelist *fl, u32 from)
{
	struct bpf_htab *htab = container_of(fl, struct bpf_htab, freelist);
	u64 bytes = htab->elem_size + (htab->pcpu ? (u64)htab->pcpu_size * htab->nr_slots : 0);
	u32 end = (u32)min((u64)from + BACK_STEP / bytes + 1, (u64)fl->total);

	return htab_reserve_elems(htab, from, end) ? from : end;
}

static int attach_lru(struct bpf_htab *htab, char *index, const struct htab_layout *l)
{
	if (!htab_type_is_lru(htab->map.map_type))
		return 0;
	htab->lru = bpf_lru_new(index + l->lru, index + l->nodes, l->max_entries, htab->nr_slots,
				htab->map.map_flags & BPF_F_NO_COMMON_LRU);
	return htab->lru ? 0 : -ENOMEM;
}

int htab_attach(struct bpf_htab *htab)
{
	struct bpf_arena *arena = htab->map.arena;
	char *index = arena->index;
	struct htab_layout l;
	u64 reserve;

	htab->nr_slots = arena->header->nr_slots;
	if (htab_type_is_percpu(htab->map.map_type) && htab->nr_slots < bpf_nr_slots())
		return -EBADMSG; /* of a machine with fewer CPUs: there is no room for our slots */
	htab_layout(&arena->header->spec, htab->nr_slots, &l);
	htab->map.max_entries = l.max_entries;
	htab->spares = (u32 *)(index + l.spares);
	htab->used = (u64 *)(index + l.used);
	htab->buckets = (u64 *)(index + l.buckets);
	htab->elems = index + l.elems;
	htab->mask = l.n_buckets - 1;
	htab->elem_size = l.elem_size;
	htab->key_off = HTAB_KEY_OFF(htab->map.key_size, htab_type_is_lru(htab->map.map_type));
	htab->value_off = l.value_off;
	htab->total_elems = l.total_elems;
	htab->nr_spares = l.nr_spares;
	htab->seed = seed_expand(arena->header->hash_seed);
	htab->pcpu_size = round_up(htab->map.value_size, 8);
	htab->pcpu_stride = l.pcpu_stride;
	if (htab_type_is_percpu(htab->map.map_type))
		htab->pcpu = index + l.pcpu;
	pcpu_freelist_init(&htab->freelist, index, htab->nr_slots, htab->elems, l.elem_size,
			   l.total_elems);
	if (attach_lru(htab, index, &l))
		return -ENOMEM;
	if (!arena->index_in_file) {
		/*
		 * Elements are used densely; the buckets of a large map are not, until it is full.
		 */
		bool all = l.elems - l.buckets <= 64 << 20;

		bpf_arena_advise_huge(all ? (char *)arena->header : htab->elems,
				      all ? arena->index_size : l.end - l.elems);
		return 0;
	}
	htab->freelist.backed = pcpu_freelist_fresh(&htab->freelist);
	htab->freelist.back = freelist_back;
	reserve = l.elems <= BPF_ARENA_RESERVE_MAX ? l.elems : l.buckets;
	return bpf_arena_reserve(arena, arena->header, reserve + BPF_ARENA_HEADER_SIZE);
}

void htab_map_free(struct bpf_map *map)
{
	bpf_lru_free(bpf_htab(map)->lru);
	free(bpf_htab(map)->lru_backed);
}

/* ---- recovery */

/* Also pages that nobody marked as used: what is there, a lock perhaps, damage has put there. */
static void buckets_clear_stray(struct bpf_htab *htab)
{
	const struct bpf_arena *arena = htab->map.arena;
	off_t base = (const char *)htab->buckets - (const char *)arena->header;
	off_t end = base + ((off_t)htab->mask + 1) * (off_t)sizeof(u64), at = base, hole;

	while (arena->index_fd >= 0 && at < end) {
		at = lseek(arena->index_fd, at, SEEK_DATA);
		hole = at < 0 ? -1 : lseek(arena->index_fd, at, SEEK_HOLE);
		if (at < 0 || hole < 0)
			return; /* no more data, or the filesystem cannot tell */
		hole = min(hole, end);
		if (at < hole)
			memset((char *)arena->header + at, 0, (size_t)(hole - at));
		at = hole;
	}
}

static void buckets_clear(struct bpf_htab *htab)
{
	u32 n_buckets = htab->mask + 1, page = 1u << HTAB_USED_SHIFT;

	buckets_clear_stray(htab);

	for (u32 b = 0; (b = htab_bucket_next_used(htab, b)) < n_buckets; b += page)
		memset(&htab->buckets[b], 0, min(page, n_buckets - b) * sizeof(u64));
}

/*
 * Put a live element back into its chain. Of two with the same key (an update was cut short between
 * its two halves) the older is marked dead. Returns whether there is one more entry now.
 */
static bool recover_elem(struct bpf_htab *htab, u32 idx)
{
	struct htab_elem *elem = htab_elem(htab, idx), *other;
	u64 hash = htab_elem_hash(htab, elem);
	u32 bucket = (u32)hash & htab->mask, prev, found;
	u64 *head = &htab->buckets[bucket];

	found = __bucket_find_any(htab, *head, hash, htab_elem_key(htab, elem), &prev);
	other = htab_elem(htab, found);
	if (found && (s16)(u16)(elem->version - other->version) < 0) {
		elem_mark_dead(elem);
		return false;
	}
	if (found)
		__bucket_delete_unlock(htab, head, *head, hash, prev, found);
	bucket_mark_used(htab, bucket);
	elem->next = word_link(*head) ? word_link(*head) : HTAB_LINK_END | bucket;
	*head = word_filter_add(word_set_link(*head, idx), hash);
	return !found;
}

/*
 * Nothing that the process that died left in links, locks, lists or spares is used, only the
 * elements' own marks. May be cut short itself and begun again.
 */
void htab_recover_begin(struct bpf_htab *htab)
{
	buckets_clear(htab);
}

u32 htab_recover_chains(struct bpf_htab *htab, u32 from, u32 end)
{
	u32 live = 0;

	for (u32 idx = from; idx < end; idx++)
		if (htab_elem_live(htab_elem(htab, idx)))
			live += recover_elem(htab, idx);
	return live;
}
