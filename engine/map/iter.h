/*
 * iter.h - all entries of a map, one after the other
 */
#ifndef UBPFFS_MAP_ITER_H
#define UBPFFS_MAP_ITER_H

#include "core/map.h"

/*
 * Iteration: every entry that lives through the whole walk is given exactly once, also while other
 * threads update (which moves entries) and delete. The iterator holds a copy of a few entries; one
 * thread at a time uses it, and it holds a reference to the map.
 *
 *	bpf_map_iter_init(&it, map, false);
 *	while ((ret = bpf_map_iter_next(&it, key, value)) > 0)
 *		...
 *	bpf_map_iter_end(&it);
 */
struct bpf_map_iter {
	struct bpf_map *map;
	bool keys_only; /* values are not copied */
	u64 flags; /* 0; BPF_F_LOCK, of maps that have locks: copy each value under its own */
	u64 pos, end; /* the type's: what to visit next, where to stop; 0 at first */
	char *buf; /* entries copied but not yet given */
	size_t cap;
	u32 entry_size, nr, next;
};

void bpf_map_iter_init(struct bpf_map_iter *it, struct bpf_map *map, bool keys_only);
/*
 * 1: one entry in key and value (bpf_map_value_size() bytes; NULL when keys_only), 0: the end, or
 * -errno.
 */
int bpf_map_iter_next(struct bpf_map_iter *it, void *key, void *value);
/* The entry that the next call gives will be the first again. */
void bpf_map_iter_rewind(struct bpf_map_iter *it);
void bpf_map_iter_end(struct bpf_map_iter *it);
/*
 * A walk's place, for another process that has the same arena open and begins one there: its words
 * and the entries that were copied and not given, in `room` bytes. False: they do not fit, or the
 * type's walk goes by more than a number.
 */
bool bpf_map_iter_save(const struct bpf_map_iter *it, void *place, size_t room);
int bpf_map_iter_resume(struct bpf_map_iter *it, const void *place, size_t room);

/* For map_iter() only: room for `nr` entries in all, or -ENOMEM; and entry i's place. */
int bpf_map_iter_reserve(struct bpf_map_iter *it, u32 nr);
static inline void *bpf_map_iter_key(struct bpf_map_iter *it, u32 i)
{
	return it->buf + (size_t)i * it->entry_size;
}
static inline void *bpf_map_iter_value(struct bpf_map_iter *it, u32 i)
{
	return it->buf + (size_t)i * it->entry_size + round_up(it->map->key_size, 8);
}

#endif
