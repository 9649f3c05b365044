/*
 * bpf_helpers.h - what tests/progs/bench.bpf.c includes when it is compiled for the machine itself
 *
 * Arrays, loops and callbacks are what a C program would have in their place, and are inlined. What
 * only the engines have (hashes, tail calls, locks) does nothing here: those programs are not in
 * native.c's table.
 */
#ifndef UBPFFS_BENCH_NATIVE_HELPERS_H
#define UBPFFS_BENCH_NATIVE_HELPERS_H

#include <stddef.h>
#include <linux/types.h>

#define SEC(name)	   __attribute__((used))
#define __uint(name, val)  int(*name)[val]
#define __type(name, val)  typeof(val) *name
#define __array(name, val) typeof(val) *name[]
#define __noinline	   __attribute__((noinline))
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))

#define NATIVE_ENTRIES 1024

static __u64 native_values[NATIVE_ENTRIES];

static __always_inline void *bpf_map_lookup_elem(const void *map, const __u32 *key)
{
	return *key < NATIVE_ENTRIES ? &native_values[*key] : NULL;
}

static __always_inline long bpf_map_update_elem(const void *map, const void *key, const void *value,
						__u64 flags)
{
	return 0;
}

static __always_inline long bpf_map_delete_elem(const void *map, const void *key)
{
	return 0;
}

static __always_inline void bpf_tail_call(void *ctx, const void *map, __u32 index)
{
}

#define bpf_spin_lock(lock)   ((void)(lock))
#define bpf_spin_unlock(lock) ((void)(lock))

#define bpf_loop(n, func, ctx, flags)                              \
	({                                                         \
		__u32 loop_turn = 0;                               \
		while (loop_turn < (n) && !(func)(loop_turn, ctx)) \
			loop_turn++;                               \
		(long)loop_turn;                                   \
	})

/* The callback has no effect that is seen, and a compiler leaves it out. */
#define bpf_for_each_map_elem(map, func, ctx, flags) ((void)(map), (void)(func), (void)(ctx), 0)

#endif
