/*
 * run.h - running a program: slots, the per-thread state, test runs
 *
 * A slot is the engine's CPU. There are bpf_nr_slots() of them (as many as possible CPUs), numbered
 * from 0. A thread owns one while a program runs: its own CPU's when it is free, else any free one;
 * it waits when all are taken. bpf_get_smp_processor_id() is the slot; per-CPU maps, free lists and
 * LRU local lists are indexed by it. Nested enters of one thread keep its slot.
 *
 *	bpf_run_enter();                     slot + RCU read section
 *	ret = bpf_prog_run(prog, ctx);       any number of times
 *	bpf_run_exit();
 */
#ifndef UBPFFS_RUN_RUN_H
#define UBPFFS_RUN_RUN_H

#include "core/prog.h"

#define BPF_MAX_SLOTS 1024

struct bpf_sample;
struct bpf_cgroup_storages;

struct bpf_thread { /* this thread's running state; helpers read it */
	int slot; /* -1: none */
	u32 depth; /* nested bpf_run_enter() */
	u32 tail_call_cnt;
	u32 group; /* of bpf_run_set_group(), or 0 */
	const struct bpf_prog *prog; /* the outermost running program */
	const struct bpf_sample *sample; /* what the event saw (run/sample.h), or NULL */
	struct bpf_spin_lock *spin_lock; /* held by the program (map/spin_lock.h), or NULL */
	const struct bpf_cgroup_storages *storages; /* of the attachment that runs, or NULL */
	const volatile bool *cancel; /* set: the run is to end soon; never NULL */
	struct bpf_prog *
		/* of a cgroup's programs (cgroup/), valid in the same run section */
		cancelled_prog;
	const struct bpf_prog *interpreted; /* whose instructions the interpreter is at, or NULL */
	void **guard; /* where a fault of a program goes, innermost first (run.c) */
};

extern __thread struct bpf_thread bpf_this __attribute__((tls_model("initial-exec")));

/*
 * Loops in callbacks of loops could run for years, and so could global functions that call each
 * other, since each is verified once. Nobody can stop native code from outside; but for all the
 * verifier knows a loop may end after any round, and a global function may return at once with any
 * number. So a run that is cancelled begins no round and no global function any more, and goes its
 * way to its end: what it reserved it submits, what it locked it unlocks. That way is at most what
 * the verifier walked, a million instructions, once for each of 33 tail calls.
 */
static inline bool bpf_run_cancelled(void)
{
	return __atomic_load_n(bpf_this.cancel, __ATOMIC_RELAXED);
}

extern const volatile bool bpf_never_cancelled; /* false */

/*
 * From here on this thread's runs end when *cancel becomes true (NULL: as before). Returns what is
 * to be put back.
 */
static inline const volatile bool *bpf_run_set_cancel(const volatile bool *cancel)
{
	const volatile bool *outer = bpf_this.cancel;

	if (cancel)
		bpf_this.cancel = cancel;
	return outer;
}

u32 bpf_nr_slots(void);
void bpf_run_enter(void);
/* False: this thread's runs were cancelled while it waited for a slot; it has entered nothing. */
bool bpf_run_enter_unless_cancelled(void);
void bpf_run_exit(void);

/*
 * Programs run under a guard: should an instruction of one fault (a bug of ours), this run ends and
 * returns 0, the program is marked `poisoned` and runs no more (engine/fault.h).
 */
u64 bpf_prog_run(const struct bpf_prog *prog, const void *ctx);
/* The same for an event or a packet of somebody: it counts as a run, with its time. */
u64 bpf_prog_run_counted(struct bpf_prog *prog, const void *ctx);

/* `repeat` runs (not 0) under one guard, as long as none faults; what the last one returned. */
u64 bpf_prog_run_repeat(const struct bpf_prog *prog, const void *ctx, u32 repeat);

/*
 * Whom a thread runs programs for, as a number that is not 0: all of one group's threads never take
 * all the slots, where there are several. 0: nobody in particular. Nothing happens while the thread
 * has a slot.
 */
void bpf_run_set_group(u32 group);

/* Between two run sections of one thread: whoever waits for a slot comes first. */
void bpf_slot_let_others(void);

/* Somebody waits for a slot, and no slot became free since the last call with this *releases. */
bool bpf_slots_stuck(u32 *releases);

/* A thread that runs programs all the time keeps its slot between runs; none when cancelled. */
void bpf_slot_keep(void);
void bpf_slot_release(void);

#endif
