/*
 * pace.h - threads that do what users ask for: nothing takes too long, and nothing long is in the
 * way of the short
 *
 * A thread says when it begins a piece of work (a load, a run) and when it ends. Meanwhile another
 * thread looks now and then at the processor time that the piece has had. After a tenth of a second
 * the thread gets a lower priority, so that short requests of others come first; beyond the limit
 * the piece is cancelled.
 *
 * Time is the thread's processor time: what waits, for a processor or for a slot, uses nothing up,
 * and a busy machine makes no limit tighter.
 */
#ifndef UBPFFS_FS_WORK_PACE_H
#define UBPFFS_FS_WORK_PACE_H

#include <sys/types.h>
#include "util/types.h"

#define PACE_NO_LIMIT UINT64_MAX

enum pace_kind {
	PACE_VERIFY,
	/* it has a slot: when others get none for a second, it is cancelled before its limit */
	PACE_RUN,
	PACE_PACKETS, /* runs that others wait for: they keep their priority */
};

enum pace_over {
	PACE_OVER_LIMIT = 1, /* it was beyond its limit, and *cancel was set */
	PACE_OVER_OTHERS, /* others got no slot */
};

struct pace {
	u32 pieces; /* odd: at work. Written by the thread alone */
	volatile u8 over; /* enum pace_over; 0: no */

	volatile bool *cancel; /* pace.c's from here on */
	u64 limit_ns, begun_ns;
	u32 seen, over_piece;
	enum pace_kind kind;
	bool lowered;
	clockid_t clock;
	pid_t tid;
	int priority;
	struct pace *next, **pprev;
};

/* On the thread itself. cancel: set to true when it is over. */
void pace_begin(struct pace *p, enum pace_kind kind, u64 limit_ns, volatile bool *cancel);
void pace_end(struct pace *p);
/*
 * The priority could not be raised again (only root can), or a thread with a low one has made this
 * thread, which said pace_thread_begin(): it had better end when it has nothing to do.
 */
void pace_thread_begin(void);
/* What this thread does next is of somebody who had much already, or not. */
void pace_thread_step_back(bool back);
bool pace_thread_is_low(void);

/*
 * For bpf_run_set_group(): a user's runs are a group, but those of root and of who runs the server.
 */
static inline u32 pace_group(uid_t uid)
{
	return uid && uid != geteuid() ? uid : 0;
}

/*
 * A thread that does many pieces of work (an event each) is at rest between pace_pause() and
 * pace_go_on(). pause: was it over within this piece? A thread of PACE_PACKETS then goes on with
 * the next, any other one is to end.
 */
bool pace_pause(struct pace *p);

static inline void pace_go_on(struct pace *p)
{
	__atomic_store_n(&p->pieces, p->pieces + 1, __ATOMIC_RELAXED);
}

void pace_stop(void);

/* enum pace_over, or 0: it was not ended. The watching thread may be writing it. */
static inline u8 pace_over(const struct pace *pace)
{
	return __atomic_load_n(&pace->over, __ATOMIC_RELAXED);
}

#endif
