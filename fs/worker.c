/*
 * worker.c - the pool: a queue, a mutex, a condition, threads on demand
 *
 * The bound is on threads, not on jobs: a caller that is parked costs a request, not a thread. Two threads
 * more than CPUs, so that two long loads do not keep a short one waiting.
 */
#include "fs/worker.h"

#include <pthread.h>
#include <signal.h>
#include "core/types.h"

#define WORKER_MAX 64

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct worker_job *head, **tail;
	pthread_t threads[WORKER_MAX];
	u32 count, idle, limit;
	bool stop;
} pool = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.more = PTHREAD_COND_INITIALIZER,
	.tail = &pool.head,
};

static void *worker_main(void *unused)
{
	pthread_mutex_lock(&pool.lock);
	for (;;) {
		struct worker_job *job = pool.head;

		if (job) {
			pool.head = job->next;
			if (!pool.head)
				pool.tail = &pool.head;
			pthread_mutex_unlock(&pool.lock);
			job->run(job);
			pthread_mutex_lock(&pool.lock);
			continue;
		}
		if (pool.stop)
			break;
		pool.idle++;
		pthread_cond_wait(&pool.more, &pool.lock);
		pool.idle--;
	}
	pthread_mutex_unlock(&pool.lock);
	return NULL;
}

/* Signals are for the main thread; faults of native code are the worker's own (blocked, they would end the server). */
static void __worker_add(void)
{
	sigset_t all, old;

	if (!pool.limit) {
		long cpus = sysconf(_SC_NPROCESSORS_ONLN);

		pool.limit = cpus < 2 ? 4 : cpus + 2 > WORKER_MAX ? WORKER_MAX : cpus + 2;
	}
	if (pool.count >= pool.limit)
		return;
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (!pthread_create(&pool.threads[pool.count], NULL, worker_main, NULL))
		pool.count++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void worker_submit(struct worker_job *job)
{
	bool alone;

	job->next = NULL;
	pthread_mutex_lock(&pool.lock);
	*pool.tail = job;
	pool.tail = &job->next;
	if (!pool.idle)
		__worker_add();
	alone = !pool.count; /* no thread could ever be made: do it here rather than never */
	if (alone) {
		pool.head = NULL;
		pool.tail = &pool.head;
	}
	pthread_cond_signal(&pool.more);
	pthread_mutex_unlock(&pool.lock);
	if (alone)
		job->run(job);
}

/* ---- jobs that wait */

struct waiter {
	struct worker_job *job;
	struct waiter *next;
	pthread_t thread;
	bool done;
};

static struct {
	pthread_mutex_t lock;
	struct waiter *all;
} waiters = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *waiter_main(void *arg)
{
	struct waiter *w = arg;

	w->job->run(w->job);
	pthread_mutex_lock(&waiters.lock);
	w->done = true;
	pthread_mutex_unlock(&waiters.lock);
	return NULL;
}

/* Those that have ended; all: every one, and the others are waited for. */
static void waiters_join(bool all)
{
	struct waiter **p = &waiters.all, *w, *ended = NULL;

	pthread_mutex_lock(&waiters.lock);
	while ((w = *p)) {
		if (w->done || all) {
			*p = w->next;
			w->next = ended;
			ended = w;
		} else {
			p = &w->next;
		}
	}
	pthread_mutex_unlock(&waiters.lock);
	while ((w = ended)) {
		ended = w->next;
		pthread_join(w->thread, NULL);
		free(w);
	}
}

void worker_submit_waiting(struct worker_job *job)
{
	struct waiter *w = calloc(1, sizeof(*w));
	sigset_t all, old;
	int err = ENOMEM;

	waiters_join(false);
	if (w) {
		w->job = job;
		sigfillset(&all);
		pthread_mutex_lock(&waiters.lock);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		err = pthread_create(&w->thread, NULL, waiter_main, w);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		if (!err) {
			w->next = waiters.all;
			waiters.all = w;
		}
		pthread_mutex_unlock(&waiters.lock);
	}
	if (err) {
		free(w);
		worker_submit(job);
	}
}

/* ---- */

void worker_stop(void)
{
	waiters_join(true); /* what they wait for is cancelled */
	pthread_mutex_lock(&pool.lock);
	pool.stop = true;
	pthread_cond_broadcast(&pool.more);
	/* A job that still runs may submit another, and that make a thread: before its own thread ends. */
	for (u32 i = 0; i < pool.count; i++) {
		pthread_t thread = pool.threads[i];

		pthread_mutex_unlock(&pool.lock);
		pthread_join(thread, NULL);
		pthread_mutex_lock(&pool.lock);
	}
	pthread_mutex_unlock(&pool.lock);
	waiters_join(true); /* that one of the last jobs began */
}
