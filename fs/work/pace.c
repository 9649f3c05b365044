/*
 * pace.c - see pace.h. One lock, under which nothing is taken; the thread that looks starts with
 * the first piece.
 */
#include "fs/work/pace.h"

#include <pthread.h>
#include <sys/resource.h>
#include <time.h>
#include "run/run.h"
#include "util/clock.h"

#define LOOK_NS	    (50 * 1000000L)
#define SHORT_NS    (100 * 1000000ULL)
#define LOWER_BY    10
#define STUCK_LOOKS 20

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct pace *all;
	pthread_t thread;
	bool running, stop;
	u32 releases, stuck_looks; /* of slots */
} paces = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static __thread bool thread_is_low, thread_is_back;

static void __lower(struct pace *p)
{
	p->lowered = true;
	errno = 0;
	p->priority = getpriority(PRIO_PROCESS, (id_t)p->tid);
	if (errno || setpriority(PRIO_PROCESS, (id_t)p->tid, min(p->priority + LOWER_BY, 19)))
		p->priority = INT32_MAX; /* nothing to put back */
}

static void __over(struct pace *p, enum pace_over why)
{
	if (p->over)
		return;
	p->over_piece = p->seen;
	__atomic_store_n(&p->over, why, __ATOMIC_RELAXED);
	__atomic_store_n(p->cancel, true, __ATOMIC_RELAXED);
}

static void __look(struct pace *p, bool stuck)
{
	u32 pieces = __atomic_load_n(&p->pieces, __ATOMIC_RELAXED);
	u64 now = clock_ns(p->clock);

	if (pieces != p->seen || !(pieces & 1)) { /* what it does now began since we looked */
		p->seen = pieces;
		p->begun_ns = now;
		return;
	}
	if (now - p->begun_ns > SHORT_NS && !p->lowered && p->kind != PACE_PACKETS)
		__lower(p);
	if (now - p->begun_ns > p->limit_ns)
		__over(p, PACE_OVER_LIMIT);
	else if (stuck && p->kind == PACE_RUN && now - p->begun_ns > SHORT_NS)
		__over(p, PACE_OVER_OTHERS);
}

/* For a second nobody has given a slot back, and somebody wants one? */
static bool __stuck(void)
{
	paces.stuck_looks = bpf_slots_stuck(&paces.releases) ? paces.stuck_looks + 1 : 0;
	return paces.stuck_looks >= STUCK_LOOKS;
}

static void *pace_main(void *unused)
{
	pthread_mutex_lock(&paces.lock);
	while (!paces.stop) {
		struct timespec ts;
		bool stuck = __stuck();

		for (struct pace *p = paces.all; p; p = p->next)
			__look(p, stuck);
		if (!paces.all) {
			pthread_cond_wait(&paces.more, &paces.lock);
			continue;
		}
		pthread_mutex_unlock(&paces.lock);
		ts = (struct timespec){.tv_nsec = LOOK_NS};
		nanosleep(&ts, NULL);
		pthread_mutex_lock(&paces.lock);
	}
	pthread_mutex_unlock(&paces.lock);
	return NULL;
}

void pace_begin(struct pace *p, enum pace_kind kind, u64 limit_ns, volatile bool *cancel)
{
	*p = (struct pace){
		.cancel = cancel,
		.limit_ns = limit_ns,
		.kind = kind,
		.pieces = 1,
		.seen = 1,
		.tid = gettid(),
		.begun_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID),
	};
	if (pthread_getcpuclockid(pthread_self(), &p->clock))
		p->clock = CLOCK_THREAD_CPUTIME_ID;
	pthread_mutex_lock(&paces.lock);
	p->next = paces.all;
	p->pprev = &paces.all;
	if (p->next)
		p->next->pprev = &p->next;
	paces.all = p;
	if (!paces.running && !paces.stop)
		paces.running = !pthread_create(&paces.thread, NULL, pace_main, NULL);
	if (!p->next)
		pthread_cond_signal(&paces.more);
	pthread_mutex_unlock(&paces.lock);
}

void pace_end(struct pace *p)
{
	pthread_mutex_lock(&paces.lock);
	*p->pprev = p->next;
	if (p->next)
		p->next->pprev = p->pprev;
	pthread_mutex_unlock(&paces.lock);
	if (p->lowered && p->priority != INT32_MAX &&
	    setpriority(PRIO_PROCESS, (id_t)p->tid, p->priority))
		thread_is_low = true;
}

bool pace_pause(struct pace *p)
{
	bool over;

	pace_go_on(p);
	if (likely(!__atomic_load_n(&p->over, __ATOMIC_RELAXED)))
		return false;
	pthread_mutex_lock(&paces.lock);
	over = p->over_piece ==
	       p->pieces - 1; /* not one before, which ended as it was found to be over */
	if (p->kind == PACE_PACKETS) {
		p->over = 0;
		__atomic_store_n(p->cancel, false, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&paces.lock);
	return over;
}

void pace_thread_step_back(bool back)
{
	int base;

	if (back == thread_is_back)
		return;
	base = getpriority(PRIO_PROCESS, (id_t)getpid());
	if (!setpriority(PRIO_PROCESS, 0, back ? min(base + LOWER_BY, 19) : base))
		thread_is_back = back;
	else if (!back)
		thread_is_low = true;
}

void pace_thread_begin(void)
{
	thread_is_low = getpriority(PRIO_PROCESS, 0) > getpriority(PRIO_PROCESS, (id_t)getpid());
}

bool pace_thread_is_low(void)
{
	return thread_is_low;
}

void pace_stop(void)
{
	bool running;

	pthread_mutex_lock(&paces.lock);
	paces.stop = true;
	running = paces.running;
	pthread_cond_signal(&paces.more);
	pthread_mutex_unlock(&paces.lock);
	if (running)
		pthread_join(paces.thread, NULL);
}
