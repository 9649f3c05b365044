/*
 * map_in_map.h - what array_of_maps and hash_of_maps share: the template
 *
 * A map of maps is made after a template, the map that spec.inner_map_id names. What matters of it
 * (type, sizes, flags) is kept in the arena and in map->inner_map_meta, so the template itself may
 * go. The verifier checks programs against it, and only maps that are like it are taken in.
 *
 * The arena holds ids; each that is there stands for an internal reference to its map. A program's
 * lookup returns the struct bpf_map itself.
 *
 * Guarantees of both types
 *   A. A lookup returns the old or the new map of a key that is being updated, never nothing; what
 *      it returns lives until the caller's RCU section ends.
 *   B. A map is in the arena only while a reference to it is held, so after a crash an id names a
 *      map that was there.
 *   C. Whatever is in it equals the template in type, key size, value size, flags, lock, and what
 *      the type adds to that (arrays and per-CPU arrays: max_entries), so that what the verifier
 *      leaves out for the template it may leave out for it.
 * Tests: tests/unit/test_map_in_map.c.
 */
#ifndef UBPFFS_MAP_FD_MAP_IN_MAP_H
#define UBPFFS_MAP_FD_MAP_IN_MAP_H

#include "map/map.h"

struct map_in_map_template { /* in the arena */
	struct bpf_map_spec spec;
	u32 used_end; /* array_of_maps: fd_array.h's */
};

#define MAP_IN_MAP_HEAD ((u32)round_up(sizeof(struct map_in_map_template), (size_t)64))

/*
 * A new map: look at the template and note it in the arena. -EBADF: there is no such map; -EINVAL:
 * it is a map of maps; -EOPNOTSUPP: its type is never inside of another; -ENOSPC, -ENOMEM.
 */
int map_in_map_take(struct bpf_map *map, struct map_in_map_template *keep);
/* An opened one: the arena says. -EBADMSG, -ENOMEM. */
int map_in_map_read(struct bpf_map *map, const struct map_in_map_template *kept);
void map_in_map_free(struct bpf_map *map);

bool map_in_map_fits(const struct bpf_map *outer, const struct bpf_map *map);
/* From outside, a value is a map's id. */
long map_in_map_sys_update_elem(struct bpf_map *map, const void *key, const void *value, u64 flags);
long map_in_map_count_update(struct bpf_map *map, long err);
/*
 * The map that was in a slot, with an internal reference; get()'s error, or -EINVAL: it does not
 * fit. get() gives an outside reference, which this drops.
 */
int map_in_map_restored(struct bpf_map *outer, u32 id, bpf_slot_get_fn get, void *priv,
			struct bpf_map **out);

#endif
