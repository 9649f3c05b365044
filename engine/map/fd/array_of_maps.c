/*
 * array_of_maps.c - an fd_array of maps (map_in_map.h says what kind of maps)
 */
#include "map/fd/fd_array.h"
#include "map/fd/map_in_map.h"

static void put_map(void *map)
{
	bpf_map_put_internal(map);
}

static int aom_layout(const struct bpf_map_spec *spec, u32 nr_slots, u64 *index, u64 *values)
{
	*index = fd_array_index_size(spec, MAP_IN_MAP_HEAD);
	*values = 0;
	return 0;
}

static int aom_attach(struct bpf_map *map)
{
	struct map_in_map_template *template = map->arena->index;
	int err = fd_array_attach(fd_array(map), MAP_IN_MAP_HEAD, &template->used_end, put_map);

	if (err)
		map_in_map_free(map);
	return err;
}

static int aom_alloc(struct bpf_map *map)
{
	int err = map_in_map_take(map, map->arena->index);

	return err ? err : aom_attach(map);
}

static int aom_open(struct bpf_map *map)
{
	int err = map_in_map_read(map, map->arena->index);

	return err ? err : aom_attach(map);
}

static void aom_free(struct bpf_map *map)
{
	map_in_map_free(map);
	fd_array_free(fd_array(map));
}

static void *aom_lookup_elem(struct bpf_map *map, const void *key)
{
	u32 index;

	memcpy(&index, key, sizeof(index));
	return fd_array_get(map, index);
}

static int aom_update_slot(struct bpf_map *map, const void *key, void *object, u64 flags)
{
	struct bpf_map *inner = object;
	u32 index;
	int err;

	memcpy(&index, key, sizeof(index));
	if (flags != BPF_ANY)
		err = -EINVAL;
	else if (index < map->max_entries && !map_in_map_fits(map, inner))
		err = -EINVAL;
	else
		err = fd_array_reserve(fd_array(map), index);
	if (!err) {
		bpf_map_inc_internal(inner);
		fd_array_set(fd_array(map), index, inner, inner->id);
	}
	return (int)map_in_map_count_update(map, err);
}

static int aom_restore_slots(struct bpf_map *map, bpf_slot_get_fn get, void *priv)
{
	struct fd_array *array = fd_array(map);
	int kept = 0;

	for (u32 i = 0; i < *array->used_end; i++) {
		u32 id = __atomic_load_n(&array->ids[i], __ATOMIC_ACQUIRE);
		struct bpf_map *inner = NULL;
		int err;

		if (!id || bpf_rcu_dereference(array->objects[i]))
			continue;
		err = map_in_map_restored(map, id, get, priv, &inner);
		if (!err || err == -ENOENT)
			fd_array_set(array, i, inner, id);
		else
			kept++;
	}
	return kept;
}

const struct bpf_map_ops array_of_maps_map_ops = {
	.name = "array_of_maps",
	.at_start = true,
	.map_size = sizeof(struct fd_array),
	.not_inner = true,
	.alloc_check = fd_array_alloc_check,
	.map_layout = aom_layout,
	.alloc = aom_alloc,
	.open = aom_open,
	.free = aom_free,
	.map_lookup_elem = aom_lookup_elem,
	.map_delete_elem = fd_array_delete_elem,
	.map_get_next_key = fd_array_get_next_key,
	.sys_lookup_elem = fd_array_sys_lookup_elem,
	.sys_update_elem = map_in_map_sys_update_elem,
	.map_iter = fd_array_iter,
	.map_update_slot = aom_update_slot,
	.map_restore_slots = aom_restore_slots,
};
