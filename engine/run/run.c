/*
 * run.c - slots: which of the engine's CPUs a thread is while it runs a program
 *
 * Guarantees
 *   A. A slot is owned by at most one thread at a time, and a thread owns at most one slot, so
 *      whatever is indexed by slot needs no lock against another running program.
 *   B. What a thread did with a slot happened before what the next owner does with it.
 *   C. A thread that finds all slots taken sleeps, and wakes when one is released. It never waits
 *      inside an RCU read section.
 *   D. Nested bpf_run_enter() of one thread keep the slot of the outermost.
 *   E. Where there are several slots, the threads of one group never have them all.
 *   F. Who may be cancelled waits for no slot after that, whatever those do that have one.
 * Tests: tests/unit/test_run.c names each case by its letter.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include "run/run.h"
#include "util/clock.h"
#include "util/cpu_list.h"

const volatile bool bpf_never_cancelled;

__thread struct bpf_thread bpf_this __attribute__((tls_model("initial-exec"))) = {
	.slot = -1,
	.cancel = &bpf_never_cancelled,
};

/* A cache line each: owners of neighbouring slots must not slow each other. */
static struct {
	u32 taken;
	bool kept; /* read by the owner only */
	u32 group; /* the owner's; written under group_lock, but for its end */
} __attribute__((aligned(64))) slots[BPF_MAX_SLOTS];

static pthread_mutex_t group_lock = PTHREAD_MUTEX_INITIALIZER;
static u32 slot_waiters; /* threads in slot_wait() */
static u32 slot_starved; /* those that would take any slot */
static u32 slot_releases; /* counts releases while somebody waits; the futex */
static u32 nr_slots;

u32 bpf_nr_slots(void)
{
	u32 nr = __atomic_load_n(&nr_slots, __ATOMIC_RELAXED);

	if (unlikely(!nr)) {
		/* Two threads may both count: they find the same. */
		nr = min((u32)cpu_possible_count(), (u32)BPF_MAX_SLOTS);
		__atomic_store_n(&nr_slots, nr, __ATOMIC_RELAXED);
	}
	return nr;
}

static bool slot_try(u32 slot)
{
	u32 is_free = 0;

	return __atomic_compare_exchange_n(&slots[slot].taken, &is_free, 1, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

#define NONE_FREE (-1)
#define TOO_MANY  (-2) /* the group has its share */
#define SHARE(nr) ((nr) - ((nr) + 3) / 4)

static int slot_try_free(u32 nr)
{
	int cpu = sched_getcpu();
	u32 own = cpu >= 0 ? (u32)cpu % nr : 0;

	for (u32 i = 0; i < nr; i++) {
		u32 slot = own + i < nr ? own + i : own + i - nr;

		if (slot_try(slot))
			return (int)slot;
	}
	return NONE_FREE;
}

static int slot_try_any(u32 nr)
{
	u32 group = bpf_this.group, have = 0;
	int slot = TOO_MANY;

	if (!group || nr == 1)
		return slot_try_free(nr);
	pthread_mutex_lock(&group_lock);
	for (u32 i = 0; i < nr; i++)
		have += __atomic_load_n(&slots[i].group, __ATOMIC_RELAXED) == group;
	if (have < SHARE(nr))
		slot = slot_try_free(nr);
	if (slot >= 0)
		__atomic_store_n(&slots[slot].group, group, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&group_lock);
	return slot;
}

/* NONE_FREE: *cancel became true. Nobody wakes who is cancelled: he looks. */
static int slot_wait(u32 nr, const volatile bool *cancel)
{
	static const struct timespec look = {.tv_nsec = 50000000};
	int slot;

	__atomic_add_fetch(&slot_waiters, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		u32 seen = __atomic_load_n(&slot_releases, __ATOMIC_SEQ_CST);

		slot = slot_try_any(nr);
		if (slot >= 0)
			break;
		if (slot == NONE_FREE)
			__atomic_add_fetch(&slot_starved, 1, __ATOMIC_RELAXED);
		syscall(SYS_futex, &slot_releases, FUTEX_WAIT_PRIVATE, seen, cancel ? &look : NULL,
			NULL, 0);
		if (slot == NONE_FREE)
			__atomic_sub_fetch(&slot_starved, 1, __ATOMIC_RELAXED);
		slot = NONE_FREE;
		if (cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED))
			break;
	}
	__atomic_sub_fetch(&slot_waiters, 1, __ATOMIC_SEQ_CST);
	return slot;
}

static bool slot_take(const volatile bool *cancel)
{
	u32 nr = bpf_nr_slots();
	int slot = slot_try_any(nr);

	if (unlikely(slot < 0))
		slot = slot_wait(nr, cancel);
	if (unlikely(slot < 0))
		return false;
	slots[slot].kept = false;
	bpf_this.slot = slot;
	return true;
}

static void slot_give(void)
{
	u32 slot = (u32)bpf_this.slot;

	bpf_this.slot = -1;
	if (bpf_this.group)
		__atomic_store_n(&slots[slot].group, 0, __ATOMIC_RELAXED);
	/* Either we see the waiter here, or the waiter's second try sees the free slot. */
	__atomic_store_n(&slots[slot].taken, 0, __ATOMIC_SEQ_CST);
	if (unlikely(__atomic_load_n(&slot_waiters, __ATOMIC_SEQ_CST))) {
		__atomic_add_fetch(&slot_releases, 1, __ATOMIC_SEQ_CST);
		/* All of them: one that is woken may have to leave it to another. */
		syscall(SYS_futex, &slot_releases, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
	}
}

void bpf_run_set_group(u32 group)
{
	if (bpf_this.slot < 0)
		bpf_this.group = group;
}

void bpf_slot_let_others(void)
{
	struct timespec ts = {.tv_nsec = 50000};

	if (bpf_this.slot < 0 && unlikely(__atomic_load_n(&slot_waiters, __ATOMIC_RELAXED)))
		nanosleep(&ts, NULL);
}

bool bpf_slots_stuck(u32 *releases)
{
	u32 seen = *releases;

	*releases = __atomic_load_n(&slot_releases, __ATOMIC_RELAXED);
	return *releases == seen && __atomic_load_n(&slot_starved, __ATOMIC_RELAXED);
}

void bpf_run_enter(void)
{
	if (bpf_this.depth++ == 0) {
		if (bpf_this.slot < 0)
			slot_take(NULL);
		bpf_this.tail_call_cnt = 0;
	}
	bpf_rcu_read_lock();
}

bool bpf_run_enter_unless_cancelled(void)
{
	if (bpf_this.slot < 0 && !slot_take(bpf_this.cancel))
		return false;
	bpf_run_enter();
	return true;
}

void bpf_run_exit(void)
{
	bpf_rcu_read_unlock();
	if (--bpf_this.depth == 0 && !slots[bpf_this.slot].kept)
		slot_give();
}

void bpf_slot_keep(void)
{
	if (bpf_this.slot < 0 && !slot_take(bpf_this.cancel))
		return;
	slots[bpf_this.slot].kept = true;
}

void bpf_slot_release(void)
{
	if (bpf_this.slot < 0)
		return;
	slots[bpf_this.slot].kept = false;
	if (!bpf_this.depth)
		slot_give();
}

/*
 * __builtin_setjmp() saves three words and lets the compiler keep nothing in registers over the
 * call: a few nanoseconds. The fault handler leaves by the innermost guard. Who holds a lock calls
 * nothing that could run another program, so a lock that is held is the faulting program's.
 */
static void drop_spin_lock(void)
{
	struct bpf_spin_lock *lock = bpf_this.spin_lock;

	bpf_this.spin_lock = NULL;
	if (lock)
		__atomic_store_n(&lock->val, 0, __ATOMIC_RELEASE);
}

u64 bpf_prog_run_counted(struct bpf_prog *prog, const void *ctx)
{
	u64 start = monotonic_ns(), ret = bpf_prog_run(prog, ctx);

	__atomic_fetch_add(&prog->run_time_ns, monotonic_ns() - start, __ATOMIC_RELAXED);
	__atomic_fetch_add(&prog->run_cnt, 1, __ATOMIC_RELAXED);
	return ret;
}

u64 bpf_prog_run_repeat(const struct bpf_prog *prog, const void *ctx, u32 repeat)
{
	const struct bpf_prog *interpreted = bpf_this.interpreted;
	u32 tail_calls = bpf_this.tail_call_cnt;
	void **outer = bpf_this.guard;
	void *guard[5];
	u64 ret;

	if (unlikely(READ_ONCE(prog->poisoned)))
		return 0;
	if (__builtin_setjmp(guard)) {
		drop_spin_lock();
		bpf_this.guard = outer;
		bpf_this.interpreted = interpreted;
		bpf_this.tail_call_cnt = tail_calls;
		return 0;
	}
	bpf_this.guard = guard;
	do
		ret = prog->bpf_func(ctx, prog);
	while (--repeat);
	bpf_this.guard = outer;
	return ret;
}

u64 bpf_prog_run(const struct bpf_prog *prog, const void *ctx)
{
	return bpf_prog_run_repeat(prog, ctx, 1);
}
