/*
 * map.c - what the map types share
 */
#include <limits.h>
#include "map/map.h"

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
