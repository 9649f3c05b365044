/*
 * cpu_limit.h - threads that do what users ask for: nothing takes too long, and long work does not
 * delay short work
 *
 * A thread says when it begins a piece of work (a load, a run) and when it ends. Meanwhile another
 * thread samples the processor time that the piece has had. After a tenth of a second
 * the thread gets a lower priority, so that short requests of others come first; beyond the limit
 * the piece is cancelled.
 *
 * Time is the thread's processor time: what waits, for a processor or for a slot, uses nothing up,
 * and a busy machine makes no limit tighter.
 */
#ifndef UBPFFS_FS_WORK_CPU_LIMIT_H
#define UBPFFS_FS_WORK_CPU_LIMIT_H

#include <sys/types.h>
#include "util/types.h"

#define CPU_LIMIT_NONE UINT64_MAX

enum cpu_limit_kind {
	CPU_LIMIT_VERIFY,
	/* it has a slot: when others get none for a second, it is cancelled before its limit */
	CPU_LIMIT_RUN,
	CPU_LIMIT_PACKETS, /* runs that others wait for: they keep their priority */
};

enum cpu_limit_over {
	CPU_LIMIT_OVER_LIMIT = 1, /* it was beyond its limit, and *cancel was set */
	CPU_LIMIT_OVER_OTHERS, /* others got no slot */
};

struct cpu_limit {
	u32 pieces; /* odd: at work. Written by the thread alone */
	volatile u8 over; /* enum cpu_limit_over; 0: no */

	volatile bool *cancel; /* cpu_limit.c's from here on */
	u64 limit_ns, begun_ns;
	u32 seen, over_piece;
	enum cpu_limit_kind kind;
	bool lowered;
	clockid_t clock;
	pid_t tid;
	int priority;
	struct cpu_limit *next, **pprev;
};

/* On the thread itself. cancel: set to true when it is over. */
void cpu_limit_begin(struct cpu_limit *p, enum cpu_limit_kind kind, u64 limit_ns,
		     volatile bool *cancel);
void cpu_limit_end(struct cpu_limit *p);
/*
 * The priority could not be raised again (only root can), or a thread with a low one has made this
 * thread, which said cpu_limit_thread_begin(): it had better end when it has nothing to do.
 */
void cpu_limit_thread_begin(void);
/* What this thread does next is for a user who is throttled (cpu_usage.h), or is not. */
void cpu_limit_thread_throttle(bool throttle);
bool cpu_limit_thread_is_low(void);

/*
 * For bpf_run_set_group(): a user's runs are a group, but those of root and of who runs the server.
 */
static inline u32 cpu_limit_group(uid_t uid)
{
	return uid && uid != geteuid() ? uid : 0;
}

/*
 * A thread that does many pieces of work (an event each) is at rest between cpu_limit_pause() and
 * cpu_limit_go_on(). pause: was it over within this piece? A thread of CPU_LIMIT_PACKETS then goes
 * on with the next, any other one is to end.
 */
bool cpu_limit_pause(struct cpu_limit *p);

static inline void cpu_limit_go_on(struct cpu_limit *p)
{
	__atomic_store_n(&p->pieces, p->pieces + 1, __ATOMIC_RELAXED);
}

void cpu_limit_stop(void);

/* enum cpu_limit_over, or 0: it was not ended. The watching thread may be writing it. */
static inline u8 cpu_limit_over(const struct cpu_limit *cpu_limit)
{
	return __atomic_load_n(&cpu_limit->over, __ATOMIC_RELAXED);
}

#endif
