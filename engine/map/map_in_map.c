/*
 * map_in_map.c - array_of_maps and hash_of_maps: maps whose values are maps
 *
 * A map of maps is made after a template, the map that spec.inner_map_id names. What matters of it (type, sizes,
 * flags) is kept in the arena and in map->inner_map_meta, so the template itself may go. The verifier checks
 * programs against it, and only maps that are like it are taken in.
 *
 * The arena holds ids; each that is there stands for an internal reference to its map. A program's lookup returns
 * the struct bpf_map itself. The array keeps a table of pointers beside the ids; the hash, whose elements move, finds
 * the map of an id through core/ids.h.
 *
 * Guarantees
 *   A. A lookup returns the old or the new map of a key that is being updated, never nothing; what it returns
 *      lives until the caller's RCU section ends.
 *   B. A map is in the arena only while a reference to it is held, so after a crash an id names a map that was
 *      there. Until bpf_map_restore_slots() has been called the hash takes no updates (-EBUSY).
 *   C. Whatever is in it equals the template in type, key size, value size, flags, and what the type adds to
 *      that (arrays: max_entries).
 * Lock order: the outer map's `lock`, then what the hash takes; references are dropped outside of it.
 * Tests: tests/unit/test_map_in_map.c.
 */
#include <pthread.h>
#include <sys/mman.h>
#include "core/btf.h"
#include "map/hashtab.h"
#include "map/map.h"

/* ---- the template */

struct template
{ /* in the arena */
	struct bpf_map_spec spec;
	u32 used_end; /* array_of_maps: no slot from here on was ever used */
};

#define TEMPLATE_SIZE round_up(sizeof(struct template), (size_t)64)

/* A map that has nothing but what the verifier looks at. */
static int meta_new(const struct bpf_map_spec *spec, struct bpf_map **out)
{
	const struct bpf_map_ops *ops = bpf_map_ops_find(spec->map_type);
	struct bpf_map *meta;

	if (!ops)
		return -EBADMSG;
	meta = calloc(1, sizeof(*meta));
	if (!meta)
		return -ENOMEM;
	meta->ops = ops;
	meta->map_type = spec->map_type;
	meta->key_size = spec->key_size;
	meta->value_size = spec->value_size;
	meta->max_entries = spec->max_entries;
	meta->map_flags = spec->map_flags;
	meta->map_extra = spec->map_extra;
	meta->spin_lock_off = bpf_spec_spin_lock_off(spec);
	*out = meta;
	return 0;
}

static void meta_free(struct bpf_map *map)
{
	if (map->inner_map_meta)
		bpf_btf_put(map->inner_map_meta->btf);
	free(map->inner_map_meta);
	map->inner_map_meta = NULL;
}

/* A new map: look at the template and note it in the arena. */
static int template_take(struct bpf_map *map, struct template *keep)
{
	struct bpf_map *inner = bpf_map_get_by_id(map->arena->header->spec.inner_map_id);
	int err;

	if (!inner)
		return -EBADF;
	if (inner->inner_map_meta)
		err = -EINVAL; /* one level only */
	else if (inner->ops->not_inner)
		err = -EOPNOTSUPP;
	else
		err = bpf_arena_reserve(map->arena, keep, sizeof(*keep));
	if (!err) {
		keep->spec = inner->arena->header->spec;
		err = meta_new(&keep->spec, &map->inner_map_meta);
	}
	if (!err) {
		map->inner_map_meta->btf = inner->btf;
		if (inner->btf)
			bpf_btf_inc(inner->btf);
	}
	bpf_map_put(inner);
	return err;
}

/* An opened one: the arena says. */
static int template_read(struct bpf_map *map, const struct template *kept)
{
	const struct bpf_map_ops *ops = bpf_map_ops_find(kept->spec.map_type);

	if (!ops || ops->not_inner || ops->alloc_check(&kept->spec) ||
	    kept->used_end > map->max_entries)
		return -EBADMSG;
	return meta_new(&kept->spec, &map->inner_map_meta);
}

static bool fits(const struct bpf_map *outer, const struct bpf_map *map)
{
	const struct bpf_map *meta = outer->inner_map_meta;

	return meta->map_type == map->map_type && meta->key_size == map->key_size &&
	       meta->value_size == map->value_size && meta->map_flags == map->map_flags &&
	       meta->spin_lock_off == map->spin_lock_off &&
	       (!meta->ops->map_meta_equal || meta->ops->map_meta_equal(meta, map));
}

/* From outside, a value is a map's id. */
static long sys_update_elem(struct bpf_map *map, const void *key, const void *value, u64 flags)
{
	struct bpf_map *inner;
	u32 id;
	int err;

	memcpy(&id, value, sizeof(id));
	inner = bpf_map_get_by_id(id);
	if (!inner)
		return -ENOENT;
	err = map->ops->map_update_slot(map, key, inner, flags);
	bpf_map_put(inner);
	return err;
}

static long count_update(struct bpf_map *map, long err)
{
	if (err)
		bpf_map_count(map, failed_updates, 1);
	else
		bpf_map_count(map, updates, 1);
	return err;
}

/* ---- array_of_maps */

struct bpf_array_of_maps {
	struct bpf_map map;
	struct bpf_map **maps; /* max_entries, in pages that come as touched */
	struct template *template; /* in the arena */
	u32 *ids; /* in the arena, after the template */
	pthread_mutex_t lock; /* writers */
};

static struct bpf_array_of_maps *aom(const struct bpf_map *map)
{
	return container_of(map, struct bpf_array_of_maps, map);
}

static int aom_alloc_check(const struct bpf_map_spec *spec)
{
	if (!spec->max_entries || spec->key_size != 4 || spec->value_size != 4 ||
	    spec->map_flags & ~(BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY))
		return -EINVAL;
	return 0;
}

static int aom_layout(const struct bpf_map_spec *spec, u32 nr_slots, u64 *index, u64 *values)
{
	*index = TEMPLATE_SIZE + (u64)spec->max_entries * sizeof(u32);
	*values = 0;
	return 0;
}

static int aom_attach(struct bpf_map *map)
{
	struct bpf_array_of_maps *array = aom(map);
	void *maps = mmap(NULL, (size_t)map->max_entries * sizeof(*array->maps),
			  PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			  0);

	if (maps == MAP_FAILED)
		return -ENOMEM;
	array->maps = maps;
	array->template = map->arena->index;
	array->ids = (u32 *)((char *)map->arena->index + TEMPLATE_SIZE);
	pthread_mutex_init(&array->lock, NULL);
	return 0;
}

static void aom_detach(struct bpf_map *map)
{
	struct bpf_array_of_maps *array = aom(map);

	meta_free(map);
	munmap(array->maps, (size_t)map->max_entries * sizeof(*array->maps));
	pthread_mutex_destroy(&array->lock);
}

static int aom_alloc(struct bpf_map *map)
{
	int err = aom_attach(map);

	if (!err) {
		err = template_take(map, map->arena->index);
		if (err)
			aom_detach(map);
	}
	return err;
}

static int aom_open(struct bpf_map *map)
{
	int err = aom_attach(map);

	if (!err) {
		bpf_map_set_entries(map, 0); /* counted as the slots are restored */
		err = template_read(map, map->arena->index);
		if (err)
			aom_detach(map);
	}
	return err;
}

/* The ids stay in the arena: freeing the map is not emptying it. */
static void aom_free(struct bpf_map *map)
{
	struct bpf_array_of_maps *array = aom(map);

	for (u32 i = 0; i < array->template->used_end; i++)
		if (array->maps[i])
			bpf_map_put_internal(array->maps[i]);
	aom_detach(map);
}

static void *aom_lookup_elem(struct bpf_map *map, const void *key)
{
	u32 index;

	memcpy(&index, key, sizeof(index));
	if (unlikely(index >= map->max_entries))
		return NULL;
	return bpf_rcu_dereference(aom(map)->maps[index]);
}

/* Returns the map whose reference the caller has to drop. Caller holds array->lock. */
static struct bpf_map *__aom_set(struct bpf_array_of_maps *array, u32 index, struct bpf_map *inner)
{
	struct bpf_map *old = array->maps[index];

	if (inner) {
		if (index >= array->template->used_end)
			__atomic_store_n(&array->template->used_end, index + 1, __ATOMIC_RELEASE);
		bpf_rcu_assign_pointer(array->maps[index], inner);
		__atomic_store_n(&array->ids[index], inner->id, __ATOMIC_RELEASE);
	} else if (index < array->template->used_end) {
		__atomic_store_n(&array->ids[index], 0, __ATOMIC_RELEASE);
		bpf_rcu_assign_pointer(array->maps[index], NULL);
	}
	bpf_map_count(&array->map, entries, (s64) !!inner - !!old);
	return old;
}

static struct bpf_map *aom_set(struct bpf_map *map, u32 index, struct bpf_map *inner)
{
	struct bpf_array_of_maps *array = aom(map);
	struct bpf_map *old;

	pthread_mutex_lock(&array->lock);
	old = __aom_set(array, index, inner);
	pthread_mutex_unlock(&array->lock);
	return old;
}

static int aom_update_slot(struct bpf_map *map, const void *key, void *object, u64 flags)
{
	struct bpf_map *inner = object, *old;
	u32 index;

	memcpy(&index, key, sizeof(index));
	if (flags != BPF_ANY)
		return (int)count_update(map, -EINVAL);
	if (index >= map->max_entries)
		return (int)count_update(map, -E2BIG);
	if (!fits(map, inner))
		return (int)count_update(map, -EINVAL);
	if (bpf_arena_reserve(map->arena, &aom(map)->ids[index], sizeof(u32)))
		return (int)count_update(map, -ENOSPC);
	bpf_map_inc_internal(inner);
	old = aom_set(map, index, inner);
	if (old)
		bpf_map_put_internal(old);
	return (int)count_update(map, 0);
}

static long aom_sys_lookup_elem(struct bpf_map *map, const void *key, void *value)
{
	struct bpf_map *inner = aom_lookup_elem(map, key);

	if (!inner)
		return -ENOENT;
	memcpy(value, &inner->id, sizeof(inner->id));
	return 0;
}

static long aom_delete_elem(struct bpf_map *map, const void *key)
{
	struct bpf_map *old;
	u32 index;

	memcpy(&index, key, sizeof(index));
	if (index >= map->max_entries)
		return -E2BIG;
	old = aom_set(map, index, NULL);
	if (!old)
		return -ENOENT;
	bpf_map_count(map, deletes, 1);
	bpf_map_put_internal(old);
	return 0;
}

static int aom_get_next_key(struct bpf_map *map, const void *key, void *next_key)
{
	return bpf_array_get_next_key(map, key, next_key);
}

/* Only slots in use are entries of a dump. */
static int aom_iter(struct bpf_map_iter *it)
{
	struct bpf_map *map = it->map;
	u32 end = __atomic_load_n(&aom(map)->template->used_end, __ATOMIC_ACQUIRE);

	if (bpf_map_iter_reserve(it, 1))
		return -ENOMEM;
	while (it->pos < end) {
		u32 index = (u32)it->pos++;
		u32 id = __atomic_load_n(&aom(map)->ids[index], __ATOMIC_ACQUIRE);

		if (!id)
			continue;
		memcpy(bpf_map_iter_key(it, 0), &index, sizeof(index));
		if (!it->keys_only)
			memcpy(bpf_map_iter_value(it, 0), &id, sizeof(id));
		return 1;
	}
	return 0;
}

/* get() gives an outside reference; the slot holds an internal one. */
static struct bpf_map *restored(struct bpf_map *outer, u32 id, void *(*get)(u32 id, void *priv),
				void *priv)
{
	struct bpf_map *inner = get(id, priv);
	bool good = inner && fits(outer, inner);

	if (good)
		bpf_map_inc_internal(inner);
	if (inner)
		bpf_map_put(inner);
	return good ? inner : NULL;
}

static int aom_restore_slots(struct bpf_map *map, void *(*get)(u32 id, void *priv), void *priv)
{
	struct bpf_array_of_maps *array = aom(map);

	for (u32 i = 0; i < array->template->used_end; i++) {
		u32 id = __atomic_load_n(&array->ids[i], __ATOMIC_ACQUIRE);

		if (id && !bpf_rcu_dereference(array->maps[i]))
			aom_set(map, i, restored(map, id, get, priv));
	}
	return 0;
}

const struct bpf_map_ops array_of_maps_map_ops = {
	.name = "array_of_maps",
	.map_size = sizeof(struct bpf_array_of_maps),
	.not_inner = true,
	.alloc_check = aom_alloc_check,
	.map_layout = aom_layout,
	.alloc = aom_alloc,
	.open = aom_open,
	.free = aom_free,
	.map_lookup_elem = aom_lookup_elem,
	.map_delete_elem = aom_delete_elem,
	.map_get_next_key = aom_get_next_key,
	.sys_lookup_elem = aom_sys_lookup_elem,
	.sys_update_elem = sys_update_elem,
	.map_iter = aom_iter,
	.map_update_slot = aom_update_slot,
	.map_restore_slots = aom_restore_slots,
};

/* ---- hash_of_maps: a hash table of ids */

struct bpf_htab_of_maps {
	struct bpf_htab htab;
	pthread_mutex_t lock; /* writers */
	bool counted; /* every id in the arena has its reference */
};

static struct bpf_htab_of_maps *hom(const struct bpf_map *map)
{
	return container_of(map, struct bpf_htab_of_maps, htab.map);
}

static int hom_alloc_check(const struct bpf_map_spec *spec)
{
	return spec->value_size != 4 ? -EINVAL : htab_map_ops.alloc_check(spec);
}

/* The template lies behind what the hash table needs. */
static int hom_layout(const struct bpf_map_spec *spec, u32 nr_slots, u64 *index, u64 *values)
{
	int err = htab_map_ops.map_layout(spec, nr_slots, index, values);

	*index = round_up(*index, (u64)64) + TEMPLATE_SIZE;
	return err;
}

static int hom_template(struct bpf_map *map, struct template **out)
{
	struct bpf_arena_header *header = map->arena->header;
	u64 index, values;
	int err = htab_map_ops.map_layout(&header->spec, header->nr_slots, &index, &values);

	*out = (struct template *)((char *)map->arena->index + round_up(index, (u64)64));
	return err;
}

static int hom_alloc(struct bpf_map *map)
{
	struct template *keep;
	int err = hom_template(map, &keep);

	if (!err)
		err = htab_map_ops.alloc(map);
	if (err)
		return err;
	err = template_take(map, keep);
	if (err) {
		htab_map_ops.free(map);
		return err;
	}
	pthread_mutex_init(&hom(map)->lock, NULL);
	hom(map)->counted = true;
	return 0;
}

static int hom_open(struct bpf_map *map)
{
	struct template *kept;
	int err = hom_template(map, &kept);

	if (!err)
		err = template_read(map, kept);
	if (err)
		return err;
	err = htab_map_ops.open(map);
	if (err) {
		meta_free(map);
		return err;
	}
	pthread_mutex_init(&hom(map)->lock, NULL);
	return 0;
}

/* Each entry once, with nobody else about: fn() may change it. */
static int hom_each(struct bpf_map *map,
		    int (*fn)(struct bpf_map *map, const void *key, u32 id, void *priv), void *priv)
{
	struct bpf_map_iter it = {.map = map, .entry_size = round_up(map->key_size, 8) + 8};
	int n, err = 0;
	u32 id;

	while (!err && (n = htab_map_ops.map_iter(&it)) > 0)
		for (u32 i = 0; !err && i < (u32)n; i++) {
			memcpy(&id, bpf_map_iter_value(&it, i), sizeof(id));
			err = fn(map, bpf_map_iter_key(&it, i), id, priv);
		}
	free(it.buf);
	return err ? err : n;
}

/* The map of an id for which the table holds a reference. */
static struct bpf_map *held(u32 id)
{
	struct bpf_map *inner;

	bpf_rcu_read_lock();
	inner = bpf_ids_find(&bpf_map_ids, id);
	bpf_rcu_read_unlock();
	return inner;
}

static int put_one(struct bpf_map *map, const void *key, u32 id, void *priv)
{
	struct bpf_map *inner = held(id);

	if (inner)
		bpf_map_put_internal(inner);
	return 0;
}

static void hom_free(struct bpf_map *map)
{
	if (hom(map)->counted)
		hom_each(map, put_one, NULL);
	meta_free(map);
	pthread_mutex_destroy(&hom(map)->lock);
	htab_map_ops.free(map);
}

/* 0: no such key. */
static u32 hom_id(struct bpf_map *map, const void *key)
{
	const u32 *id = htab_map_ops.map_lookup_elem(map, key);

	return id ? __atomic_load_n(id, __ATOMIC_ACQUIRE) : 0;
}

static void *hom_lookup_elem(struct bpf_map *map, const void *key)
{
	struct bpf_map *inner = NULL;
	u32 id = hom_id(map, key), again;

	/* A map that went between the two steps was replaced before: look once more. */
	while (id && !(inner = bpf_ids_find(&bpf_map_ids, id))) {
		again = hom_id(map, key);
		if (again == id)
			break;
		id = again;
	}
	return inner;
}

static int hom_update_slot(struct bpf_map *map, const void *key, void *object, u64 flags)
{
	struct bpf_htab_of_maps *h = hom(map);
	struct bpf_map *inner = object, *old = NULL;
	u64 value = inner->id;
	u32 old_id;
	long err;

	if (!fits(map, inner))
		return (int)count_update(map, -EINVAL);
	pthread_mutex_lock(&h->lock);
	if (!h->counted) {
		pthread_mutex_unlock(&h->lock);
		return -EBUSY;
	}
	bpf_rcu_read_lock();
	bpf_map_inc_internal(inner);
	old_id = hom_id(map, key);
	if (old_id)
		old = held(old_id);
	err = htab_map_ops.map_update_elem(map, key, &value, flags);
	bpf_rcu_read_unlock();
	pthread_mutex_unlock(&h->lock);
	if (err)
		bpf_map_put_internal(inner);
	else if (old)
		bpf_map_put_internal(old);
	return (int)err;
}

static long hom_delete_elem(struct bpf_map *map, const void *key)
{
	struct bpf_htab_of_maps *h = hom(map);
	struct bpf_map *old = NULL;
	u32 old_id;
	long err;

	pthread_mutex_lock(&h->lock);
	if (!h->counted) {
		pthread_mutex_unlock(&h->lock);
		return -EBUSY;
	}
	bpf_rcu_read_lock();
	old_id = hom_id(map, key);
	if (old_id)
		old = held(old_id);
	err = htab_map_ops.map_delete_elem(map, key);
	bpf_rcu_read_unlock();
	pthread_mutex_unlock(&h->lock);
	if (!err && old)
		bpf_map_put_internal(old);
	return err;
}

static int hom_get_next_key(struct bpf_map *map, const void *key, void *next_key)
{
	return htab_map_ops.map_get_next_key(map, key, next_key);
}

static int hom_iter(struct bpf_map_iter *it)
{
	return htab_map_ops.map_iter(it);
}

static long hom_sys_lookup_elem(struct bpf_map *map, const void *key, void *value)
{
	u32 id = hom_id(map, key);

	if (!id)
		return -ENOENT;
	memcpy(value, &id, sizeof(id));
	return 0;
}

struct restore {
	void *(*get)(u32 id, void *priv);
	void *priv;
};

static int restore_one(struct bpf_map *map, const void *key, u32 id, void *priv)
{
	struct restore *r = priv;

	if (!restored(map, id, r->get, r->priv)) {
		bpf_rcu_read_lock();
		htab_map_ops.map_delete_elem(map, key);
		bpf_rcu_read_unlock();
	}
	return 0;
}

static int hom_restore_slots(struct bpf_map *map, void *(*get)(u32 id, void *priv), void *priv)
{
	struct restore r = {get, priv};
	int err;

	if (hom(map)->counted)
		return 0;
	err = hom_each(map, restore_one, &r);
	pthread_mutex_lock(&hom(map)->lock);
	hom(map)->counted = true;
	pthread_mutex_unlock(&hom(map)->lock);
	return err;
}

const struct bpf_map_ops htab_of_maps_map_ops = {
	.name = "hash_of_maps",
	.map_size = sizeof(struct bpf_htab_of_maps),
	.not_inner = true,
	.alloc_check = hom_alloc_check,
	.map_layout = hom_layout,
	.alloc = hom_alloc,
	.open = hom_open,
	.free = hom_free,
	.map_lookup_elem = hom_lookup_elem,
	.map_delete_elem = hom_delete_elem,
	.map_get_next_key = hom_get_next_key,
	.sys_lookup_elem = hom_sys_lookup_elem,
	.sys_update_elem = sys_update_elem,
	.map_iter = hom_iter,
	.map_update_slot = hom_update_slot,
	.map_restore_slots = hom_restore_slots,
};
