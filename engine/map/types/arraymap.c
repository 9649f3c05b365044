/*
 * arraymap.c - array and percpu_array
 *
 * An array's values lie one after another, each in a room of round_up(value_size, 8) bytes, from
 * offset 0 of the values part of the arena, which clients may map. The index is the whole lookup.
 * Elements exist from the beginning and are zero; they cannot be deleted.
 *
 * A per-CPU array keeps a whole array for each slot, one after the other, so that two slots never
 * share a cache line (the slots' arrays begin at page boundaries).
 *
 * Guarantees
 *   A. Element addresses never change.
 *   B. An update is in place: a reader may see a long value half old, half new, but no aligned
 *      8-byte word of it is torn (Linux promises no more).
 * Tests: tests/unit/test_arraymap.c.
 */
#include <limits.h>
#include "run/callback.h"
#include "map/map.h"
#include "map/types/arraymap.h"
#include "map/spin_lock.h"
#include "map/iter.h"

#define ARRAY_FLAGS (BPF_F_NUMA_NODE | BPF_F_MMAPABLE | BPF_F_ACCESS_MASK | BPF_F_INNER_MAP)

static u32 elem_size(u32 value_size)
{
	return round_up(value_size, 8);
}

static int array_alloc_check(const struct bpf_map_spec *spec, const char **why)
{
	bool percpu = spec->map_type == BPF_MAP_TYPE_PERCPU_ARRAY;
	u32 flags = ARRAY_FLAGS & ~(percpu ? BPF_F_NUMA_NODE : 0u);
	int err;

	if (spec->map_type != BPF_MAP_TYPE_ARRAY)
		flags &= ~(BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	err = bpf_spec_check_sizes(spec, 4, BPF_SPEC_ANY, flags, why);
	if (err)
		return err;
	if (spec->value_size > INT_MAX - 7)
		return bpf_spec_refuse(why, E2BIG, "value_size is below 2 GiB");
	if (percpu && elem_size(spec->value_size) > PCPU_MIN_UNIT_SIZE)
		return bpf_spec_refuse(why, E2BIG, "a per-CPU value has at most 32768 bytes");
	return 0;
}

static int array_layout(const struct bpf_map_spec *spec, u32 nr_slots, u64 *index, u64 *values)
{
	u64 bytes = (u64)elem_size(spec->value_size) * spec->max_entries;

	*index = 0;
	*values = bytes;
	return bytes > BPF_ARENA_MAX_SIZE ? -ENOMEM : 0;
}

static int array_attach(struct bpf_map *map)
{
	struct bpf_arena *arena = map->arena;

	map->elem_size = elem_size(map->value_size);
	map->values = arena->values;
	if (!arena->values_in_file)
		bpf_arena_advise_huge(map->values, arena->values_size);
	if (arena->values_size <= BPF_ARENA_RESERVE_MAX)
		return bpf_arena_reserve(arena, map->values, arena->values_size);
	return 0;
}

/*
 * Free the locks that an earlier process left held. Only what the file has data for is looked at: a
 * lock that was ever taken is there.
 */
static void array_reset_locks(struct bpf_map *map)
{
	off_t size = (off_t)map->arena->values_size, pos = 0, end;

	while (pos < size) {
		pos = lseek(map->arena->values_fd, pos, SEEK_DATA);
		if (pos < 0 && errno == ENXIO)
			return;
		end = pos < 0 ? -1 : lseek(map->arena->values_fd, pos, SEEK_HOLE);
		if (end < 0) { /* a filesystem that cannot say */
			pos = 0;
			end = size;
		}
		for (u64 i = (u64)pos / map->elem_size;
		     i < map->max_entries && i * map->elem_size < (u64)end; i++)
			bpf_spin_reset(map, (char *)map->values + i * map->elem_size);
		pos = end;
	}
}

static int array_open(struct bpf_map *map)
{
	int err = array_attach(map);

	if (!err && map->spin_lock_off >= 0)
		array_reset_locks(map);
	return err;
}

static void array_free(struct bpf_map *map)
{
}

static u32 key_index(const void *key)
{
	u32 index;

	memcpy(&index, key, sizeof(index));
	return index;
}

static void *array_elem(const struct bpf_map *map, u32 index)
{
	return (char *)map->values + (u64)index * map->elem_size;
}

static void *array_map_lookup_elem(struct bpf_map *map, const void *key)
{
	u32 index = key_index(key);

	return likely(index < map->max_entries) ? array_elem(map, index) : NULL;
}

static int array_update_check(const struct bpf_map *map, u32 index, u64 flags)
{
	if (unlikely((flags & ~(u64)BPF_F_LOCK) > BPF_EXIST))
		return -EINVAL;
	if (unlikely(index >= map->max_entries))
		return -E2BIG;
	if (unlikely(flags & BPF_NOEXIST))
		return -EEXIST;
	if (unlikely(flags & BPF_F_LOCK && map->spin_lock_off < 0))
		return -EINVAL;
	return 0;
}

static long array_map_update_elem(struct bpf_map *map, const void *key, const void *value,
				  u64 flags)
{
	u32 index = key_index(key);
	int err = array_update_check(map, index, flags);

	if (unlikely(err)) {
		bpf_map_count(map, failed_updates, 1);
		return err;
	}
	if (unlikely(flags & BPF_F_LOCK))
		bpf_value_to_arena_locked(map, array_elem(map, index), value);
	else
		bpf_value_to_arena(map, array_elem(map, index), value);
	bpf_map_count(map, updates, 1);
	return 0;
}

static long array_map_delete_elem(struct bpf_map *map, const void *key)
{
	return -EINVAL;
}

static int array_map_get_next_key(struct bpf_map *map, const void *key, void *next_key)
{
	return bpf_array_get_next_key(map, key, next_key);
}

/*
 * The keys of the walks that this thread is in, the outermost first. A program may keep a key's
 * address beyond the callback, so it is that of memory which never holds anything but keys: not of
 * our stack. Walks nested deeper share.
 */
#define NESTED_WALKS 32

static __thread struct {
	u32 depth, keys[NESTED_WALKS];
} walks __attribute__((tls_model("initial-exec")));

/* One turn of bpf_for_each_map_elem: does it go on? */
static bool for_each_elem(struct bpf_map *map, u32 index, void *value, u64 callback, u64 ctx)
{
	u32 depth = walks.depth, *key = &walks.keys[depth % NESTED_WALKS];
	bool more;

	*key = index;
	walks.depth = depth + 1;
	more = !bpf_callback_call(callback, (uintptr_t)map, (uintptr_t)key, (uintptr_t)value, ctx);
	walks.depth = depth;
	return more;
}

static long array_map_for_each_callback(struct bpf_map *map, u64 callback, u64 ctx)
{
	for (u32 i = 0; i < map->max_entries; i++)
		if (!for_each_elem(map, i, array_elem(map, i), callback, ctx))
			return (long)i + 1;
	return map->max_entries;
}

#define ITER_BATCH 64

static int array_map_iter(struct bpf_map_iter *it)
{
	struct bpf_map *map = it->map;
	u32 nr = (u32)min((u64)ITER_BATCH, map->max_entries - it->pos);

	if (map->value_size > 4096)
		nr = min(nr, 1u);
	if (bpf_map_iter_reserve(it, nr))
		return -ENOMEM;
	for (u32 i = 0; i < nr; i++) {
		u32 index = (u32)it->pos++;

		memcpy(bpf_map_iter_key(it, i), &index, sizeof(index));
		if (it->keys_only)
			continue;
		if (map->ops->percpu)
			map->ops->sys_lookup_elem(map, &index, bpf_map_iter_value(it, i));
		else
			bpf_value_from_arena(map, bpf_map_iter_value(it, i), array_elem(map, index),
					     it->flags);
	}
	return (int)nr;
}

static struct bpf_insn insn(u8 code, u8 dst, u8 src, s16 off, s32 imm)
{
	return (struct bpf_insn){
		.code = code, .dst_reg = dst, .src_reg = src, .off = off, .imm = imm};
}

/* r0 = &values[index] by shift or multiplication, or 0 beyond the end. */
static int array_map_gen_lookup(struct bpf_map *map, struct bpf_insn *buf, u32 max)
{
	u64 base = (u64)(uintptr_t)map->values;
	struct bpf_insn *p = buf;

	if (max < 8)
		return -EOPNOTSUPP;
	*p++ = insn(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_0, BPF_REG_2, 0, 0);
	*p++ = insn(BPF_JMP32 | BPF_JGE | BPF_K, BPF_REG_0, 0, 5, (s32)map->max_entries);
	if (map->elem_size & (map->elem_size - 1))
		*p++ = insn(BPF_ALU64 | BPF_MUL | BPF_K, BPF_REG_0, 0, 0, (s32)map->elem_size);
	else
		*p++ = insn(BPF_ALU64 | BPF_LSH | BPF_K, BPF_REG_0, 0, 0,
			    __builtin_ctz(map->elem_size));
	*p++ = insn(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, 0, 0, (s32)(u32)base);
	*p++ = insn(0, 0, 0, 0, (s32)(u32)(base >> 32));
	*p++ = insn(BPF_ALU64 | BPF_ADD | BPF_X, BPF_REG_0, BPF_REG_1, 0, 0);
	*p++ = insn(BPF_JMP | BPF_JA, 0, 0, 1, 0);
	*p++ = insn(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0);
	return (int)(p - buf);
}

static int array_map_direct_value_addr(const struct bpf_map *map, u64 *addr, u32 off)
{
	if (map->max_entries != 1)
		return -EOPNOTSUPP;
	if (off >= map->value_size)
		return -EINVAL;
	*addr = (u64)(uintptr_t)map->values + off;
	return 0;
}

static u64 array_map_entries(const struct bpf_map *map)
{
	return map->max_entries;
}

/*
 * The verifier takes a constant index below the template's size for one that is there, so each map
 * has that size, unless the template says that they may differ in it: then it believes no index.
 * (Linux lets per-CPU arrays differ, and believes it.)
 */
static bool array_map_meta_equal(const struct bpf_map *meta, const struct bpf_map *map)
{
	return meta->map_flags & BPF_F_INNER_MAP || meta->max_entries == map->max_entries;
}

const struct bpf_map_ops array_map_ops = {
	.name = "array",
	.map_size = sizeof(struct bpf_map),
	.spin_lock = true,
	.parts = true,
	.alloc_check = array_alloc_check,
	.map_layout = array_layout,
	.alloc = array_attach,
	.open = array_open,
	.free = array_free,
	.map_lookup_elem = array_map_lookup_elem,
	.map_update_elem = array_map_update_elem,
	.map_delete_elem = array_map_delete_elem,
	.map_get_next_key = array_map_get_next_key,
	.map_iter = array_map_iter,
	.map_for_each_callback = array_map_for_each_callback,
	.map_gen_lookup = array_map_gen_lookup,
	.map_meta_equal = array_map_meta_equal,
	.map_direct_value_addr = array_map_direct_value_addr,
	.map_entries = array_map_entries,
};

/* ---- percpu_array: slot s has its array at values + s * slot_size */

struct bpf_percpu_array {
	struct bpf_map map;
	u64 slot_size;
};

static struct bpf_percpu_array *percpu_array(const struct bpf_map *map)
{
	return container_of(map, struct bpf_percpu_array, map);
}

static u64 percpu_slot_size(const struct bpf_map_spec *spec)
{
	return round_up((u64)elem_size(spec->value_size) * spec->max_entries, (u64)4096);
}

static int percpu_array_layout(const struct bpf_map_spec *spec, u32 nr_slots, u64 *index,
			       u64 *values)
{
	u64 slot_size = percpu_slot_size(spec);

	*values = 0;
	*index = slot_size * nr_slots;
	return slot_size > BPF_ARENA_MAX_SIZE / BPF_MAX_SLOTS ? -ENOMEM : 0;
}

static int percpu_array_attach(struct bpf_map *map)
{
	/* An arena of a machine with fewer CPUs has no room for our slots. */
	if (map->arena->header->nr_slots < bpf_nr_slots())
		return -EBADMSG;
	map->elem_size = elem_size(map->value_size);
	percpu_array(map)->slot_size = percpu_slot_size(&map->arena->header->spec);
	if (map->arena->index_size <= BPF_ARENA_RESERVE_MAX)
		return bpf_arena_reserve(map->arena, map->arena->header, map->arena->index_size);
	return 0;
}

static void *percpu_elem(const struct bpf_map *map, u32 index, u32 slot)
{
	return (char *)map->arena->index + slot * percpu_array(map)->slot_size +
	       (u64)index * map->elem_size;
}

static void *percpu_array_map_lookup_elem(struct bpf_map *map, const void *key)
{
	u32 index = key_index(key);

	if (unlikely(index >= map->max_entries))
		return NULL;
	return percpu_elem(map, index, bpf_map_slot());
}

static void *percpu_array_map_lookup_percpu_elem(struct bpf_map *map, const void *key, u32 slot)
{
	u32 index = key_index(key);

	if (unlikely(index >= map->max_entries || slot >= bpf_nr_slots()))
		return NULL;
	return percpu_elem(map, index, slot);
}

static long percpu_array_map_update_elem(struct bpf_map *map, const void *key, const void *value,
					 u64 flags)
{
	u32 index = key_index(key);
	int err = array_update_check(map, index, flags);

	if (unlikely(err)) {
		bpf_map_count(map, failed_updates, 1);
		return err;
	}
	bpf_copy_to_arena(percpu_elem(map, index, bpf_map_slot()), value, map->value_size);
	bpf_map_count(map, updates, 1);
	return 0;
}

static long percpu_array_sys_lookup_elem(struct bpf_map *map, const void *key, void *value)
{
	u32 index = key_index(key);

	if (index >= map->max_entries)
		return -ENOENT;
	for (u32 slot = 0; value && slot < bpf_nr_slots(); slot++)
		bpf_copy_from_arena((char *)value + (size_t)slot * map->elem_size,
				    percpu_elem(map, index, slot), map->elem_size);
	return 0;
}

static long percpu_array_sys_update_elem(struct bpf_map *map, const void *key, const void *value,
					 u64 flags)
{
	u32 index = key_index(key);
	int err;

	if (flags > BPF_EXIST)
		err = -EINVAL;
	else
		err = array_update_check(map, index, flags);
	if (err) {
		bpf_map_count(map, failed_updates, 1);
		return err;
	}
	for (u32 slot = 0; slot < bpf_nr_slots(); slot++)
		bpf_copy_to_arena(percpu_elem(map, index, slot),
				  (const char *)value + (size_t)slot * map->elem_size,
				  map->elem_size);
	bpf_map_count(map, updates, 1);
	return 0;
}

static long percpu_array_map_for_each_callback(struct bpf_map *map, u64 callback, u64 ctx)
{
	for (u32 i = 0; i < map->max_entries; i++)
		if (!for_each_elem(map, i, percpu_elem(map, i, bpf_map_slot()), callback, ctx))
			return (long)i + 1;
	return map->max_entries;
}

const struct bpf_map_ops percpu_array_map_ops = {
	.name = "percpu_array",
	.map_size = sizeof(struct bpf_percpu_array),
	.percpu = true,
	.alloc_check = array_alloc_check,
	.map_layout = percpu_array_layout,
	.alloc = percpu_array_attach,
	.open = percpu_array_attach,
	.free = array_free,
	.map_lookup_elem = percpu_array_map_lookup_elem,
	.map_lookup_percpu_elem = percpu_array_map_lookup_percpu_elem,
	.map_update_elem = percpu_array_map_update_elem,
	.map_delete_elem = array_map_delete_elem,
	.map_get_next_key = array_map_get_next_key,
	.sys_lookup_elem = percpu_array_sys_lookup_elem,
	.sys_update_elem = percpu_array_sys_update_elem,
	.map_iter = array_map_iter,
	.map_for_each_callback = percpu_array_map_for_each_callback,
	.map_meta_equal = array_map_meta_equal,
	.map_entries = array_map_entries,
};
