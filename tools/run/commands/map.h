/*
 * map.h - what commands on one element and on many know of a map
 */
#ifndef UBPFFS_TOOLS_RUN_COMMANDS_MAP_H
#define UBPFFS_TOOLS_RUN_COMMANDS_MAP_H

#include "tools/run/commands/object.h"
#include "tools/run/commands/call.h"

/* Bytes of a value as bpf(2) moves it: of all CPUs. */
uint64_t map_value_size(const struct object *map);
/*
 * A map with another number of CPUs than the caller's kernel says would not fit the buffers that
 * the caller made by it: such elements are not copied. -EOPNOTSUPP.
 */
int map_cpus_fit(const struct object *map);
/* What kind a slot holds; 0: plain values. */
unsigned int map_slot_kind(const struct object *map);
/* A descriptor in a value becomes its object's id. */
int map_fd_to_id(struct caller *c, unsigned int kind, void *value);

/* The commands on a map. */
long run_map_create(struct bpf_call *call);
long run_map_elem(struct bpf_call *call); /* lookup, update, delete, next key, lookup and delete */
long run_map_freeze(struct bpf_call *call);

#endif
