/*
 * redirect_map.c - devmap, devmap_hash, cpumap and xskmap: where bpf_redirect_map() sends packets
 *
 * An entry's first four bytes say where: the index of an interface, or the length of a CPU's queue.
 * In those that are arrays, zero is no entry. Programs look, and cannot change anything.
 *
 * Guarantees
 *   A. An entry that was put names an interface that was there then, or a CPU that the engine has.
 *      It stays when the interface goes.
 *   B. Entries are values of an array, or of a hash table: what arraymap.c and hash.c promise.
 *   C. A xskmap has no entries: they would be sockets of clients, which never come here.
 * Tests: tests/differential/diff_redirect_map.c, tests/e2e/test_redirect.py.
 */
#include "map/hash/hashtab.h"
#include "map/iter.h"
#include "map/map.h"
#include "map/spin_lock.h"
#include "map/types/arraymap.h"
#include "util/netdev.h"

#define DEV_FLAGS (BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY)

#define CPUMAP_MAX_CPUS	 8192u /* Linux's NR_CPUS on large machines */
#define CPUMAP_MAX_QUEUE 16384u

/* The index of the interface, or the queue's length; and of a program, which is not served. */
struct target {
	u32 where;
	s32 prog_fd;
};

static struct target read_target(const struct bpf_map *map, const void *value)
{
	struct target t = {0};

	memcpy(&t, value, map->value_size);
	return t;
}

static int sizes_check(const struct bpf_map_spec *spec, u32 flags, const char **why)
{
	int err = bpf_spec_check_sizes(spec, 4, BPF_SPEC_ANY, flags, why);

	if (!err && spec->value_size != 4 && spec->value_size != sizeof(struct target))
		err = bpf_spec_refuse(why, EINVAL, "value_size is 4 or 8");
	return err;
}

static u32 key_index(const void *key)
{
	u32 index;

	memcpy(&index, key, sizeof(index));
	return index;
}

/* ---- arrays of targets */

static void *target_lookup(struct bpf_map *map, const void *key)
{
	u32 *entry = array_map_ops.map_lookup_elem(map, key);

	return entry && __atomic_load_n(entry, __ATOMIC_RELAXED) ? entry : NULL;
}

static long target_update_check(const struct bpf_map *map, const void *key, u64 flags)
{
	if (flags > BPF_EXIST)
		return -EINVAL;
	if (key_index(key) >= map->max_entries)
		return -E2BIG;
	return flags == BPF_NOEXIST ? -EEXIST : 0;
}

static long target_put(struct bpf_map *map, const void *key, u32 where)
{
	const struct target t = {.where = where};

	return array_map_ops.map_update_elem(map, key, &t, BPF_ANY);
}

static long target_delete(struct bpf_map *map, const void *key)
{
	const struct target none = {0};

	if (key_index(key) >= map->max_entries)
		return -EINVAL;
	if (target_lookup(map, key))
		bpf_map_count(map, deletes, 1);
	bpf_value_to_arena(map, array_map_ops.map_lookup_elem(map, key), &none);
	return 0;
}

static int target_next_key(struct bpf_map *map, const void *key, void *next_key)
{
	return bpf_array_get_next_key(map, key, next_key);
}

#define ITER_BATCH 64

static int target_iter(struct bpf_map_iter *it)
{
	struct bpf_map *map = it->map;
	void *entry;
	u32 nr = 0;

	if (bpf_map_iter_reserve(it, ITER_BATCH))
		return -ENOMEM;
	for (; nr < ITER_BATCH && it->pos < map->max_entries; it->pos++) {
		u32 index = (u32)it->pos;

		entry = map->ops->map_lookup_elem(map, &index);
		if (!entry)
			continue;
		memcpy(bpf_map_iter_key(it, nr), &index, sizeof(index));
		if (!it->keys_only)
			bpf_value_from_arena(map, bpf_map_iter_value(it, nr), entry, 0);
		nr++;
	}
	return (int)nr;
}

static u64 target_entries(const struct bpf_map *map)
{
	const char *entry = map->values;
	u64 n = 0;

	for (u32 i = 0; i < map->max_entries; i++, entry += map->elem_size)
		n += !!__atomic_load_n((const u32 *)(const void *)entry, __ATOMIC_RELAXED);
	return n;
}

static int target_layout(const struct bpf_map_spec *spec, u32 nr_slots, u64 *index, u64 *values)
{
	return array_map_ops.map_layout(spec, nr_slots, index, values);
}

static int target_attach(struct bpf_map *map)
{
	return array_map_ops.alloc(map);
}

static void target_free(struct bpf_map *map)
{
}

static long counted(struct bpf_map *map, long err)
{
	if (err)
		bpf_map_count(map, failed_updates, 1);
	return err;
}

#define TARGET_OPS                                                                               \
	.map_size = sizeof(struct bpf_map), .map_layout = target_layout, .alloc = target_attach, \
	.open = target_attach, .free = target_free, .map_lookup_elem = target_lookup,            \
	.map_delete_elem = target_delete, .map_get_next_key = target_next_key,                   \
	.map_iter = target_iter, .map_entries = target_entries

/* ---- devmap */

static int devmap_alloc_check(const struct bpf_map_spec *spec, const char **why)
{
	return sizes_check(spec, DEV_FLAGS, why);
}

static int interface_check(struct target t)
{
	if (bpf_netdev_exists(t.where))
		return -EINVAL;
	return t.prog_fd > 0 ? -EOPNOTSUPP : 0;
}

static long devmap_update(struct bpf_map *map, const void *key, const void *value, u64 flags)
{
	struct target t = read_target(map, value);
	long err = target_update_check(map, key, flags);

	if (!err && t.where)
		err = interface_check(t);
	else if (!err && t.prog_fd > 0)
		err = -EINVAL;
	return err ? counted(map, err) : target_put(map, key, t.where);
}

const struct bpf_map_ops devmap_map_ops = {
	.name = "devmap",
	.rdonly_prog = true,
	TARGET_OPS,
	.alloc_check = devmap_alloc_check,
	.map_update_elem = devmap_update,
};

static int devmap_hash_alloc_check(const struct bpf_map_spec *spec, const char **why)
{
	int err = sizes_check(spec, DEV_FLAGS, why);

	return err ? err : htab_map_alloc_check(spec, why);
}

static int devmap_hash_alloc(struct bpf_map *map)
{
	return htab_map_ops.alloc(map);
}

static int devmap_hash_open(struct bpf_map *map)
{
	return htab_map_ops.open(map);
}

static void *devmap_hash_lookup(struct bpf_map *map, const void *key)
{
	return htab_map_ops.map_lookup_elem(map, key);
}

static long devmap_hash_update(struct bpf_map *map, const void *key, const void *value, u64 flags)
{
	struct target t = read_target(map, value);
	long err = flags > BPF_EXIST || !t.where ? -EINVAL : 0;

	if (!err && flags & BPF_NOEXIST && devmap_hash_lookup(map, key))
		err = -EEXIST;
	if (!err)
		err = interface_check(t);
	if (err)
		return counted(map, err);
	t.prog_fd = 0;
	/* An entry need not be there for BPF_EXIST, as in Linux. */
	return htab_map_ops.map_update_elem(map, key, &t, flags & BPF_NOEXIST);
}

static long devmap_hash_delete(struct bpf_map *map, const void *key)
{
	return htab_map_ops.map_delete_elem(map, key);
}

const struct bpf_map_ops devmap_hash_map_ops = {
	.name = "devmap_hash",
	.map_size = sizeof(struct bpf_htab),
	.rdonly_prog = true,
	.alloc_check = devmap_hash_alloc_check,
	.map_layout = htab_map_layout,
	.alloc = devmap_hash_alloc,
	.open = devmap_hash_open,
	.free = htab_map_free,
	.map_lookup_elem = devmap_hash_lookup,
	.map_update_elem = devmap_hash_update,
	.map_delete_elem = devmap_hash_delete,
	.map_get_next_key = htab_map_get_next_key,
	.map_iter = htab_map_iter,
};

/* ---- cpumap */

static int cpumap_alloc_check(const struct bpf_map_spec *spec, const char **why)
{
	int err = sizes_check(spec, BPF_F_NUMA_NODE, why);

	if (!err && spec->max_entries > CPUMAP_MAX_CPUS)
		err = bpf_spec_refuse(why, E2BIG,
				      "max_entries is beyond what there may be of CPUs");
	return err;
}

static long cpumap_update(struct bpf_map *map, const void *key, const void *value, u64 flags)
{
	struct target t = read_target(map, value);
	long err = target_update_check(map, key, flags);

	if (!err && t.where > CPUMAP_MAX_QUEUE)
		err = -EOVERFLOW;
	if (!err && key_index(key) >= bpf_nr_slots())
		err = -ENODEV;
	if (!err && t.where && t.prog_fd > 0)
		err = -EOPNOTSUPP;
	return err ? counted(map, err) : target_put(map, key, t.where);
}

const struct bpf_map_ops cpumap_map_ops = {
	.name = "cpumap",
	TARGET_OPS,
	.alloc_check = cpumap_alloc_check,
	.map_update_elem = cpumap_update,
};

/* ---- xskmap */

static int xskmap_alloc_check(const struct bpf_map_spec *spec, const char **why)
{
	return bpf_spec_check_sizes(spec, 4, 4, DEV_FLAGS, why);
}

static long xskmap_sys_lookup(struct bpf_map *map, const void *key, void *value)
{
	return -EOPNOTSUPP;
}

static long xskmap_update(struct bpf_map *map, const void *key, const void *value, u64 flags)
{
	long err = target_update_check(map, key, flags);

	return counted(map, err ? err : -EOPNOTSUPP);
}

const struct bpf_map_ops xskmap_map_ops = {
	.name = "xskmap",
	TARGET_OPS,
	.alloc_check = xskmap_alloc_check,
	.sys_lookup_elem = xskmap_sys_lookup,
	.map_update_elem = xskmap_update,
};
