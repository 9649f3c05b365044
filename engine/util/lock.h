/*
 * lock.h - waiting for a lock, and a lock that programs may take: held for a few dozen
 * instructions, never while waiting
 *
 * A program cannot sleep in the kernel's sense, but its thread can lose the CPU while it holds the
 * lock; so who waits gives up its own CPU after a while. Zero is unlocked. Not for the arena: after
 * a crash it would stay locked.
 */
#ifndef UBPFFS_UTIL_LOCK_H
#define UBPFFS_UTIL_LOCK_H

#include <sched.h>
#include "util/types.h"

/* One turn of waiting for a lock whose holder may have lost its CPU. */
static inline void bpf_spin_wait(u32 *spins)
{
	if (++*spins % 128 == 0)
		sched_yield();
	else
#if defined(__x86_64__)
		__builtin_ia32_pause();
#else
		__asm__ volatile("" ::: "memory");
#endif
}

struct bpf_lock {
	u32 held;
} __attribute__((aligned(64)));

static inline void bpf_lock(struct bpf_lock *lock)
{
	u32 spins = 0;

	while (__atomic_exchange_n(&lock->held, 1, __ATOMIC_ACQUIRE))
		while (__atomic_load_n(&lock->held, __ATOMIC_RELAXED))
			bpf_spin_wait(&spins);
}

static inline void bpf_unlock(struct bpf_lock *lock)
{
	__atomic_store_n(&lock->held, 0, __ATOMIC_RELEASE);
}

#endif
