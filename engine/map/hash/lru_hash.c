/*
 * lru_hash.c - the map types lru_hash and lru_percpu_hash
 *
 * The table of hashtab.c, with a list node (lru_list.h) for each entry. An element knows its node,
 * and the node its element. An update of an existing key exchanges the element under the node, with
 * the bucket locked, so the lists are not touched: the entry is only marked as referenced. An
 * insert takes a node first, with no bucket locked, for that may evict an entry of any bucket.
 *
 * Every node has an element at any time, its entry's or the one that its next entry will get; the
 * others are the spares.
 *
 * Lookups from programs mark the entry; those from outside do not, as in Linux.
 */
#include "map/hash/hashtab.h"
#include "map/hash/hashtab_write.h"
#include "map/hash/lru_list.h"

static void set_ref(struct htab_elem *elem)
{
	if (!__atomic_load_n(&elem->ref, __ATOMIC_RELAXED))
		__atomic_store_n(&elem->ref, 1, __ATOMIC_RELAXED);
}

/* ---- eviction */

/* Is this element linked in the bucket? *prev as in __bucket_find(). */
static bool __bucket_has(const struct bpf_htab *htab, u64 word, u32 idx, u32 *prev)
{
	*prev = 0;
	for (u32 link = word_link(word); is_elem(link); link = htab_elem(htab, link)->next) {
		if (link == idx)
			return true;
		*prev = link;
	}
	return false;
}

/* The hash of a key that may be rewritten meanwhile: then it is anything. */
static u64 changing_hash(const struct bpf_htab *htab, const struct htab_elem *elem)
{
	u64 key[MAX_BPF_STACK / 8];

	if (htab->map.key_size == 4) {
		*(u32 *)(void *)key =
			__atomic_load_n((u32 *)htab_elem_key(htab, elem), __ATOMIC_RELAXED);
		return htab_hash(htab, key, 4);
	}
	if (htab->map.key_size > sizeof(key)) /* longer than programs' stacks */
		return htab_elem_hash(htab, elem);
	bpf_copy_from_arena(key, htab_elem_key(htab, elem), htab->map.key_size);
	return htab_key_hash(htab, key);
}

/*
 * bpf_lru.del_from_htab. The element may be exchanged for another until its bucket is locked, and
 * its key be rewritten: what counts is that the locked bucket holds it, and that it is the node's
 * still.
 */
static bool evict(void *arg, u32 n)
{
	struct bpf_htab *htab = arg;
	u32 *node_elem = &bpf_lru_node(htab->lru, n)->elem;
	u32 idx = __atomic_load_n(node_elem, __ATOMIC_ACQUIRE);

	for (int tries = 0; tries < 4; tries++) {
		struct htab_elem *elem = htab_elem(htab, idx);
		u32 again, prev;
		u64 *head, word;

		if (htab_elem_live(elem)) {
			head = &htab->buckets[(u32)changing_hash(htab, elem) & htab->mask];
			word = bucket_lock(head);
			if (__bucket_has(htab, word, idx, &prev) &&
			    __atomic_load_n(node_elem, __ATOMIC_RELAXED) == idx) {
				__bucket_delete_unlock(htab, head, word, htab_elem_hash(htab, elem),
						       prev, idx);
				bpf_map_count(&htab->map, entries, -1);
				bpf_map_count(&htab->map, evictions, 1);
				return true;
			}
			bucket_unlock(head, word);
		}
		again = __atomic_load_n(node_elem, __ATOMIC_ACQUIRE);
		if (again == idx)
			return false; /* not linked yet, or somebody deletes it */
		idx = again;
	}
	return false;
}

/* ---- lookups */

__htab_inline struct htab_elem *find(struct bpf_htab *htab, const void *key, const u32 key_size,
				     u32 *idx)
{
	return htab_find(htab, key, htab_hash(htab, key, key_size), key_size, true, idx);
}

__htab_inline u32 find_idx(struct bpf_htab *htab, const void *key, const u32 key_size)
{
	u32 idx = 0;

	return find(htab, key, key_size, &idx) ? idx : 0;
}

static u32 find_any(struct bpf_map *map, const void *key)
{
	struct bpf_htab *htab = bpf_htab(map);

	HTAB_BY_KEY_SIZE(map, find_idx, htab, key);
}

__htab_inline void *lookup(struct bpf_htab *htab, const void *key, const u32 key_size)
{
	struct htab_elem *elem = find(htab, key, key_size, NULL);

	if (!elem)
		return NULL;
	set_ref(elem);
	return htab_elem_value(htab, elem);
}

static void *htab_lru_map_lookup_elem(struct bpf_map *map, const void *key)
{
	HTAB_BY_KEY_SIZE(map, lookup, bpf_htab(map), key);
}

static void *percpu_value(struct bpf_htab *htab, u32 idx, u32 slot)
{
	if (!idx)
		return NULL;
	set_ref(htab_elem(htab, idx));
	return htab_pcpu_value(htab, idx, slot);
}

static void *htab_lru_percpu_map_lookup_elem(struct bpf_map *map, const void *key)
{
	return percpu_value(bpf_htab(map), find_any(map, key), bpf_map_slot());
}

static void *htab_lru_percpu_map_lookup_percpu_elem(struct bpf_map *map, const void *key, u32 slot)
{
	return slot < bpf_nr_slots() ? percpu_value(bpf_htab(map), find_any(map, key), slot) : NULL;
}

/* ---- updates */

enum lru_value { LRU_VALUE, LRU_PCPU_ONE, LRU_PCPU_ALL };

/* The bucket is locked and holds `old` under this key. Unlocks. */
__htab_inline void update_existing(struct bpf_htab *htab, u64 *head, u64 word, u32 prev, u32 old,
				   const void *key, const void *value, const enum lru_value kind,
				   const u32 key_size)
{
	struct htab_elem *elem, *old_elem = htab_elem(htab, old);
	u32 new;

	if (kind != LRU_VALUE) {
		htab_pcpu_write(htab, old, value, kind == LRU_PCPU_ALL, false);
		set_ref(old_elem);
		bucket_unlock(head, word);
		return;
	}
	new = spare_take(htab);
	elem = htab_elem(htab, new);
	htab_elem_set_key(htab, elem, key, key_size, true);
	bpf_copy_to_arena(htab_elem_value(htab, elem), value, htab->map.value_size);
	__atomic_store_n(&elem->node, old_elem->node, __ATOMIC_RELAXED);
	__atomic_store_n(&elem->ref, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&bpf_lru_node(htab->lru, old_elem->node)->elem, new, __ATOMIC_RELEASE);
	__bucket_replace_unlock(htab, head, word, prev, old, new);
	spare_give(htab, old);
}

/* Fill the element of a node that nobody else has. Returns the element. */
__htab_inline u32 fill_new(struct bpf_htab *htab, u32 n, const void *key, const void *value,
			   const enum lru_value kind, const u32 key_size)
{
	u32 idx = __atomic_load_n(&bpf_lru_node(htab->lru, n)->elem, __ATOMIC_RELAXED);
	struct htab_elem *elem = htab_elem(htab, idx);

	htab_elem_set_key(htab, elem, key, key_size, true);
	__atomic_store_n(&elem->node, n, __ATOMIC_RELAXED);
	__atomic_store_n(&elem->ref, 0, __ATOMIC_RELAXED);
	if (kind == LRU_VALUE)
		bpf_copy_to_arena(htab_elem_value(htab, elem), value, htab->map.value_size);
	else
		htab_pcpu_write(htab, idx, value, kind == LRU_PCPU_ALL, true);
	return idx;
}

__htab_inline long update(struct bpf_htab *htab, const void *key, const void *value, u64 flags,
			  const enum lru_value kind, const u32 key_size)
{
	u64 hash = htab_hash(htab, key, key_size), word;
	u64 *head = &htab->buckets[(u32)hash & htab->mask];
	u32 old, prev, n, idx = 0;
	long err = 0;

again:
	n = 0;
	if (!htab_find(htab, key, hash, key_size, true, NULL)) {
		err = -ENOENT;
		if (unlikely(flags == BPF_EXIST))
			goto fail;
		err = -ENOMEM;
		n = bpf_lru_pop_free(htab->lru, bpf_map_slot());
		if (unlikely(!n))
			goto fail;
		idx = fill_new(htab, n, key, value, kind, key_size);
	}
	word = bucket_lock(head);
	old = __bucket_find(htab, word, hash, key, key_size, true, &prev);
	if (!old && n) {
		__bucket_insert_unlock(htab, head, word, hash, idx);
		bpf_map_count(&htab->map, entries, 1);
	} else if (!old) {
		bucket_unlock(head, word);
		goto again; /* it was deleted meanwhile */
	} else if (unlikely(flags == BPF_NOEXIST)) {
		bucket_unlock(head, word);
		if (n)
			bpf_lru_push_free(htab->lru, n);
		err = -EEXIST;
		goto fail;
	} else {
		update_existing(htab, head, word, prev, old, key, value, kind, key_size);
		if (n) /* it was inserted meanwhile */
			bpf_lru_push_free(htab->lru, n);
	}
	bpf_map_count(&htab->map, updates, 1);
	return 0;
fail:
	bpf_map_count(&htab->map, failed_updates, 1);
	return err;
}

static long refuse_flags(struct bpf_map *map)
{
	bpf_map_count(map, failed_updates, 1);
	return -EINVAL;
}

static long htab_lru_map_update_elem(struct bpf_map *map, const void *key, const void *value,
				     u64 flags)
{
	if (unlikely(flags > BPF_EXIST))
		return refuse_flags(map);
	HTAB_BY_KEY_SIZE(map, update, bpf_htab(map), key, value, flags, LRU_VALUE);
}

static long htab_lru_percpu_map_update_elem(struct bpf_map *map, const void *key, const void *value,
					    u64 flags)
{
	if (unlikely(flags > BPF_EXIST))
		return refuse_flags(map);
	HTAB_BY_KEY_SIZE(map, update, bpf_htab(map), key, value, flags, LRU_PCPU_ONE);
}

static long htab_lru_percpu_sys_update_elem(struct bpf_map *map, const void *key, const void *value,
					    u64 flags)
{
	if (unlikely(flags > BPF_EXIST))
		return refuse_flags(map);
	HTAB_BY_KEY_SIZE(map, update, bpf_htab(map), key, value, flags, LRU_PCPU_ALL);
}

__htab_inline long delete (struct bpf_htab *htab, const void *key, const u32 key_size)
{
	u64 hash = htab_hash(htab, key, key_size);
	u64 *head = &htab->buckets[(u32)hash & htab->mask];
	u64 word = bucket_lock(head);
	u32 prev, idx, n;

	idx = __bucket_find(htab, word, hash, key, key_size, true, &prev);
	if (!idx) {
		bucket_unlock(head, word);
		return -ENOENT;
	}
	n = htab_elem(htab, idx)->node;
	__bucket_delete_unlock(htab, head, word, hash, prev, idx);
	bpf_lru_push_free(htab->lru, n);
	bpf_map_count(&htab->map, entries, -1);
	bpf_map_count(&htab->map, deletes, 1);
	return 0;
}

static long htab_lru_map_delete_elem(struct bpf_map *map, const void *key)
{
	HTAB_BY_KEY_SIZE(map, delete, bpf_htab(map), key);
}

/* ---- making, opening, recovering */

#define BACK_CHUNK 4096 /* nodes */

/*
 * bpf_lru.back: rank r has node first_node + r and, when it is fresh, element first_elem + r. Two
 * slots may do the same chunk twice, which is harmless.
 */
static bool back(void *arg, u32 rank, u32 nr)
{
	struct bpf_htab *htab = arg;
	struct bpf_lru *lru = htab->lru;

	for (u32 chunk = rank / BACK_CHUNK; chunk <= (rank + nr - 1) / BACK_CHUNK; chunk++) {
		u32 from = chunk * BACK_CHUNK;
		u32 end = (u32)min((u64)from + BACK_CHUNK, (u64)lru->nr_nodes);

		if (__atomic_load_n(&htab->lru_backed[chunk], __ATOMIC_RELAXED))
			continue;
		if (bpf_arena_reserve(htab->map.arena, bpf_lru_node(lru, lru->first_node + from),
				      (u64)(end - from) * sizeof(struct bpf_lru_node)) ||
		    htab_reserve_elems(htab, lru->first_elem + from, lru->first_elem + end))
			return false;
		__atomic_store_n(&htab->lru_backed[chunk], 1, __ATOMIC_RELAXED);
	}
	return true;
}

static int lru_attach(struct bpf_htab *htab)
{
	int err = htab_attach(htab);
	struct bpf_lru *lru = htab->lru;

	if (err)
		return err;
	lru->refs = (u8 *)htab->elems + offsetof(struct htab_elem, ref);
	lru->ref_stride = htab->elem_size;
	lru->first_elem = 1 + htab->nr_spares;
	lru->del_from_htab = evict;
	lru->arg = htab;
	if (htab->map.arena->index_in_file) {
		htab->lru_backed = calloc(lru->nr_nodes / BACK_CHUNK + 1, 1);
		if (!htab->lru_backed)
			return -ENOMEM;
		lru->back = back;
	}
	/* The list heads and the spares are touched at once. */
	err = bpf_arena_reserve(htab->map.arena, lru->nodes,
				lru->first_node * sizeof(struct bpf_lru_node));
	if (!err)
		err = bpf_arena_reserve(htab->map.arena, htab->elems,
					(u64)lru->first_elem * htab->elem_size);
	return err;
}

static int htab_lru_map_alloc(struct bpf_map *map)
{
	struct bpf_htab *htab = bpf_htab(map);
	int err = lru_attach(htab);

	if (err) {
		htab_map_free(map);
		return err;
	}
	bpf_lru_reset(htab->lru);
	for (u32 i = 0; i < htab->nr_spares; i++)
		htab->spares[i * SPARE_STRIDE] = 1 + i;
	return 0;
}

struct lru_recovery {
	struct bpf_htab *htab;
	u32 slot, nr_lists, spares;
	u32 *fresh; /* a list: nodes that it had given out, and may again */
};

/*
 * An element that was in use: a spare, or some node's. Fails when there are more than there can be.
 */
static bool recover_one(struct lru_recovery *r, u32 idx)
{
	struct bpf_htab *htab = r->htab;
	struct htab_elem *elem = htab_elem(htab, idx);
	bool live = htab_elem_live(elem);

	if (!live && r->spares < htab->nr_spares) {
		htab->spares[r->spares++ * SPARE_STRIDE] = idx;
		return true;
	}
	while (r->slot < r->nr_lists && bpf_lru_fresh(htab->lru, r->slot) == r->fresh[r->slot])
		r->slot++;
	if (r->slot == r->nr_lists)
		return false;
	elem->node = bpf_lru_restore(htab->lru, r->slot, idx, live);
	return true;
}

/* Which elements were ever in use: the spares, and those of each list's used ranks. */
static u32 recover_chains(struct lru_recovery *r)
{
	u32 first = r->htab->lru->first_elem, share = r->htab->lru->nr_nodes / r->nr_lists, live;

	htab_recover_begin(r->htab);
	live = htab_recover_chains(r->htab, 1, first);
	for (u32 i = 0; i < r->nr_lists; i++)
		live += htab_recover_chains(r->htab, first + i * share,
					    first + i * share + r->fresh[i]);
	return live;
}

static int lru_recover(struct bpf_htab *htab)
{
	struct bpf_lru *lru = htab->lru;
	struct lru_recovery r = {.htab = htab, .nr_lists = lru->percpu ? htab->nr_slots : 1};
	u32 share = lru->nr_nodes / r.nr_lists, live;
	bool fits = true;

	r.fresh = calloc(r.nr_lists, sizeof(*r.fresh));
	if (!r.fresh)
		return -ENOMEM;
	for (u32 i = 0; i < r.nr_lists; i++)
		r.fresh[i] = bpf_lru_fresh(lru, i);
	live = recover_chains(&r);
	bpf_lru_reset(lru);
	for (u32 idx = 1; idx < lru->first_elem && fits; idx++)
		fits = recover_one(&r, idx);
	for (u32 i = 0; i < r.nr_lists && fits; i++)
		for (u32 rank = 0; rank < r.fresh[i] && fits; rank++)
			fits = recover_one(&r, lru->first_elem + i * share + rank);
	free(r.fresh);
	bpf_map_set_entries(&htab->map, live);
	return fits && r.spares == htab->nr_spares ? 0 : -EBADMSG;
}

static int htab_lru_map_open(struct bpf_map *map)
{
	struct bpf_htab *htab = bpf_htab(map);
	int err = lru_attach(htab);

	/* Also after an ordered end, as hash does. */
	if (!err)
		err = lru_recover(htab);
	if (err)
		htab_map_free(map);
	return err;
}

__htab_inline void *percpu_lookup(struct bpf_htab *htab, const void *key, const u32 key_size)
{
	return percpu_value(htab, find_idx(htab, key, key_size), bpf_map_slot());
}

HTAB_GEN_LOOKUP(htab_lru_map, lookup)
HTAB_GEN_LOOKUP(htab_lru_percpu_map, percpu_lookup)

const struct bpf_map_ops htab_lru_map_ops = {
	.name = "lru_hash",
	.map_size = sizeof(struct bpf_htab),
	.alloc_check = htab_map_alloc_check,
	.map_layout = htab_map_layout,
	.alloc = htab_lru_map_alloc,
	.open = htab_lru_map_open,
	.free = htab_map_free,
	.map_lookup_elem = htab_lru_map_lookup_elem,
	.map_update_elem = htab_lru_map_update_elem,
	.map_delete_elem = htab_lru_map_delete_elem,
	.map_get_next_key = htab_map_get_next_key,
	.sys_lookup_elem = htab_sys_lookup_elem,
	.map_iter = htab_map_iter,
	.map_for_each_callback = htab_map_for_each_callback,
	.map_gen_lookup = htab_lru_map_gen_lookup,
};

const struct bpf_map_ops htab_lru_percpu_map_ops = {
	.name = "lru_percpu_hash",
	.map_size = sizeof(struct bpf_htab),
	.percpu = true,
	.alloc_check = htab_map_alloc_check,
	.map_layout = htab_map_layout,
	.alloc = htab_lru_map_alloc,
	.open = htab_lru_map_open,
	.free = htab_map_free,
	.map_lookup_elem = htab_lru_percpu_map_lookup_elem,
	.map_lookup_percpu_elem = htab_lru_percpu_map_lookup_percpu_elem,
	.map_update_elem = htab_lru_percpu_map_update_elem,
	.map_delete_elem = htab_lru_map_delete_elem,
	.map_get_next_key = htab_map_get_next_key,
	.sys_lookup_elem = htab_sys_lookup_elem,
	.sys_update_elem = htab_lru_percpu_sys_update_elem,
	.map_iter = htab_map_iter,
	.map_for_each_callback = htab_map_for_each_callback,
	.map_gen_lookup = htab_lru_percpu_map_gen_lookup,
};
