/*
 * map.c - what the map types share
 */
#include <limits.h>
#include "map/map.h"

int bpf_spec_check_sizes(const struct bpf_map_spec *spec, int key_size, int value_size, u32 flags,
			 const char **why)
{
	if (!spec->max_entries)
		return bpf_spec_refuse(why, EINVAL, "max_entries must not be 0");
	if (key_size == BPF_SPEC_ANY ? !spec->key_size : spec->key_size != (u32)key_size)
		return bpf_spec_refuse(why, EINVAL,
				       key_size == 4   ? "key_size is 4"
				       : key_size == 0 ? "it has no keys: key_size is 0"
						       : "key_size must not be 0");
	if (value_size == BPF_SPEC_ANY ? !spec->value_size : spec->value_size != (u32)value_size)
		return bpf_spec_refuse(why, EINVAL,
				       value_size == 4	 ? "value_size is 4"
				       : value_size == 0 ? "value_size is 0"
							 : "value_size must not be 0");
	if (spec->map_flags & ~flags)
		return bpf_spec_refuse(why, EINVAL, "these map_flags are not for this type");
	return 0;
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
