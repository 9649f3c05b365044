/*
 * map_ids.h - live maps by id
 *
 * A map is in the table from the end of its creation until its last reference is dropped. Ids rise and never
 * repeat in one process, also not those that a caller chose. Lock: a leaf.
 *
 * bpf_map_ids_find() takes no lock: two loads through a table by the id's halves.
 */
#ifndef UBPFFS_MAP_MAP_IDS_H
#define UBPFFS_MAP_MAP_IDS_H

#include "core/map.h"

/* Give the map an id (or keep the one it has) and enter it. -EEXIST: taken; -ENOMEM. */
int bpf_map_ids_add(struct bpf_map *map);
void bpf_map_ids_remove(struct bpf_map *map);

/* The live map with this id, borrowed inside the caller's RCU section; NULL: none. */
struct bpf_map *bpf_map_ids_find(u32 id);

#endif
