/*
 * syscall.c - a map from outside of programs
 *
 * bpf(2)'s view: access flags, frozen maps, copies in and out. No type is named here.
 */
#include <limits.h>
#include "map/arena/arena.h"
#include "map/map.h"
#include "map/mmap.h"
#include "map/spin_lock.h"
#include "map/syscall.h"

u32 bpf_map_value_size(const struct bpf_map *map)
{
	if (map->ops->percpu)
		return round_up(map->value_size, 8) * bpf_nr_slots();
	return map->value_size;
}

void (*bpf_map_changed)(struct bpf_map *map);

/* The end of each change from outside. */
static int changed(struct bpf_map *map, long err)
{
	if (unlikely(bpf_map_changed != NULL) && !err)
		bpf_map_changed(map);
	return (int)err;
}

/* BPF_F_LOCK is for values that hold a lock. */
static bool lock_flag_ok(const struct bpf_map *map, u64 flags)
{
	return !(flags & BPF_F_LOCK) || map->spin_lock_off >= 0;
}

int bpf_map_lookup(struct bpf_map *map, const void *key, void *value, u64 flags)
{
	void *found;
	long err = 0;

	if (!bpf_map_may_read(map))
		return -EPERM;
	if (flags & ~(u64)BPF_F_LOCK || !lock_flag_ok(map, flags))
		return -EINVAL;
	bpf_rcu_read_lock();
	if (flags && map->ops->sys_lookup_locked) {
		err = map->ops->sys_lookup_locked(map, key, value);
	} else if (map->ops->sys_lookup_elem) {
		err = map->ops->sys_lookup_elem(map, key, value);
	} else if (map->ops->map_peek_elem) {
		err = map->ops->map_peek_elem(map, value);
	} else if (map->ops->map_lookup_elem) {
		found = map->ops->map_lookup_elem(map, key);
		if (found)
			bpf_value_from_arena(map, value, found, flags);
		else
			err = -ENOENT;
	} else {
		err = -EOPNOTSUPP;
	}
	bpf_rcu_read_unlock();
	return (int)err;
}

int bpf_map_contains(struct bpf_map *map, const void *key)
{
	long err = 0;

	if (!bpf_map_may_read(map))
		return -EPERM;
	if (!map->key_size)
		return -EOPNOTSUPP;
	bpf_rcu_read_lock();
	if (map->ops->sys_lookup_elem)
		err = map->ops->sys_lookup_elem(map, key, NULL);
	else if (!map->ops->map_lookup_elem)
		err = -EOPNOTSUPP;
	else if (!map->ops->map_lookup_elem(map, key))
		err = -ENOENT;
	bpf_rcu_read_unlock();
	return (int)err;
}

/*
 * The verifier takes the values of such a map as constants once it is frozen, so a freeze must not
 * overtake an update. Lock: outside of all others of a map.
 */
static pthread_mutex_t constants_lock = PTHREAD_MUTEX_INITIALIZER;

static bool lock_constants(const struct bpf_map *map)
{
	if (likely(!(map->map_flags & BPF_F_RDONLY_PROG) || !map->ops->map_direct_value_addr))
		return false;
	pthread_mutex_lock(&constants_lock);
	return true;
}

static int map_update(struct bpf_map *map, const void *key, const void *value, u64 flags)
{
	long err;

	if (!bpf_map_may_write(map))
		return -EPERM;
	if (!lock_flag_ok(map, flags))
		return -EINVAL;
	bpf_rcu_read_lock();
	if (map->ops->sys_update_elem)
		err = map->ops->sys_update_elem(map, key, value, flags);
	else if (map->ops->map_push_elem)
		err = map->ops->map_push_elem(map, value, flags);
	else if (map->ops->map_update_elem)
		err = map->ops->map_update_elem(map, key, value, flags);
	else
		err = -EOPNOTSUPP;
	bpf_rcu_read_unlock();
	/* An array: it may not last. */
	if (!err && map->elem_size && unlikely(READ_ONCE(map->arena->lossy)))
		return -ENOSPC;
	if (!err && unlikely(bpf_map_mmap_sealed(map)))
		bpf_map_mirror_elem(map, key);
	return (int)err;
}

/* The element that a part is in. */
static int part_of(struct bpf_map *map, const void *key, u32 off, u32 len, void **elem)
{
	if (!map->ops->parts)
		return -EOPNOTSUPP;
	if (off % 8 || off > map->value_size || len > map->value_size - off)
		return -EINVAL;
	*elem = map->ops->map_lookup_elem(map, key);
	return *elem ? 0 : -E2BIG;
}

int bpf_map_lookup_part(struct bpf_map *map, const void *key, u32 off, void *value, u32 len)
{
	void *elem;
	int err = bpf_map_may_read(map) ? part_of(map, key, off, len, &elem) : -EPERM;

	if (!err)
		bpf_part_from_arena(map, value, elem, off, len);
	return err;
}

static int map_update_part(struct bpf_map *map, const void *key, u32 off, const void *value,
			   u8 *mask, u32 len)
{
	void *elem;
	int err = bpf_map_may_write(map) ? part_of(map, key, off, len, &elem) : -EPERM;

	if (err)
		return err;
	bpf_part_to_arena(map, elem, off, value, mask, len);
	bpf_map_count(map, updates, 1);
	if (unlikely(READ_ONCE(map->arena->lossy)))
		return -ENOSPC;
	if (unlikely(bpf_map_mmap_sealed(map)))
		bpf_map_mirror_elem(map, key);
	return 0;
}

int bpf_map_update(struct bpf_map *map, const void *key, const void *value, u64 flags)
{
	bool locked = lock_constants(map);
	int err = map_update(map, key, value, flags);

	if (locked)
		pthread_mutex_unlock(&constants_lock);
	return changed(map, err);
}

int bpf_map_update_part(struct bpf_map *map, const void *key, u32 off, const void *value, u8 *mask,
			u32 len)
{
	bool locked = lock_constants(map);
	int err = map_update_part(map, key, off, value, mask, len);

	if (locked)
		pthread_mutex_unlock(&constants_lock);
	return changed(map, err);
}

int bpf_map_update_slot(struct bpf_map *map, const void *key, void *object, u64 flags)
{
	if (!bpf_map_may_write(map))
		return -EPERM;
	if (!map->ops->map_update_slot)
		return -EOPNOTSUPP;
	return changed(map, map->ops->map_update_slot(map, key, object, flags));
}

int bpf_map_delete(struct bpf_map *map, const void *key)
{
	long err = -EOPNOTSUPP;

	if (!bpf_map_may_write(map))
		return -EPERM;
	bpf_rcu_read_lock();
	if (map->ops->map_delete_elem)
		err = map->ops->map_delete_elem(map, key);
	bpf_rcu_read_unlock();
	return changed(map, err);
}

int bpf_map_pop(struct bpf_map *map, void *value, u64 flags)
{
	long err;

	if (!bpf_map_may_read(map) || !bpf_map_may_write(map))
		return -EPERM;
	if (!map->ops->map_pop_elem)
		return -EOPNOTSUPP;
	if (flags)
		return -EINVAL;
	bpf_rcu_read_lock();
	err = map->ops->map_pop_elem(map, value);
	bpf_rcu_read_unlock();
	return changed(map, err);
}

bool bpf_map_made(const struct bpf_map *map, u64 mark)
{
	return map->ops->map_made && map->ops->map_made(map, mark);
}

int bpf_map_next_key(struct bpf_map *map, const void *key, void *next_key)
{
	int err = -EOPNOTSUPP;

	if (!bpf_map_may_read(map))
		return -EPERM;
	bpf_rcu_read_lock();
	if (map->ops->map_get_next_key)
		err = map->ops->map_get_next_key(map, key, next_key);
	bpf_rcu_read_unlock();
	return err;
}

int bpf_map_freeze(struct bpf_map *map)
{
	bool frozen;

	if (map->map_flags & BPF_F_RDONLY)
		return -EPERM;
	pthread_mutex_lock(&constants_lock);
	frozen = __atomic_exchange_n(&map->frozen, true, __ATOMIC_ACQ_REL);
	pthread_mutex_unlock(&constants_lock);
	/* Its descriptors cannot write any more, so a second time is EPERM, as in Linux. */
	if (frozen)
		return -EPERM;
	map->arena->header->frozen = 1;
	return changed(map, 0);
}

int bpf_map_sync(const struct bpf_map *map)
{
	return bpf_arena_sync(map->arena);
}

bool bpf_prog_map_compatible(struct bpf_map *map, const struct bpf_prog *prog)
{
	return !map->ops->map_prog_compatible || map->ops->map_prog_compatible(map, prog);
}

int bpf_map_restore_slots(struct bpf_map *map, bpf_slot_get_fn get, void *priv)
{
	return map->ops->map_restore_slots ? map->ops->map_restore_slots(map, get, priv) : 0;
}

void bpf_map_stats_read(const struct bpf_map *map, struct bpf_map_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	for (u32 i = 0; i <= bpf_nr_slots(); i++) {
		const struct bpf_map_slot_stats *slot = &map->slot_stats[i];

		stats->updates += __atomic_load_n(&slot->updates, __ATOMIC_RELAXED);
		stats->deletes += __atomic_load_n(&slot->deletes, __ATOMIC_RELAXED);
		stats->failed_updates += __atomic_load_n(&slot->failed_updates, __ATOMIC_RELAXED);
		stats->evictions += __atomic_load_n(&slot->evictions, __ATOMIC_RELAXED);
	}
	stats->entries = map->ops->map_entries ? map->ops->map_entries(map)
					       : bpf_map_count_entries(map);
}

u64 bpf_map_mem_usage(const struct bpf_map *map)
{
	const struct bpf_arena_header *header = map->arena->header;

	if (map->ops->map_mem_usage)
		return map->ops->map_mem_usage(&header->spec, header->nr_slots);
	return map->arena->index_size + map->arena->values_size;
}
