/*
 * fd_array.c - arrays whose slots hold programs or maps (see fd_array.h)
 */
#include <sys/mman.h>
#include "map/fd/fd_array.h"
#include "map/iter.h"

int fd_array_alloc_check(const struct bpf_map_spec *spec, const char **why)
{
	return bpf_spec_check_sizes(spec, 4, 4, BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY, why);
}

int fd_array_attach(struct fd_array *array, u32 head, u32 *used_end, void (*put)(void *object))
{
	struct bpf_map *map = &array->map;
	void *objects;

	if (*used_end > map->max_entries)
		return -EBADMSG;
	objects = mmap(NULL, (size_t)map->max_entries * sizeof(*array->objects),
		       PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (objects == MAP_FAILED)
		return -ENOMEM;
	array->objects = objects;
	array->ids = (u32 *)((char *)map->arena->index + head);
	array->used_end = used_end;
	array->put = put;
	pthread_mutex_init(&array->lock, NULL);
	bpf_map_set_entries(map, 0); /* counted as the slots are set */
	return 0;
}

/*
 * Drops what fd_array_attach() took. fd_array_free() drops the slots' references too; the ids stay:
 * freeing the map is not emptying it.
 */
static void fd_array_detach(struct fd_array *array)
{
	munmap(array->objects, (size_t)array->map.max_entries * sizeof(*array->objects));
	pthread_mutex_destroy(&array->lock);
}

void fd_array_free(struct fd_array *array)
{
	for (u32 i = 0; i < *array->used_end; i++)
		if (array->objects[i])
			array->put(array->objects[i]);
	fd_array_detach(array);
}

int fd_array_reserve(struct fd_array *array, u32 index)
{
	if (index >= array->map.max_entries)
		return -E2BIG;
	return bpf_arena_reserve(array->map.arena, &array->ids[index], sizeof(u32)) ? -ENOSPC : 0;
}

void *__fd_array_set(struct fd_array *array, u32 index, void *object, u32 id)
{
	void *old = array->objects[index];

	if (object) {
		if (index >= *array->used_end)
			__atomic_store_n(array->used_end, index + 1, __ATOMIC_RELEASE);
		bpf_rcu_assign_pointer(array->objects[index], object);
		__atomic_store_n(&array->ids[index], id, __ATOMIC_RELEASE);
	} else if (index < *array->used_end) {
		__atomic_store_n(&array->ids[index], 0, __ATOMIC_RELEASE);
		bpf_rcu_assign_pointer(array->objects[index], NULL);
	}
	bpf_map_count(&array->map, entries, (s64) !!object - !!old);
	return old;
}

bool fd_array_set(struct fd_array *array, u32 index, void *object, u32 id)
{
	void *old;

	pthread_mutex_lock(&array->lock);
	old = __fd_array_set(array, index, object, id);
	pthread_mutex_unlock(&array->lock);
	if (old)
		array->put(old);
	return old;
}

long fd_array_sys_lookup_elem(struct bpf_map *map, const void *key, void *value)
{
	u32 index, id;

	memcpy(&index, key, sizeof(index));
	if (!fd_array_get(map, index))
		return -ENOENT;
	id = __atomic_load_n(&fd_array(map)->ids[index], __ATOMIC_ACQUIRE);
	if (!id)
		return -ENOENT;
	if (value)
		memcpy(value, &id, sizeof(id));
	return 0;
}

long fd_array_delete_elem(struct bpf_map *map, const void *key)
{
	u32 index;

	memcpy(&index, key, sizeof(index));
	if (index >= map->max_entries)
		return -E2BIG;
	if (!fd_array_set(fd_array(map), index, NULL, 0))
		return -ENOENT;
	bpf_map_count(map, deletes, 1);
	return 0;
}

int fd_array_get_next_key(struct bpf_map *map, const void *key, void *next_key)
{
	return bpf_array_get_next_key(map, key, next_key);
}

/* Only slots in use are entries of a dump. */
int fd_array_iter(struct bpf_map_iter *it)
{
	struct fd_array *array = fd_array(it->map);
	u32 end = __atomic_load_n(array->used_end, __ATOMIC_ACQUIRE);

	if (bpf_map_iter_reserve(it, 1))
		return -ENOMEM;
	while (it->pos < end) {
		u32 index = (u32)it->pos++;
		u32 id = __atomic_load_n(&array->ids[index], __ATOMIC_ACQUIRE);

		if (!id || !bpf_rcu_dereference(array->objects[index]))
			continue;
		memcpy(bpf_map_iter_key(it, 0), &index, sizeof(index));
		if (!it->keys_only)
			memcpy(bpf_map_iter_value(it, 0), &id, sizeof(id));
		return 1;
	}
	return 0;
}
