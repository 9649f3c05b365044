/*
 * hashtab.h - what all types of the table of hashtab_layout.h share
 */
#ifndef UBPFFS_MAP_HASHTAB_H
#define UBPFFS_MAP_HASHTAB_H

#include "map/hashtab_layout.h"

int htab_map_alloc_check(const struct bpf_map_spec *spec);
int htab_map_layout(const struct bpf_map_spec *spec, u32 nr_slots, u64 *index, u64 *values);
/* Find the parts of the arena. The LRU kinds also get their list. */
int htab_attach(struct bpf_htab *htab);
/* Provide memory for these elements and their values. */
int htab_reserve_elems(struct bpf_htab *htab, u32 from, u32 end);
/*
 * Build the chains again from the elements: begin empties them, then each range that was ever in use, [from, end), gives
 * its live elements back; returns how many. What lies outside of these ranges is not looked at, whatever it says.
 */
void htab_recover_begin(struct bpf_htab *htab);
u32 htab_recover_chains(struct bpf_htab *htab, u32 from, u32 end);
int htab_map_get_next_key(struct bpf_map *map, const void *key, void *next_key);
int htab_map_iter(struct bpf_map_iter *it);
long htab_map_for_each_callback(struct bpf_map *map, u64 callback, u64 ctx); /* htab_for_each.c */
u32 htab_bucket_next_used(const struct bpf_htab *htab, u32 bucket);
void htab_map_free(struct bpf_map *map);
/* A value as it is seen from outside; flags: 0 or BPF_F_LOCK. The caller holds the bucket's lock. */
void htab_copy_value(const struct bpf_htab *htab, u32 idx, void *value, u64 flags);
long htab_sys_lookup_elem(struct bpf_map *map, const void *key, void *value);
long htab_sys_lookup_locked(struct bpf_map *map, const void *key, void *value);

#endif
