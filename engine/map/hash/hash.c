/*
 * hash.c - the map types hash and percpu_hash
 *
 * The elements on the free lists are exactly the free entries; the table is hashtab.c's.
 */
#include "map/hash/hashtab.h"
#include "map/hash/hashtab_write.h"
#include "map/map.h"
#include "map/spin_lock.h"

__htab_inline void *lookup(struct bpf_htab *htab, const void *key, const u32 key_size)
{
	struct htab_elem *elem =
		htab_find(htab, key, htab_hash(htab, key, key_size), key_size, false, NULL);

	return elem ? htab_elem_value(htab, elem) : NULL;
}

static void *htab_map_lookup_elem(struct bpf_map *map, const void *key)
{
	HTAB_BY_KEY_SIZE(map, lookup, bpf_htab(map), key);
}

__htab_inline long update(struct bpf_htab *htab, const void *key, const void *value, u64 flags,
			  const u32 key_size)
{
	u64 hash = htab_hash(htab, key, key_size);
	u64 *head = &htab->buckets[(u32)hash & htab->mask];
	struct htab_elem *elem;
	u32 old, new, prev;
	u64 word;
	long err;

	word = bucket_lock(head);
	old = __bucket_find(htab, word, hash, key, key_size, false, &prev);
	if (old) {
		err = -EEXIST;
		if (unlikely(flags & BPF_NOEXIST))
			goto fail;
		if (unlikely(flags & BPF_F_LOCK)) {
			bpf_value_to_arena_locked(
				&htab->map, htab_elem_value(htab, htab_elem(htab, old)), value);
			bucket_unlock(head, word);
			bpf_map_count(&htab->map, updates, 1);
			return 0;
		}
		new = spare_take(htab);
	} else {
		err = -ENOENT;
		if (unlikely(flags & BPF_EXIST))
			goto fail;
		new = pcpu_freelist_pop(&htab->freelist, bpf_map_slot());
		if (unlikely(!new)) {
			err = htab_no_element(htab);
			goto fail;
		}
	}
	elem = htab_elem(htab, new);
	htab_elem_set_key(htab, elem, key, key_size, false);
	bpf_value_to_arena(&htab->map, htab_elem_value(htab, elem), value);
	if (old) {
		__bucket_replace_unlock(htab, head, word, prev, old, new);
		spare_give(htab, old);
	} else {
		__bucket_insert_unlock(htab, head, word, hash, new);
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
	if (unlikely(flags > BPF_EXIST) &&
	    ((flags & ~(u64)BPF_F_LOCK) > BPF_EXIST || map->spin_lock_off < 0)) {
		bpf_map_count(map, failed_updates, 1);
		return -EINVAL;
	}
	HTAB_BY_KEY_SIZE(map, update, bpf_htab(map), key, value, flags);
}

__htab_inline long delete (struct bpf_htab *htab, const void *key, const u32 key_size)
{
	u64 hash = htab_hash(htab, key, key_size);
	u64 *head = &htab->buckets[(u32)hash & htab->mask];
	u64 word = bucket_lock(head);
	u32 prev, idx;

	idx = __bucket_find(htab, word, hash, key, key_size, false, &prev);
	if (!idx) {
		bucket_unlock(head, word);
		return -ENOENT;
	}
	__bucket_delete_unlock(htab, head, word, hash, prev, idx);
	pcpu_freelist_push(&htab->freelist, bpf_map_slot(), idx);
	bpf_map_count(&htab->map, entries, -1);
	bpf_map_count(&htab->map, deletes, 1);
	return 0;
}

static long htab_map_delete_elem(struct bpf_map *map, const void *key)
{
	HTAB_BY_KEY_SIZE(map, delete, bpf_htab(map), key);
}

static int spares_fill(struct bpf_htab *htab)
{
	for (u32 i = 0; i < htab->nr_spares; i++) {
		u32 idx = pcpu_freelist_pop(&htab->freelist, i);

		if (!idx)
			return -ENOSPC;
		htab->spares[i * SPARE_STRIDE] = idx;
	}
	return 0;
}

static int htab_map_alloc(struct bpf_map *map)
{
	int err = htab_attach(bpf_htab(map));

	return err ? err : spares_fill(bpf_htab(map));
}

/* Rebuild from the elements' marks what hash and percpu_hash need. */
static int htab_recover(struct bpf_htab *htab)
{
	u32 fresh, live;

	pcpu_freelist_reset(&htab->freelist);
	fresh = pcpu_freelist_fresh(&htab->freelist);
	htab_recover_begin(htab);
	live = htab_recover_chains(htab, 1, fresh);
	if (live > htab->map.max_entries)
		return -EBADMSG;
	for (u32 idx = 1; idx < fresh; idx++) {
		struct htab_elem *elem = htab_elem(htab, idx);

		if (!htab_elem_live(elem))
			pcpu_freelist_push(&htab->freelist, idx, idx);
		if (htab->map.spin_lock_off >= 0)
			bpf_spin_reset(&htab->map, htab_elem_value(htab, elem));
	}
	bpf_map_set_entries(&htab->map, live);
	return spares_fill(htab);
}

/* Also after an ordered end: a link that was damaged since would be followed by every lookup. */
static int htab_map_open(struct bpf_map *map)
{
	int err = htab_attach(bpf_htab(map));

	return err ? err : htab_recover(bpf_htab(map));
}

HTAB_GEN_LOOKUP(htab_map, lookup)

const struct bpf_map_ops htab_map_ops = {
	.name = "hash",
	.map_size = sizeof(struct bpf_htab),
	.spin_lock = true,
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
	.sys_lookup_locked = htab_sys_lookup_locked,
	.map_iter = htab_map_iter,
	.map_for_each_callback = htab_map_for_each_callback,
	.map_gen_lookup = htab_map_gen_lookup,
};

/* ---- a hash map of another process's: what takes no lock, on memory that is only read */

static int htab_shared_open(struct bpf_map *map)
{
	return htab_attach(bpf_htab(map));
}

const struct bpf_map_ops htab_shared_map_ops = {
	.name = "hash",
	.map_size = sizeof(struct bpf_htab),
	.lookup_only = true,
	.alloc_check = htab_map_alloc_check,
	.map_layout = htab_map_layout,
	.open = htab_shared_open,
	.free = htab_map_free,
	.map_lookup_elem = htab_map_lookup_elem,
	.map_gen_lookup = htab_map_gen_lookup,
};

/* ---- percpu_hash: values lie apart, and an update of an existing key writes in place */

__htab_inline u32 find_idx(struct bpf_htab *htab, const void *key, const u32 key_size)
{
	u64 hash = htab_hash(htab, key, key_size);
	u32 idx = 0;

	return htab_find(htab, key, hash, key_size, false, &idx) ? idx : 0;
}

static u32 percpu_find(struct bpf_map *map, const void *key)
{
	struct bpf_htab *htab = bpf_htab(map);

	HTAB_BY_KEY_SIZE(map, find_idx, htab, key);
}

__htab_inline void *percpu_lookup(struct bpf_htab *htab, const void *key, const u32 key_size)
{
	u32 idx = find_idx(htab, key, key_size);

	return idx ? htab_pcpu_value(htab, idx, bpf_map_slot()) : NULL;
}

HTAB_GEN_LOOKUP(htab_percpu_map, percpu_lookup)

static void *htab_percpu_map_lookup_elem(struct bpf_map *map, const void *key)
{
	u32 idx = percpu_find(map, key);

	return idx ? htab_pcpu_value(bpf_htab(map), idx, bpf_map_slot()) : NULL;
}

static void *htab_percpu_map_lookup_percpu_elem(struct bpf_map *map, const void *key, u32 slot)
{
	u32 idx = slot < bpf_nr_slots() ? percpu_find(map, key) : 0;

	return idx ? htab_pcpu_value(bpf_htab(map), idx, slot) : NULL;
}

__htab_inline long percpu_update(struct bpf_htab *htab, const void *key, const void *value,
				 u64 flags, const bool all, const u32 key_size)
{
	u64 hash = htab_hash(htab, key, key_size);
	u64 *head = &htab->buckets[(u32)hash & htab->mask];
	u32 idx, prev;
	u64 word;
	long err;

	word = bucket_lock(head);
	idx = __bucket_find(htab, word, hash, key, key_size, false, &prev);
	if (idx) {
		err = -EEXIST;
		if (unlikely(flags == BPF_NOEXIST))
			goto fail;
		htab_pcpu_write(htab, idx, value, all, false);
		bucket_unlock(head, word);
	} else {
		err = -ENOENT;
		if (unlikely(flags == BPF_EXIST))
			goto fail;
		idx = pcpu_freelist_pop(&htab->freelist, bpf_map_slot());
		if (unlikely(!idx)) {
			err = htab_no_element(htab);
			goto fail;
		}
		htab_elem_set_key(htab, htab_elem(htab, idx), key, key_size, false);
		htab_pcpu_write(htab, idx, value, all, true);
		__bucket_insert_unlock(htab, head, word, hash, idx);
		bpf_map_count(&htab->map, entries, 1);
	}
	bpf_map_count(&htab->map, updates, 1);
	return 0;
fail:
	bucket_unlock(head, word);
	bpf_map_count(&htab->map, failed_updates, 1);
	return err;
}

static long percpu_update_any(struct bpf_map *map, const void *key, const void *value, u64 flags,
			      bool all)
{
	if (unlikely(flags > BPF_EXIST)) {
		bpf_map_count(map, failed_updates, 1);
		return -EINVAL;
	}
	HTAB_BY_KEY_SIZE(map, percpu_update, bpf_htab(map), key, value, flags, all);
}

static long htab_percpu_map_update_elem(struct bpf_map *map, const void *key, const void *value,
					u64 flags)
{
	return percpu_update_any(map, key, value, flags, false);
}

static long htab_percpu_sys_update_elem(struct bpf_map *map, const void *key, const void *value,
					u64 flags)
{
	return percpu_update_any(map, key, value, flags, true);
}

const struct bpf_map_ops htab_percpu_map_ops = {
	.name = "percpu_hash",
	.map_size = sizeof(struct bpf_htab),
	.percpu = true,
	.alloc_check = htab_map_alloc_check,
	.map_layout = htab_map_layout,
	.alloc = htab_map_alloc,
	.open = htab_map_open,
	.free = htab_map_free,
	.map_lookup_elem = htab_percpu_map_lookup_elem,
	.map_lookup_percpu_elem = htab_percpu_map_lookup_percpu_elem,
	.map_update_elem = htab_percpu_map_update_elem,
	.map_delete_elem = htab_map_delete_elem,
	.map_get_next_key = htab_map_get_next_key,
	.sys_lookup_elem = htab_sys_lookup_elem,
	.sys_update_elem = htab_percpu_sys_update_elem,
	.map_iter = htab_map_iter,
	.map_for_each_callback = htab_map_for_each_callback,
	.map_gen_lookup = htab_percpu_map_gen_lookup,
};
