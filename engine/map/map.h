/*
 * map.h - what the map types share: the thread's slot, counters, what is made of a specification
 */
#ifndef UBPFFS_MAP_MAP_H
#define UBPFFS_MAP_MAP_H

#include <sched.h>
#include "rcu/ids.h"
#include "core/map.h"
#include "run/run.h"
#include "map/arena/arena.h"
#include "map/arena/copy.h"
#include "util/lock.h"

#define BPF_F_ACCESS_MASK (BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)

#define KMALLOC_MAX_SIZE   (1u << 22) /* Linux on x86-64 and arm64: what bounds keys and values */
#define PCPU_MIN_UNIT_SIZE 32768 /* what bounds a per-CPU value */

/* The slot to push to and pop from: the thread's own, else the one of the CPU it is on. */
static inline u32 bpf_map_slot(void)
{
	int cpu;

	if (likely(bpf_this.slot >= 0))
		return (u32)bpf_this.slot;
	cpu = sched_getcpu();
	return cpu >= 0 ? (u32)cpu % bpf_nr_slots() : 0;
}

static inline void __bpf_map_count(u64 *counter, u64 n)
{
	/* A slot has one owner at a time, so only those without one must count atomically. */
	if (likely(bpf_this.slot >= 0))
		__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n,
				 __ATOMIC_RELAXED);
	else
		__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

#define bpf_map_count(map, field, n) \
	__bpf_map_count((u64 *)&(map)->slot_stats[bpf_this.slot + 1].field, (u64)(n))

/* A value or a record is there for who waits. */
static inline void bpf_map_tell(struct bpf_map *map)
{
	void (*fn)(struct bpf_map *) = __atomic_load_n(&bpf_map_notify, __ATOMIC_ACQUIRE);

	if (unlikely(fn))
		fn(map);
}

/* For alloc_check: not by this rule. */
static inline int bpf_spec_refuse(const char **why, int err, const char *rule)
{
	*why = rule;
	return -err;
}
/*
 * What most types ask for: entries, these sizes, no other flags. -EINVAL. A size of BPF_SPEC_ANY is
 * the user's, and not 0.
 */
#define BPF_SPEC_ANY (-1)
int bpf_spec_check_sizes(const struct bpf_map_spec *spec, int key_size, int value_size, u32 flags,
			 const char **why);

/* map->spin_lock_off of a map that is made so. */
static inline int bpf_spec_spin_lock_off(const struct bpf_map_spec *spec)
{
	return spec->spin_lock_end ? (int)(spec->spin_lock_end - sizeof(struct bpf_spin_lock))
				   : -ENOENT;
}

/* get_next_key of the types whose keys are 0 .. max_entries - 1. */
int bpf_array_get_next_key(const struct bpf_map *map, const void *key, void *next_key);

/* The counters of an opened map begin with the entries that it already holds. */
void bpf_map_set_entries(struct bpf_map *map, u64 entries);
u64 bpf_map_count_entries(const struct bpf_map *map);

#endif
