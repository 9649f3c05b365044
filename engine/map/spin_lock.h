/*
 * spin_lock.h - struct bpf_spin_lock in a map's values
 *
 * A value whose BTF type has one struct bpf_spin_lock (four aligned bytes, map->spin_lock_off) can
 * be locked: by programs with bpf_spin_lock(), from outside by the flag BPF_F_LOCK. 0 is free, 1 is
 * held. The verifier sees to it that a program holds at most one lock, calls nothing while it does,
 * and gives it back before it ends; so whoever waits, waits for a few instructions of a thread that
 * waits for nothing (and yields its CPU, for that thread may have lost its own).
 *
 * Guarantees
 *   A. The word belongs to the lock alone. No copy of a value, in either direction, reads or writes
 *      it: what comes out has zeros there, and what goes in has its bytes there ignored. An element
 *      that is freed and used again keeps its word, so that a program that still holds the old
 *      element's lock unlocks what it locked.
 *   B. BPF_F_LOCK: a copy out is one that some holder left behind, a copy in is seen by the next
 *      holder whole. An existing element is changed in place, not replaced; so a crash may leave it
 *      half changed.
 *   C. A program that faults with a lock held has it released as its thread leaves the program
 *      (run/run.c); the value is what the program had made of it by then.
 *   D. The words that a killed server left are free again when its map is opened: nobody that could
 *      hold them lives (values of programs that were stopped in the middle stay as they were).
 * Lock order: a hash's bucket, then an element's lock; a holder of an element's lock takes nothing.
 * Tests: tests/unit/test_spin_lock.c names each case by its letter.
 */
#ifndef UBPFFS_MAP_SPIN_LOCK_H
#define UBPFFS_MAP_SPIN_LOCK_H

#include "core/map.h"
#include "insn/func.h"
#include "map/arena/copy.h"
#include "util/lock.h"

static inline struct bpf_spin_lock *bpf_map_value_lock(const struct bpf_map *map, void *value)
{
	return (struct bpf_spin_lock *)(void *)((char *)value + map->spin_lock_off);
}

void bpf_spin_acquire_slow(struct bpf_spin_lock *lock);

static inline void bpf_spin_acquire(struct bpf_spin_lock *lock)
{
	u32 is_free = 0;

	if (unlikely(!__atomic_compare_exchange_n(&lock->val, &is_free, 1, false, __ATOMIC_ACQUIRE,
						  __ATOMIC_RELAXED)))
		bpf_spin_acquire_slow(lock);
}

static inline void bpf_spin_release(struct bpf_spin_lock *lock)
{
	__atomic_store_n(&lock->val, 0, __ATOMIC_RELEASE);
}

/* After a crash. Nothing is written where nothing is held, so that untouched memory stays so. */
static inline void bpf_spin_reset(const struct bpf_map *map, void *value)
{
	struct bpf_spin_lock *lock = bpf_map_value_lock(map, value);

	if (__atomic_load_n(&lock->val, __ATOMIC_RELAXED))
		bpf_spin_release(lock);
}

void __bpf_value_to_arena(const struct bpf_map *map, void *dst, const void *src);

/* A value into an element of the arena, without the lock's word. */
static inline void bpf_value_to_arena(const struct bpf_map *map, void *dst, const void *src)
{
	if (likely(map->spin_lock_off < 0))
		bpf_copy_to_arena(dst, src, map->value_size);
	else
		__bpf_value_to_arena(map, dst, src);
}

/* The same under the element's lock, for who said BPF_F_LOCK. */
void bpf_value_to_arena_locked(const struct bpf_map *map, void *dst, const void *src);

/*
 * `len` bytes from `off` on (a multiple of 8), in or out, under the element's lock if it has one.
 * In go the bytes that `mask` has, which loses the lock's own; out come zeros for the lock.
 */
void bpf_part_to_arena(const struct bpf_map *map, void *elem, u32 off, const void *src, u8 *mask,
		       u32 len);
void bpf_part_from_arena(const struct bpf_map *map, void *dst, void *elem, u32 off, u32 len);

/*
 * A value out of the arena, zeros for the lock. flags: BPF_F_LOCK takes the element's lock
 * meanwhile.
 */
static inline void bpf_value_from_arena(const struct bpf_map *map, void *dst, void *src, u64 flags)
{
	bool lock = flags & BPF_F_LOCK;

	if (unlikely(lock))
		bpf_spin_acquire(bpf_map_value_lock(map, src));
	bpf_copy_from_arena(dst, src, map->value_size);
	if (unlikely(lock))
		bpf_spin_release(bpf_map_value_lock(map, src));
	if (unlikely(map->spin_lock_off >= 0))
		memset((char *)dst + map->spin_lock_off, 0, sizeof(struct bpf_spin_lock));
}

extern const struct bpf_func_proto bpf_spin_lock_proto;
extern const struct bpf_func_proto bpf_spin_unlock_proto;

#endif
