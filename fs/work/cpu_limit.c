/*
 * cpu_limit.c - see cpu_limit.h. One lock, under which nothing is taken; the thread that looks
 * starts with the first piece.
 */
#include "fs/work/cpu_limit.h"

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
	struct cpu_limit *all;
	pthread_t thread;
	bool running, stop;
	u32 releases, stuck_looks; /* of slots */
} cpu_limits = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static __thread bool thread_is_low, thread_is_throttled;

static void __lower(struct cpu_limit *p)
{
	p->lowered = true;
	errno = 0;
	p->priority = getpriority(PRIO_PROCESS, (id_t)p->tid);
	if (errno || setpriority(PRIO_PROCESS, (id_t)p->tid, min(p->priority + LOWER_BY, 19)))
		p->priority = INT32_MAX; /* nothing to put back */
}

static void __over(struct cpu_limit *p, enum cpu_limit_over why)
{
	if (p->over)
		return;
	p->over_piece = p->seen;
	__atomic_store_n(&p->over, why, __ATOMIC_RELAXED);
	__atomic_store_n(p->cancel, true, __ATOMIC_RELAXED);
}

static void __look(struct cpu_limit *p, bool stuck)
{
	u32 pieces = __atomic_load_n(&p->pieces, __ATOMIC_RELAXED);
	u64 now = clock_ns(p->clock);

	if (pieces != p->seen || !(pieces & 1)) { /* what it does now began since we looked */
		p->seen = pieces;
		p->begun_ns = now;
		return;
	}
	if (now - p->begun_ns > SHORT_NS && !p->lowered && p->kind != CPU_LIMIT_PACKETS)
		__lower(p);
	if (now - p->begun_ns > p->limit_ns)
		__over(p, CPU_LIMIT_OVER_LIMIT);
	else if (stuck && p->kind == CPU_LIMIT_RUN && now - p->begun_ns > SHORT_NS)
		__over(p, CPU_LIMIT_OVER_OTHERS);
}

/* For a second nobody has given a slot back, and somebody wants one? */
static bool __stuck(void)
{
	cpu_limits.stuck_looks = bpf_slots_stuck(&cpu_limits.releases) ? cpu_limits.stuck_looks + 1
								       : 0;
	return cpu_limits.stuck_looks >= STUCK_LOOKS;
}

static void *cpu_limit_main(void *unused)
{
	pthread_mutex_lock(&cpu_limits.lock);
	while (!cpu_limits.stop) {
		struct timespec ts;
		bool stuck = __stuck();

		for (struct cpu_limit *p = cpu_limits.all; p; p = p->next)
			__look(p, stuck);
		if (!cpu_limits.all) {
			pthread_cond_wait(&cpu_limits.more, &cpu_limits.lock);
			continue;
		}
		pthread_mutex_unlock(&cpu_limits.lock);
		ts = (struct timespec){.tv_nsec = LOOK_NS};
		nanosleep(&ts, NULL);
		pthread_mutex_lock(&cpu_limits.lock);
	}
	pthread_mutex_unlock(&cpu_limits.lock);
	return NULL;
}

void cpu_limit_begin(struct cpu_limit *p, enum cpu_limit_kind kind, u64 limit_ns,
		     volatile bool *cancel)
{
	*p = (struct cpu_limit){
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
	pthread_mutex_lock(&cpu_limits.lock);
	p->next = cpu_limits.all;
	p->pprev = &cpu_limits.all;
	if (p->next)
		p->next->pprev = &p->next;
	cpu_limits.all = p;
	if (!cpu_limits.running && !cpu_limits.stop)
		cpu_limits.running =
			!pthread_create(&cpu_limits.thread, NULL, cpu_limit_main, NULL);
	if (!p->next)
		pthread_cond_signal(&cpu_limits.more);
	pthread_mutex_unlock(&cpu_limits.lock);
}

void cpu_limit_end(struct cpu_limit *p)
{
	pthread_mutex_lock(&cpu_limits.lock);
	*p->pprev = p->next;
	if (p->next)
		p->next->pprev = p->pprev;
	pthread_mutex_unlock(&cpu_limits.lock);
	if (p->lowered && p->priority != INT32_MAX &&
	    setpriority(PRIO_PROCESS, (id_t)p->tid, p->priority))
		thread_is_low = true;
}

bool cpu_limit_pause(struct cpu_limit *p)
{
	bool over;

	cpu_limit_go_on(p);
	if (likely(!__atomic_load_n(&p->over, __ATOMIC_RELAXED)))
		return false;
	pthread_mutex_lock(&cpu_limits.lock);
	over = p->over_piece ==
	       p->pieces - 1; /* not one before, which ended as it was found to be over */
	if (p->kind == CPU_LIMIT_PACKETS) {
		p->over = 0;
		__atomic_store_n(p->cancel, false, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&cpu_limits.lock);
	return over;
}

void cpu_limit_thread_throttle(bool throttle)
{
	int base;

	if (throttle == thread_is_throttled)
		return;
	base = getpriority(PRIO_PROCESS, (id_t)getpid());
	if (!setpriority(PRIO_PROCESS, 0, throttle ? min(base + LOWER_BY, 19) : base))
		thread_is_throttled = throttle;
	else if (!throttle)
		thread_is_low = true;
}

void cpu_limit_thread_begin(void)
{
	thread_is_low = getpriority(PRIO_PROCESS, 0) > getpriority(PRIO_PROCESS, (id_t)getpid());
}

bool cpu_limit_thread_is_low(void)
{
	return thread_is_low;
}

void cpu_limit_stop(void)
{
	bool running;

	pthread_mutex_lock(&cpu_limits.lock);
	cpu_limits.stop = true;
	running = cpu_limits.running;
	pthread_cond_signal(&cpu_limits.more);
	pthread_mutex_unlock(&cpu_limits.lock);
	if (running)
		pthread_join(cpu_limits.thread, NULL);
}
