/*
 * hash_of_maps.c - a hash table of ids of maps (map_in_map.h says what kind of maps)
 *
 * Its elements move, so there is no table of pointers beside the ids: a lookup finds the map of an
 * id through rcu/ids.h. Until bpf_map_restore_slots() has been called it takes no updates (-EBUSY).
 * Lock order: `lock`, then what the hash takes; references are dropped outside of it.
 */
#include <pthread.h>
#include "map/hash/hashtab.h"
#include "map/fd/map_in_map.h"
#include "map/iter.h"

struct bpf_htab_of_maps {
	struct bpf_htab htab;
	pthread_mutex_t lock; /* writers */
	bool counted; /* every id in the arena has its reference */
};

static struct bpf_htab_of_maps *hom(const struct bpf_map *map)
{
	return container_of(map, struct bpf_htab_of_maps, htab.map);
}

static int hom_alloc_check(const struct bpf_map_spec *spec, const char **why)
{
	if (spec->value_size != 4)
		return bpf_spec_refuse(why, EINVAL, "value_size is 4");
	return htab_map_ops.alloc_check(spec, why);
}

/* The template lies behind what the hash table needs. */
static int hom_layout(const struct bpf_map_spec *spec, u32 nr_slots, u64 *index, u64 *values)
{
	int err = htab_map_ops.map_layout(spec, nr_slots, index, values);

	*index = round_up(*index, (u64)64) + MAP_IN_MAP_HEAD;
	return err;
}

static int hom_template(struct bpf_map *map, struct map_in_map_template **out)
{
	struct bpf_arena_header *header = map->arena->header;
	u64 index, values;
	int err = htab_map_ops.map_layout(&header->spec, header->nr_slots, &index, &values);

	*out = (struct map_in_map_template *)((char *)map->arena->index + round_up(index, (u64)64));
	return err;
}

static int hom_alloc(struct bpf_map *map)
{
	struct map_in_map_template *keep;
	int err = hom_template(map, &keep);

	if (!err)
		err = htab_map_ops.alloc(map);
	if (err)
		return err;
	err = map_in_map_take(map, keep);
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
	struct map_in_map_template *kept;
	int err = hom_template(map, &kept);

	if (!err)
		err = map_in_map_read(map, kept);
	if (err)
		return err;
	err = htab_map_ops.open(map);
	if (err) {
		map_in_map_free(map);
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
	map_in_map_free(map);
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

	if (!map_in_map_fits(map, inner))
		return (int)map_in_map_count_update(map, -EINVAL);
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

struct restore {
	bpf_slot_get_fn get;
	void *priv;
	int kept;
};

static int get_live(u32 id, void *priv, void **object)
{
	*object = bpf_map_get_by_id(id);
	return *object ? 0 : -ENOENT;
}

static int restore_one(struct bpf_map *map, const void *key, u32 id, void *priv)
{
	struct restore *r = priv;
	struct bpf_map *inner;
	int err = map_in_map_restored(map, id, r->get, r->priv, &inner);

	if (err &&
	    err != -ENOENT) { /* one that lives is found through its id: then with a reference */
		int again = map_in_map_restored(map, id, get_live, NULL, &inner);

		err = again == -ENOENT ? err : again;
	}
	/* A map that is there and does not fit must not be found through its id. */
	if (err == -ENOENT || err == -EINVAL) {
		bpf_rcu_read_lock();
		htab_map_ops.map_delete_elem(map, key);
		bpf_rcu_read_unlock();
	} else if (err) {
		r->kept++;
	}
	return 0;
}

static int hom_restore_slots(struct bpf_map *map, bpf_slot_get_fn get, void *priv)
{
	struct restore r = {get, priv, 0};
	int err;

	if (hom(map)->counted)
		return 0;
	err = hom_each(map, restore_one, &r);
	if (err)
		return err;
	pthread_mutex_lock(&hom(map)->lock);
	hom(map)->counted = true;
	pthread_mutex_unlock(&hom(map)->lock);
	return r.kept;
}

const struct bpf_map_ops htab_of_maps_map_ops = {
	.name = "hash_of_maps",
	.at_start = true,
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
	/* Under the bucket's lock: an element that is used again holds another key's id. */
	.sys_lookup_elem = htab_sys_lookup_elem,
	.sys_update_elem = map_in_map_sys_update_elem,
	.map_iter = hom_iter,
	.map_update_slot = hom_update_slot,
	.map_restore_slots = hom_restore_slots,
};
