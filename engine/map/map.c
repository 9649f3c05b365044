/*
 * map.c - the life of a map and the operations from outside of programs
 *
 * The registry of types, the checks that all types share, reference counts, and bpf(2)'s view:
 * access flags, frozen maps, copies in and out. No type is named here but in the registry.
 *
 * A map's file is made by bpf_map_create() and taken over by bpf_map_open(); its arena is marked
 * clean when the last reference is gone (after a grace period), and a type rebuilds what was not.
 */
#include <ctype.h>
#include <limits.h>
#include "btf/btf.h"
#include "map/map.h"
#include "map/mmap.h"
#include "map/spin_lock.h"

/* The types that there are, each with its functions, in a file of a folder below this one. */
#define TYPES(X)                                                \
	X(HASH, htab_map_ops)                                   \
	X(ARRAY, array_map_ops)                                 \
	X(PROG_ARRAY, prog_array_map_ops)                       \
	X(PERCPU_HASH, htab_percpu_map_ops)                     \
	X(PERCPU_ARRAY, percpu_array_map_ops)                   \
	X(STACK_TRACE, stack_trace_map_ops)                     \
	X(LPM_TRIE, lpm_trie_map_ops)                           \
	X(CGROUP_STORAGE, cgroup_storage_map_ops)               \
	X(PERCPU_CGROUP_STORAGE, percpu_cgroup_storage_map_ops) \
	X(ARRAY_OF_MAPS, array_of_maps_map_ops)                 \
	X(HASH_OF_MAPS, htab_of_maps_map_ops)                   \
	X(PERF_EVENT_ARRAY, perf_event_array_map_ops)           \
	X(RINGBUF, ringbuf_map_ops)                             \
	X(BLOOM_FILTER, bloom_filter_map_ops)                   \
	X(QUEUE, queue_map_ops)                                 \
	X(STACK, stack_map_ops)                                 \
	X(LRU_HASH, htab_lru_map_ops)                           \
	X(LRU_PERCPU_HASH, htab_lru_percpu_map_ops)

#define DECLARE(type, ops) extern const struct bpf_map_ops ops;
#define ROW(type, ops)	   [BPF_MAP_TYPE_##type] = &ops,

TYPES(DECLARE)
static const struct bpf_map_ops *const map_ops[] = {TYPES(ROW)};

static const char *const map_type_names[] = {
	[BPF_MAP_TYPE_HASH] = "hash",
	[BPF_MAP_TYPE_ARRAY] = "array",
	[BPF_MAP_TYPE_PROG_ARRAY] = "prog_array",
	[BPF_MAP_TYPE_PERF_EVENT_ARRAY] = "perf_event_array",
	[BPF_MAP_TYPE_PERCPU_HASH] = "percpu_hash",
	[BPF_MAP_TYPE_PERCPU_ARRAY] = "percpu_array",
	[BPF_MAP_TYPE_STACK_TRACE] = "stack_trace",
	[BPF_MAP_TYPE_CGROUP_ARRAY] = "cgroup_array",
	[BPF_MAP_TYPE_LRU_HASH] = "lru_hash",
	[BPF_MAP_TYPE_LRU_PERCPU_HASH] = "lru_percpu_hash",
	[BPF_MAP_TYPE_LPM_TRIE] = "lpm_trie",
	[BPF_MAP_TYPE_ARRAY_OF_MAPS] = "array_of_maps",
	[BPF_MAP_TYPE_HASH_OF_MAPS] = "hash_of_maps",
	[BPF_MAP_TYPE_DEVMAP] = "devmap",
	[BPF_MAP_TYPE_SOCKMAP] = "sockmap",
	[BPF_MAP_TYPE_CPUMAP] = "cpumap",
	[BPF_MAP_TYPE_XSKMAP] = "xskmap",
	[BPF_MAP_TYPE_SOCKHASH] = "sockhash",
	[BPF_MAP_TYPE_CGROUP_STORAGE] = "cgroup_storage",
	[BPF_MAP_TYPE_REUSEPORT_SOCKARRAY] = "reuseport_sockarray",
	[BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE] = "percpu_cgroup_storage",
	[BPF_MAP_TYPE_QUEUE] = "queue",
	[BPF_MAP_TYPE_STACK] = "stack",
	[BPF_MAP_TYPE_SK_STORAGE] = "sk_storage",
	[BPF_MAP_TYPE_DEVMAP_HASH] = "devmap_hash",
	[BPF_MAP_TYPE_STRUCT_OPS] = "struct_ops",
	[BPF_MAP_TYPE_RINGBUF] = "ringbuf",
	[BPF_MAP_TYPE_INODE_STORAGE] = "inode_storage",
	[BPF_MAP_TYPE_TASK_STORAGE] = "task_storage",
	[BPF_MAP_TYPE_BLOOM_FILTER] = "bloom_filter",
};

bool bpf_map_keep_slots;
void (*bpf_map_notify)(struct bpf_map *map);

struct bpf_ids bpf_map_ids = BPF_IDS_INIT;
static u64 live_maps;

const struct bpf_map_ops *bpf_map_ops_find(enum bpf_map_type type)
{
	return (u32)type < ARRAY_SIZE(map_ops) ? map_ops[type] : NULL;
}

const char *bpf_map_type_name(enum bpf_map_type type)
{
	return (u32)type < ARRAY_SIZE(map_type_names) ? map_type_names[type] : NULL;
}

int bpf_map_type_by_name(const char *name)
{
	for (u32 i = 0; i < ARRAY_SIZE(map_type_names); i++)
		if (map_type_names[i] && !strcmp(map_type_names[i], name))
			return (int)i;
	return -ENOENT;
}

u64 bpf_map_live_count(void)
{
	return __atomic_load_n(&live_maps, __ATOMIC_RELAXED);
}

static bool inc_not_zero(void *map)
{
	return bpf_map_inc_not_zero(map);
}

struct bpf_map *bpf_map_get_by_id(u32 id)
{
	return bpf_ids_get(&bpf_map_ids, id, inc_not_zero);
}

/* ---- making and opening */

/* The lock that BTF said to be in the value: may it be there? */
static int spin_lock_check(const struct bpf_map_spec *spec, const struct bpf_map_ops *ops)
{
	u32 end = spec->spin_lock_end;

	if (!end)
		return 0;
	if (end > spec->value_size || end < sizeof(struct bpf_spin_lock) ||
	    end % sizeof(struct bpf_spin_lock))
		return -EINVAL;
	if (spec->map_flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG))
		return -EACCES;
	return ops->spin_lock ? 0 : -EOPNOTSUPP;
}

/* The rules of bpf(2) that hold for every type. */
static int spec_check(const struct bpf_map_spec *spec, const struct bpf_map_ops **ops)
{
	const char *end = memchr(spec->name, 0, sizeof(spec->name));
	int err;

	if (!end)
		return -EINVAL;
	for (const char *c = spec->name; c < end; c++)
		if (!isalnum((unsigned char)*c) && *c != '_' && *c != '.')
			return -EINVAL;
	if (!bpf_map_type_name(spec->map_type))
		return -EINVAL;
	*ops = bpf_map_ops_find(spec->map_type);
	if (!*ops)
		return -EOPNOTSUPP;
	if (spec->map_extra && spec->map_type != BPF_MAP_TYPE_BLOOM_FILTER)
		return -EINVAL;
	if ((spec->map_flags & (BPF_F_RDONLY | BPF_F_WRONLY)) == (BPF_F_RDONLY | BPF_F_WRONLY) ||
	    (spec->map_flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)) ==
		    (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG))
		return -EINVAL;
	err = (*ops)->alloc_check(spec);
	return err ? err : spin_lock_check(spec, *ops);
}

static struct bpf_map *map_alloc(const struct bpf_map_ops *ops, const struct bpf_map_spec *spec)
{
	size_t stats_size = (bpf_nr_slots() + 1) * sizeof(struct bpf_map_slot_stats);
	struct bpf_map *map = aligned_alloc(64, round_up(ops->map_size, (size_t)64));

	if (!map)
		return NULL;
	memset(map, 0, ops->map_size);
	map->slot_stats = aligned_alloc(64, stats_size);
	if (!map->slot_stats) {
		free(map);
		return NULL;
	}
	memset(map->slot_stats, 0, stats_size);
	map->ops = ops;
	map->map_type = spec->map_type;
	map->key_size = spec->key_size;
	map->value_size = spec->value_size;
	map->max_entries = spec->max_entries;
	map->map_flags = spec->map_flags;
	map->map_extra = spec->map_extra;
	memcpy(map->name, spec->name, sizeof(map->name));
	map->btf_key_type_id = spec->btf_key_type_id;
	map->btf_value_type_id = spec->btf_value_type_id;
	map->spin_lock_off = bpf_spec_spin_lock_off(spec);
	map->refcnt = map->uref = 1;
	return map;
}

static void map_free(struct bpf_map *map, bool clean)
{
	if (map->arena && clean)
		map->arena->header->entries = bpf_map_count_entries(map);
	bpf_arena_close(map->arena, clean);
	free(map->slot_stats);
	free(map);
}

static int map_publish(struct bpf_map *map, struct bpf_map **out)
{
	int err = bpf_ids_add(&bpf_map_ids, &map->id, map);

	if (err)
		return err;
	map->arena->header->map_id = map->id;
	__atomic_fetch_add(&live_maps, 1, __ATOMIC_RELAXED);
	*out = map;
	return 0;
}

int bpf_map_create(const struct bpf_map_spec *spec, u32 id, int index_fd, int values_fd,
		   struct bpf_map **out)
{
	const struct bpf_map_ops *ops;
	u64 index, values = 0;
	struct bpf_map *map;
	int err;

	err = spec_check(spec, &ops);
	if (!err)
		err = ops->map_layout(spec, bpf_nr_slots(), &index, &values);
	if (err)
		return err;
	map = map_alloc(ops, spec);
	if (!map)
		return -ENOMEM;
	map->id = id;
	err = bpf_arena_create(spec, id, index, values, index_fd, values_fd, &map->arena);
	if (err)
		goto fail;
	err = ops->alloc(map);
	if (err)
		goto fail;
	err = map_publish(map, out);
	if (!err)
		return 0;
	ops->free(map);
fail:
	map_free(map, false);
	return err;
}

int bpf_map_open(int index_fd, int values_fd, struct bpf_map **out)
{
	const struct bpf_map_ops *ops;
	const struct bpf_map_spec *spec;
	struct bpf_arena *arena;
	u64 index, values = 0;
	struct bpf_map *map, *live;
	int err;

	err = bpf_arena_open(index_fd, values_fd, &arena);
	if (err)
		return err;
	spec = &arena->header->spec;
	/* No map has these ids: 0 would be given another, and after the last one comes none. */
	if (!arena->header->map_id || arena->header->map_id == UINT32_MAX ||
	    spec_check(spec, &ops) ||
	    ops->map_layout(spec, arena->header->nr_slots, &index, &values) ||
	    bpf_arena_check_size(arena, index, values)) {
		bpf_arena_close(arena, arena->was_clean);
		return -EBADMSG;
	}
	map = map_alloc(ops, spec);
	if (!map) {
		bpf_arena_close(arena, arena->was_clean);
		return -ENOMEM;
	}
	map->arena = arena;
	map->id = arena->header->map_id;
	live = bpf_map_get_by_id(map->id);
	if (live) { /* most likely this very arena: opening would work on the live map's memory */
		bpf_map_put(live);
		map_free(map, false);
		return -EEXIST;
	}
	map->frozen = arena->header->frozen;
	if (arena->was_clean)
		bpf_map_set_entries(map, arena->header->entries);
	err = ops->open(map);
	if (err) {
		map_free(map, arena->was_clean);
		return err;
	}
	err = map_publish(map, out);
	if (err) {
		ops->free(map);
		map_free(map, true);
	}
	return err;
}

void bpf_map_drop_files(struct bpf_map *map)
{
	bpf_arena_drop_files(map->arena);
}

bool bpf_map_has_values_file(const struct bpf_map_spec *spec)
{
	const struct bpf_map_ops *ops;
	u64 index, values = 0;

	return !spec_check(spec, &ops) && !ops->map_layout(spec, bpf_nr_slots(), &index, &values) &&
	       values;
}

/* ---- references */

void bpf_map_inc(struct bpf_map *map)
{
	__atomic_fetch_add(&map->uref, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&map->refcnt, 1, __ATOMIC_RELAXED);
}

void bpf_map_inc_internal(struct bpf_map *map)
{
	__atomic_fetch_add(&map->refcnt, 1, __ATOMIC_RELAXED);
}

static void map_free_rcu(struct rcu_head *head)
{
	struct bpf_map *map = container_of(head, struct bpf_map, rcu);

	map->ops->free(map);
	bpf_btf_put(map->btf);
	map_free(map, true);
	__atomic_fetch_sub(&live_maps, 1, __ATOMIC_RELAXED);
}

void bpf_map_put_internal(struct bpf_map *map)
{
	if (__atomic_sub_fetch(&map->refcnt, 1, __ATOMIC_ACQ_REL))
		return;
	bpf_ids_remove(&bpf_map_ids, map->id);
	if (map->on_free)
		map->on_free(map, map->priv);
	bpf_call_rcu(&map->rcu, map_free_rcu);
}

void bpf_map_put(struct bpf_map *map)
{
	if (!__atomic_sub_fetch(&map->uref, 1, __ATOMIC_ACQ_REL) && map->ops->map_release_uref &&
	    !__atomic_load_n(&bpf_map_keep_slots, __ATOMIC_RELAXED))
		map->ops->map_release_uref(map);
	bpf_map_put_internal(map);
}

/* ---- operations from outside */

u32 bpf_map_value_size(const struct bpf_map *map)
{
	if (map->ops->percpu)
		return round_up(map->value_size, 8) * bpf_nr_slots();
	return map->value_size;
}

static bool may_read(const struct bpf_map *map)
{
	return !(map->map_flags & BPF_F_WRONLY);
}

static bool may_write(const struct bpf_map *map)
{
	return !(map->map_flags & BPF_F_RDONLY) && !__atomic_load_n(&map->frozen, __ATOMIC_RELAXED);
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

	if (!may_read(map))
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

	if (!may_read(map))
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

	if (!may_write(map))
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
	if (!map->values || map->ops->percpu || map->ops->map_update_slot)
		return -EOPNOTSUPP;
	if (off % 8 || off > map->value_size || len > map->value_size - off)
		return -EINVAL;
	*elem = map->ops->map_lookup_elem(map, key);
	return *elem ? 0 : -E2BIG;
}

int bpf_map_lookup_part(struct bpf_map *map, const void *key, u32 off, void *value, u32 len)
{
	void *elem;
	int err = may_read(map) ? part_of(map, key, off, len, &elem) : -EPERM;

	if (!err)
		bpf_part_from_arena(map, value, elem, off, len);
	return err;
}

static int map_update_part(struct bpf_map *map, const void *key, u32 off, const void *value,
			   u8 *mask, u32 len)
{
	void *elem;
	int err = may_write(map) ? part_of(map, key, off, len, &elem) : -EPERM;

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
	return err;
}

int bpf_map_update_part(struct bpf_map *map, const void *key, u32 off, const void *value, u8 *mask,
			u32 len)
{
	bool locked = lock_constants(map);
	int err = map_update_part(map, key, off, value, mask, len);

	if (locked)
		pthread_mutex_unlock(&constants_lock);
	return err;
}

int bpf_map_update_slot(struct bpf_map *map, const void *key, void *object, u64 flags)
{
	if (!may_write(map))
		return -EPERM;
	if (!map->ops->map_update_slot)
		return -EOPNOTSUPP;
	return map->ops->map_update_slot(map, key, object, flags);
}

int bpf_map_delete(struct bpf_map *map, const void *key)
{
	long err = -EOPNOTSUPP;

	if (!may_write(map))
		return -EPERM;
	bpf_rcu_read_lock();
	if (map->ops->map_delete_elem)
		err = map->ops->map_delete_elem(map, key);
	bpf_rcu_read_unlock();
	return (int)err;
}

int bpf_map_pop(struct bpf_map *map, void *value, u64 flags)
{
	long err;

	if (!may_read(map) || !may_write(map))
		return -EPERM;
	if (!map->ops->map_pop_elem)
		return -EOPNOTSUPP;
	if (flags)
		return -EINVAL;
	bpf_rcu_read_lock();
	err = map->ops->map_pop_elem(map, value);
	bpf_rcu_read_unlock();
	return (int)err;
}

int bpf_map_next_key(struct bpf_map *map, const void *key, void *next_key)
{
	int err = -EOPNOTSUPP;

	if (!may_read(map))
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
	return 0;
}

bool bpf_prog_map_compatible(struct bpf_map *map, const struct bpf_prog *prog)
{
	return !map->ops->map_prog_compatible || map->ops->map_prog_compatible(map, prog);
}

int bpf_map_restore_slots(struct bpf_map *map, bpf_slot_get_fn get, void *priv)
{
	return map->ops->map_restore_slots ? map->ops->map_restore_slots(map, get, priv) : 0;
}

int bpf_array_get_next_key(const struct bpf_map *map, const void *key, void *next_key)
{
	u32 index = UINT_MAX, next = 0;

	if (key)
		memcpy(&index, key, sizeof(index));
	if (index < map->max_entries) {
		if (index == map->max_entries - 1)
			return -ENOENT;
		next = index + 1;
	}
	memcpy(next_key, &next, sizeof(next));
	return 0;
}

/* ---- iteration */

void bpf_map_iter_init(struct bpf_map_iter *it, struct bpf_map *map, bool keys_only)
{
	memset(it, 0, sizeof(*it));
	bpf_map_inc_internal(map);
	it->map = map;
	it->keys_only = keys_only;
	it->entry_size = round_up(map->key_size, 8);
	if (!keys_only)
		it->entry_size += round_up(bpf_map_value_size(map), 8);
}

int bpf_map_iter_reserve(struct bpf_map_iter *it, u32 nr)
{
	size_t need;
	char *buf;

	if (__builtin_mul_overflow((size_t)nr, (size_t)it->entry_size, &need))
		return -ENOMEM;
	if (need <= it->cap)
		return 0;
	need = max(need, 2 * it->cap);
	buf = realloc(it->buf, need);
	if (!buf)
		return -ENOMEM;
	it->buf = buf;
	it->cap = need;
	return 0;
}

int bpf_map_iter_next(struct bpf_map_iter *it, void *key, void *value)
{
	struct bpf_map *map = it->map;
	int ret;

	if (!may_read(map))
		return -EPERM;
	if (!map->ops->map_iter)
		return -EOPNOTSUPP;
	if (it->next == it->nr) {
		it->next = it->nr = 0;
		ret = map->ops->map_iter(it);
		if (ret <= 0)
			return ret;
		it->nr = (u32)ret;
	}
	if (map->key_size)
		memcpy(key, bpf_map_iter_key(it, it->next), map->key_size);
	if (!it->keys_only && value)
		memcpy(value, bpf_map_iter_value(it, it->next), bpf_map_value_size(map));
	it->next++;
	return 1;
}

void bpf_map_iter_rewind(struct bpf_map_iter *it)
{
	it->pos = it->end = 0;
	it->nr = it->next = 0;
}

void bpf_map_iter_end(struct bpf_map_iter *it)
{
	free(it->buf);
	it->buf = NULL;
	if (it->map)
		bpf_map_put_internal(it->map);
	it->map = NULL;
}

struct iter_place {
	u64 pos, end;
	u32 entry_size, nr;
	char entries[];
};

bool bpf_map_iter_save(const struct bpf_map_iter *it, void *place, size_t room)
{
	struct iter_place *p = place;
	u32 left = it->nr - it->next;
	size_t bytes = (size_t)left * it->entry_size;

	if (it->map->map_type == BPF_MAP_TYPE_LPM_TRIE || room < sizeof(*p))
		return false;
	p->pos = it->pos;
	p->end = it->end;
	if (it->map->values && bytes > room - sizeof(*p)) { /* an array: they are looked at again */
		p->pos -= left;
		left = 0;
		bytes = 0;
	}
	p->nr = left;
	p->entry_size = it->entry_size;
	if (bytes > room - sizeof(*p))
		return false;
	if (bytes)
		memcpy(p->entries, it->buf + (size_t)it->next * it->entry_size, bytes);
	return true;
}

int bpf_map_iter_resume(struct bpf_map_iter *it, const void *place, size_t room)
{
	const struct iter_place *p = place;

	it->pos = p->pos;
	it->end = p->end;
	it->nr = it->next = 0;
	if (!p->nr)
		return 0;
	if (bpf_map_iter_reserve(it, p->nr))
		return -ENOMEM;
	if (it->entry_size != p->entry_size || p->nr > (room - sizeof(*p)) / p->entry_size)
		return -EINVAL;
	memcpy(it->buf, p->entries, (size_t)p->nr * p->entry_size);
	it->nr = p->nr;
	return 0;
}

/* ---- counters */

void bpf_map_set_entries(struct bpf_map *map, u64 entries)
{
	map->slot_stats[0].entries = (s64)entries;
}

u64 bpf_map_count_entries(const struct bpf_map *map)
{
	s64 sum = 0;

	for (u32 i = 0; i <= bpf_nr_slots(); i++)
		sum += __atomic_load_n(&map->slot_stats[i].entries, __ATOMIC_RELAXED);
	return sum > 0 ? (u64)sum
		       : 0; /* a sum taken while others count may be off by what they do */
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
	if (map->ops->map_mem_usage)
		return map->ops->map_mem_usage(map);
	return map->arena->index_size + map->arena->values_size;
}
