/*
 * hashtab.h - what all types of the table of hashtab_layout.h share
 *
 *	 63      48 47      32 31            30      29                0
 *	+----------+----------+-------------+-------+-------------------+
 *	|  filter  | changes  | end of list | lock  | link to the first |   a bucket
 *	+----------+----------+-------------+-------+-------------------+
 *	                                                      |
 *	      +-----------------------------------------------+
 *	      v
 *	[elem: next, version, key, value] --> [elem ...] --> END | bucket
 *
 * Definitions
 *   read       htab_find() and what a program or bpf(2) makes of it: a lookup by key. Inside an RCU
 *              section, without a lock.
 *   write      an update or delete of one key, under the lock of its bucket.
 *   traversal  get_next_key, iteration, bpf_for_each_map_elem: bucket after bucket, each read under
 *              its lock. It is no snapshot of the map: see F in hashtab.c, and A to C in
 *              htab_for_each.c.
 *
 * What each of them may rely on stands by letter in hashtab.c.
 *
 * Progress
 *   A read is lock-free and not wait-free: it starts again only after a write took an element out
 *   of a chain that it was in, so whenever one read starts again, some write has got on. A writer
 *   that is stopped while it holds a bucket's lock stops no read.
 *   A write waits for the writers of its own bucket only. It holds the lock for the length of one
 *   chain, and waits for nothing under it but what hashtab_write.h names.
 *   A traversal waits for the writers of the bucket that it is at, and ends whatever others put in.
 *
 * References
 *   M. M. Michael, "High Performance Dynamic Lock-Free Hash Tables and List-Based Sets", SPAA 2002:
 *   readers that pass elements which may be reused. Linux, Documentation/RCU/rculist_nulls.rst:
 *   ends of lists that say whose they are. B. Fan, D. Andersen, M. Kaminsky, "MemC3", NSDI 2013:
 *   tags of a few bits that spare a miss the element's cache line.
 */
#ifndef UBPFFS_MAP_HASH_HASHTAB_H
#define UBPFFS_MAP_HASH_HASHTAB_H

#include "map/hash/hashtab_layout.h"

int htab_map_alloc_check(const struct bpf_map_spec *spec, const char **why);
int htab_map_layout(const struct bpf_map_spec *spec, u32 nr_slots, u64 *index, u64 *values);
/* Find the parts of the arena. The LRU kinds also get their list. */
int htab_attach(struct bpf_htab *htab);
/* Provide memory for these elements and their values. */
int htab_reserve_elems(struct bpf_htab *htab, u32 from, u32 end);
/*
 * Build the chains again from the elements: begin empties them, then each range that was ever in
 * use, [from, end), gives its live elements back; returns how many. What lies outside of these
 * ranges is not looked at, whatever it says.
 */
void htab_recover_begin(struct bpf_htab *htab);
u32 htab_recover_chains(struct bpf_htab *htab, u32 from, u32 end);
int htab_map_get_next_key(struct bpf_map *map, const void *key, void *next_key);
int htab_map_iter(struct bpf_map_iter *it);
long htab_map_for_each_callback(struct bpf_map *map, u64 callback, u64 ctx); /* htab_for_each.c */
u32 htab_bucket_next_used(const struct bpf_htab *htab, u32 bucket);
void htab_map_free(struct bpf_map *map);
long htab_sys_lookup_elem(struct bpf_map *map, const void *key, void *value);
long htab_sys_lookup_locked(struct bpf_map *map, const void *key, void *value);

extern const struct bpf_map_ops htab_map_ops; /* hash.c */

#endif
