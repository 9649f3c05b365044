/*
 * syscall.h - a map from outside of programs: what bpf(2) does with it
 */
#ifndef UBPFFS_MAP_SYSCALL_H
#define UBPFFS_MAP_SYSCALL_H

#include "core/map.h"

/* May its flags be read, or changed, by anybody outside? */
static inline bool bpf_map_may_read(const struct bpf_map *map)
{
	return !(map->map_flags & BPF_F_WRONLY);
}

static inline bool bpf_map_may_write(const struct bpf_map *map)
{
	return !(map->map_flags & BPF_F_RDONLY) && !__atomic_load_n(&map->frozen, __ATOMIC_RELAXED);
}

/*
 * bpf(2)'s checks of flags and access (RDONLY/WRONLY, frozen) are done here; `value` is
 * bpf_map_value_size() bytes. Return 0 or -errno.
 */
u32 bpf_map_value_size(const struct bpf_map *map);
int bpf_map_lookup(struct bpf_map *map, const void *key, void *value, u64 flags);
/* Is the key there? Without its value, whatever its size. 0, or the errors of bpf_map_lookup(). */
int bpf_map_contains(struct bpf_map *map, const void *key);
int bpf_map_update(struct bpf_map *map, const void *key, const void *value, u64 flags);
/*
 * Part of an array's value, `len` bytes from `off` (a multiple of 8) on, without the rest. Written
 * are those bytes that `mask` has (len bytes, 0 or not); what programs make of the others meanwhile
 * stays. Under the value's lock, if it has one. -EOPNOTSUPP: this map's values are whole only.
 */
int bpf_map_lookup_part(struct bpf_map *map, const void *key, u32 off, void *value, u32 len);
int bpf_map_update_part(struct bpf_map *map, const void *key, u32 off, const void *value, u8 *mask,
			u32 len);
int bpf_map_delete(struct bpf_map *map, const void *key);
/* Take the next value of a queue or stack; -EOPNOTSUPP for other types. */
int bpf_map_pop(struct bpf_map *map, void *value, u64 flags);
/*
 * After bpf_map_open(), and before anything is changed: was the change of this mark made? It was
 * noted (bpf_map_noting) in an earlier process that had the same arena open.
 */
bool bpf_map_made(const struct bpf_map *map, u64 mark);
int bpf_map_next_key(struct bpf_map *map, const void *key, void *next_key);
/*
 * -EPERM when it is already, or may not be written. Values that the verifier takes as constants
 * then (bpf_map_is_rdonly()) are at rest once it has returned.
 */
int bpf_map_freeze(struct bpf_map *map);

/* -ENOTSUPP's stand-in -EOPNOTSUPP for maps without such slots; flags: BPF_ANY. */
int bpf_map_update_slot(struct bpf_map *map, const void *key, void *object, u64 flags);

/*
 * May this program be in, or tail-call through, this prog array? The first program that asks
 * decides (type, JITed or not, expected attach type), as in Linux. Called when a program that uses
 * the map is loaded (-EINVAL when false) and for each update. true for other kinds of maps.
 */
bool bpf_prog_map_compatible(struct bpf_map *map, const struct bpf_prog *prog);

/*
 * After bpf_map_open() of a map whose slots hold objects: the arena knows ids. Call it once all
 * programs are loaded again. Returns how many slots are empty for now and keep their id, for
 * another start; 0 for other maps; -errno, and then slots that were not reached keep their ids too.
 */
int bpf_map_restore_slots(struct bpf_map *map, bpf_slot_get_fn get, void *priv);

/*
 * Called (if set) after each change from outside of programs that has worked, before it is
 * answered; not of mappings.
 */
extern void (*bpf_map_changed)(struct bpf_map *map);
/* All of its files' pages are on the disk when it returns; 0 at once where it has no files. */
int bpf_map_sync(const struct bpf_map *map);

void bpf_map_stats_read(const struct bpf_map *map, struct bpf_map_stats *stats);
/* Bytes that it may come to hold; pages come as touched. */
u64 bpf_map_mem_usage(const struct bpf_map *map);

#endif
