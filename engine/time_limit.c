/*
 * time_limit.c - see time_limit.h
 *
 * `lock` guards the list and the thread's life. The thread leaves when the list is empty, so that a
 * process that forks, or unloads the library, has none in its way.
 */
#include <pthread.h>
#include <time.h>
#include <unistd.h>
#include "time_limit.h"
#include "util/clock.h"

#define LOOK_NS 5000000ULL /* from one look at callers' flags to the next */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed; /* a limit was added; on CLOCK_MONOTONIC */
static struct bpf_time_limit *limits;
static bool running;
static pid_t runs_in; /* a child that was forked has no such thread */

/* Sets the flags that are due; when to look again, 0: there are no limits. */
static u64 look(u64 now)
{
	u64 next = 0;

	for (struct bpf_time_limit *l = limits; l; l = l->next) {
		u64 at = l->end;

		if (l->stop)
			continue;
		if (now >= l->end)
			l->over = true;
		if (l->over || (l->cancel && __atomic_load_n(l->cancel, __ATOMIC_RELAXED))) {
			__atomic_store_n(&l->stop, true, __ATOMIC_RELAXED);
			continue;
		}
		if (l->cancel)
			at = min(at, now + LOOK_NS);
		next = next ? min(next, at) : at;
	}
	return next ? next : limits ? now + 1000 * LOOK_NS : 0;
}

static void *watch(void *unused)
{
	u64 next;

	pthread_mutex_lock(&lock);
	while ((next = look(monotonic_ns()))) {
		struct timespec ts = {.tv_sec = (time_t)(next / 1000000000),
				      .tv_nsec = (long)(next % 1000000000)};

		pthread_cond_timedwait(&changed, &lock, &ts);
	}
	running = false;
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void init_cond(void)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&changed, &attr);
	pthread_condattr_destroy(&attr);
}

static bool start_thread(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_attr_t attr;
	pthread_t thread;

	pthread_once(&once, init_cond);
	if (running && runs_in == getpid())
		return true;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	running = !pthread_create(&thread, &attr, watch, NULL);
	runs_in = getpid();
	pthread_attr_destroy(&attr);
	return running;
}

int bpf_time_limit_begin(struct bpf_time_limit *limit, const volatile bool *cancel, u64 ns,
			 const volatile bool **flag)
{
	bool ok;

	*limit = (struct bpf_time_limit){.cancel = cancel};
	*flag = cancel;
	if (!ns)
		return 0;
	limit->end = monotonic_ns() + min(ns, (u64)INT64_MAX / 2);
	*flag = &limit->stop;
	pthread_mutex_lock(&lock);
	ok = start_thread();
	if (ok) {
		limit->next = limits;
		limits = limit;
		pthread_cond_signal(&changed);
	}
	pthread_mutex_unlock(&lock);
	return ok ? 0 : -EAGAIN;
}

int bpf_time_limit_end(struct bpf_time_limit *limit, int err)
{
	struct bpf_time_limit **p;

	if (!limit->end)
		return err;
	pthread_mutex_lock(&lock);
	for (p = &limits; *p != limit; p = &(*p)->next)
		;
	*p = limit->next;
	if (!limits)
		pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
	return err == -EINTR && limit->over ? -ETIMEDOUT : err;
}
