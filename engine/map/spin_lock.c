/*
 * spin_lock.c - locks in values: copies around them, and the helpers of programs
 */
#include "insn/func.h"
#include "run/run.h"
#include "map/spin_lock.h"

/* Reading until it looks free keeps the line from going back and forth between those who wait. */
__attribute__((noinline)) void bpf_spin_acquire_slow(struct bpf_spin_lock *lock)
{
	u32 spins = 0;

	do {
		while (__atomic_load_n(&lock->val, __ATOMIC_RELAXED))
			bpf_spin_wait(&spins);
	} while (__atomic_exchange_n(&lock->val, 1, __ATOMIC_ACQUIRE));
}

/*
 * The word of memory that holds the lock has four bytes beside it, which may be data (the last of
 * them zeros where the value ends there).
 */
void __bpf_value_to_arena(const struct bpf_map *map, void *dst, const void *src)
{
	u32 lock = (u32)map->spin_lock_off, word = lock & ~7u, half = lock ^ 4, data = 0;

	bpf_copy_to_arena(dst, src, word);
	if (half < map->value_size)
		memcpy(&data, (const char *)src + half, min(map->value_size - half, 4u));
	__atomic_store_n((u32 *)(void *)((char *)dst + half), data, __ATOMIC_RELAXED);
	if (word + 8 < map->value_size)
		bpf_copy_to_arena((char *)dst + word + 8, (const char *)src + word + 8,
				  map->value_size - word - 8);
}

void bpf_value_to_arena_locked(const struct bpf_map *map, void *dst, const void *src)
{
	struct bpf_spin_lock *lock = bpf_map_value_lock(map, dst);

	bpf_spin_acquire(lock);
	__bpf_value_to_arena(map, dst, src);
	bpf_spin_release(lock);
}

/* The lock's own bytes in such a part become zero. */
static void blank_lock(const struct bpf_map *map, void *part, u32 off, u32 len)
{
	u32 lock = (u32)map->spin_lock_off, end = lock + sizeof(struct bpf_spin_lock);
	u32 from = max(lock, off), to = min(end, off + len);

	if (from < to)
		memset((char *)part + (from - off), 0, to - from);
}

void bpf_part_to_arena(const struct bpf_map *map, void *elem, u32 off, const void *src, u8 *mask,
		       u32 len)
{
	struct bpf_spin_lock *lock = map_has_spin_lock(map) ? bpf_map_value_lock(map, elem) : NULL;

	if (lock) {
		blank_lock(map, mask, off, len);
		bpf_spin_acquire(lock);
	}
	bpf_copy_bytes_to_arena((char *)elem + off, src, mask, len);
	if (lock)
		bpf_spin_release(lock);
}

void bpf_part_from_arena(const struct bpf_map *map, void *dst, void *elem, u32 off, u32 len)
{
	struct bpf_spin_lock *lock = map_has_spin_lock(map) ? bpf_map_value_lock(map, elem) : NULL;

	if (lock)
		bpf_spin_acquire(lock);
	bpf_copy_from_arena(dst, (char *)elem + off, len);
	if (lock) {
		bpf_spin_release(lock);
		blank_lock(map, dst, off, len);
	}
}

/* ---- helpers. The thread remembers what it holds, for the case of a fault. */

static u64 bpf_spin_lock_call(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
{
	struct bpf_spin_lock *lock = (void *)(uintptr_t)r1;

	bpf_spin_acquire(lock);
	bpf_this.spin_lock = lock;
	return 0;
}

static u64 bpf_spin_unlock_call(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
{
	bpf_this.spin_lock = NULL;
	bpf_spin_release((struct bpf_spin_lock *)(uintptr_t)r1);
	return 0;
}

const struct bpf_func_proto bpf_spin_lock_proto = {
	.name = "bpf_spin_lock",
	.id = BPF_FUNC_spin_lock,
	.func = bpf_spin_lock_call,
	.ret_type = RET_VOID,
	.arg_type = {ARG_PTR_TO_SPIN_LOCK},
};

const struct bpf_func_proto bpf_spin_unlock_proto = {
	.name = "bpf_spin_unlock",
	.id = BPF_FUNC_spin_unlock,
	.func = bpf_spin_unlock_call,
	.ret_type = RET_VOID,
	.arg_type = {ARG_PTR_TO_SPIN_LOCK},
};
