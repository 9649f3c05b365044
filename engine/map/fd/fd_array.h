/*
 * fd_array.h - arrays whose slots hold programs or maps
 *
 * The arena holds an id a slot (0: empty), which is what a restart reads; the pointers that running
 * programs follow are this process's own table, RCU protected. Each used slot holds a reference to
 * its object, of the kind that the type's put() drops.
 *
 * Guarantees
 *   A. A reader sees either the old or the new object of a slot, and what it sees lives until its
 *      RCU section ends.
 *   B. The id in the arena is written after the pointer when a slot is set and before when it is
 *      cleared, under `lock`, so after a crash an id names an object that was there.
 *   C. What a walk costs grows with the highest slot that was ever used, not with max_entries.
 * Lock order: `lock` is a leaf, and references are dropped outside of it.
 */
#ifndef UBPFFS_MAP_FD_FD_ARRAY_H
#define UBPFFS_MAP_FD_FD_ARRAY_H

#include <pthread.h>
#include "map/map.h"

struct fd_array {
	struct bpf_map map;
	void **objects; /* max_entries, in pages that come as touched */
	u32 *used_end; /* in the arena: no slot from here on was ever used */
	u32 *ids; /* in the arena */
	pthread_mutex_t lock; /* writers */
	void (*put)(void *object);
};

static inline struct fd_array *fd_array(const struct bpf_map *map)
{
	return container_of(map, struct fd_array, map);
}

int fd_array_alloc_check(const struct bpf_map_spec *spec, const char **why);

/* Bytes of the arena's index: `head` of the type's own, in which used_end lies, then the ids. */
static inline u64 fd_array_index_size(const struct bpf_map_spec *spec, u32 head)
{
	return head + (u64)spec->max_entries * sizeof(u32);
}

/*
 * Find the parts of the arena. Slots of an opened map are empty until they are restored. -ENOMEM,
 * -EBADMSG.
 */
int fd_array_attach(struct fd_array *array, u32 head, u32 *used_end, void (*put)(void *object));
void fd_array_free(struct fd_array *array);

/* The object in a slot, inside an RCU section; NULL: none, or no such slot. */
static inline void *fd_array_get(const struct bpf_map *map, u32 index)
{
	if (unlikely(index >= map->max_entries))
		return NULL;
	return bpf_rcu_dereference(fd_array(map)->objects[index]);
}

/* Before a slot is set: memory for its id. -E2BIG: no such slot; -ENOSPC. */
int fd_array_reserve(struct fd_array *array, u32 index);
/*
 * Caller holds array->lock. The slot takes over the reference (NULL: empty it); returns the object
 * that was there.
 */
void *__fd_array_set(struct fd_array *array, u32 index, void *object, u32 id);
/*
 * The same with the lock, and the reference to what was there is dropped. False: the slot was
 * empty.
 */
bool fd_array_set(struct fd_array *array, u32 index, void *object, u32 id);

/* What the types' ops are, or are made of. */
long fd_array_sys_lookup_elem(struct bpf_map *map, const void *key, void *value);
long fd_array_delete_elem(struct bpf_map *map, const void *key);
int fd_array_get_next_key(struct bpf_map *map, const void *key, void *next_key);
int fd_array_iter(struct bpf_map_iter *it);

#endif
