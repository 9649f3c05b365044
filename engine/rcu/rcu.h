/*
 * rcu.h - the engine's RCU: liburcu's memb flavour, in a form that sanitizers understand
 *
 * Readers: rcu_read_lock()/rcu_read_unlock() nest and never block. A thread must be registered:
 * bpf_rcu_thread_online() does it on first use and the thread's exit undoes it (every public entry
 * of the engine and every slot calls it, so users of the library never see this).
 *
 * fork(): the child may go on using the engine when no other thread of the parent had used it (a
 * server that becomes a daemon); with others it must exec, for liburcu keeps their records in
 * memory that the child gives to new threads.
 *
 * ThreadSanitizer does not see inside liburcu, so pointers are published and read with the
 * compiler's atomics, and grace periods are told to it by hand.
 */
#ifndef UBPFFS_RCU_RCU_H
#define UBPFFS_RCU_RCU_H

#define RCU_MEMBARRIER
#include <urcu.h>
#include "util/types.h"

void bpf_rcu_thread_online(void);

/* Free after a grace period. `head` is inside the object that func() releases. */
void bpf_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));

/* Wait until every reader that runs now has ended. Never call it inside a read section. */
void bpf_synchronize_rcu(void);

/* Wait until every bpf_call_rcu() made before has run. Same rule. */
void bpf_rcu_barrier(void);

void bpf_rcu_read_lock(void);
void bpf_rcu_read_unlock(void);

#define bpf_rcu_dereference(p)	     __atomic_load_n(&(p), __ATOMIC_ACQUIRE)
#define bpf_rcu_assign_pointer(p, v) __atomic_store_n(&(p), (v), __ATOMIC_RELEASE)
#define bpf_rcu_xchg_pointer(p, v)   __atomic_exchange_n(&(p), (v), __ATOMIC_ACQ_REL)

#endif
