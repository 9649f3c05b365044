/*
 * worker.c - the pool: a queue for each user and class, one mutex, threads on demand (see worker.h)
 *
 * The bound is on threads, not on jobs: a caller that is parked costs a request, not a thread. A
 * queue is made with a user's first job and freed when nothing of its user waits or runs; those
 * that have jobs waiting are in a ring, which turns by one for each job that begins.
 */
#include "fs/work/worker.h"

#include <pthread.h>
#include <unistd.h>
#include "util/types.h"
#include "fs/lib/thread_signals.h"
#include "fs/work/cpu_limit.h"
#include "fs/work/cpu_usage.h"
#include "util/clock.h"

#define WORKER_MAX 128u

/* How many may run: of one user, of all. */
static const struct {
	u32 user, all;
} bounds[] = {
	[WORKER_SHORT] = {WORKER_USER_SHORT, WORKER_MAX},
	[WORKER_LONG] = {WORKER_USER_LONG, 32},
	[WORKER_WAITING] = {WORKER_USER_WAITING, 64},
};

struct worker_queue {
	uid_t uid;
	enum worker_class class;
	u32 running;
	struct worker_job *head, **tail;
	struct worker_queue *next; /* in pool.queues */
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more, ended;
	struct worker_job *urgent,
		**urgent_tail; /* guarantee E, and what there was no memory for */
	struct worker_queue *queues; /* the next one's turn first */
	u32 count, idle, called; /* threads; those that sleep; those of them that are being woken */
	u32 running[ARRAY_SIZE(bounds)]; /* by class */
	bool stop;
} pool = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.more = PTHREAD_COND_INITIALIZER,
	.ended = PTHREAD_COND_INITIALIZER,
	.urgent_tail = &pool.urgent,
};

/* Half of the processors: throttled users leave the rest to others. */
static u32 short_jobs_throttled(void)
{
	static u32 count;
	u32 n = __atomic_load_n(&count, __ATOMIC_RELAXED);

	if (!n) {
		n = (u32)max(sysconf(_SC_NPROCESSORS_ONLN) / 2, 1L);
		n = min(n, WORKER_USER_SHORT);
		__atomic_store_n(&count, n, __ATOMIC_RELAXED);
	}
	return n;
}

static bool may_begin(const struct worker_queue *q)
{
	u32 user = bounds[q->class].user;

	if (!q->head || pool.running[q->class] >= bounds[q->class].all)
		return false;
	if (q->class == WORKER_SHORT && q->running && cpu_usage_counts(q->uid) &&
	    cpu_usage_is_over(q->uid))
		user = short_jobs_throttled();
	return q->running < user;
}

/* Short jobs come first: they do not take long. */
static struct worker_queue *__whose_turn(void)
{
	struct worker_queue *turn = NULL;

	for (struct worker_queue *q = pool.queues; q; q = q->next) {
		if (!may_begin(q))
			continue;
		if (q->class == WORKER_SHORT)
			return q;
		if (!turn)
			turn = q;
	}
	return turn;
}

static void __queue_unlink(struct worker_queue *q)
{
	struct worker_queue **p = &pool.queues;

	while (*p != q)
		p = &(*p)->next;
	*p = q->next;
}

/* To the end of the ring; or away, when there is nothing left of it. */
static void __queue_turned(struct worker_queue *q)
{
	struct worker_queue **p = &pool.queues;

	__queue_unlink(q);
	if (!q->head && !q->running) {
		free(q);
		return;
	}
	while (*p)
		p = &(*p)->next;
	q->next = NULL;
	*p = q;
}

static struct worker_queue *__queue_of(uid_t uid, enum worker_class class)
{
	struct worker_queue *q = pool.queues, **end = &pool.queues;

	for (; q; end = &q->next, q = q->next)
		if (q->uid == uid && q->class == class)
			return q;
	q = calloc(1, sizeof(*q));
	if (!q)
		return NULL;
	q->uid = uid;
	q->class = class;
	q->tail = &q->head;
	*end = q;
	return q;
}

/* The next job to run, counted; NULL: none may begin. */
static struct worker_job *__take(void)
{
	struct worker_job *job = pool.urgent;
	struct worker_queue *q;

	if (job) {
		pool.urgent = job->next;
		if (!pool.urgent)
			pool.urgent_tail = &pool.urgent;
		return job;
	}
	q = __whose_turn();
	if (!q)
		return NULL;
	job = q->head;
	q->head = job->next;
	if (!q->head)
		q->tail = &q->head;
	q->running++;
	pool.running[q->class]++;
	__queue_turned(q);
	return job;
}

static void __done(struct worker_queue *q)
{
	if (!q)
		return;
	q->running--;
	pool.running[q->class]--;
	if (!q->head && !q->running)
		__queue_turned(q);
}

static void __run(struct worker_job *job)
{
	struct worker_queue *q = job->queue;
	uid_t uid = job->uid;
	bool counts = q && cpu_usage_counts(uid), throttle = counts && cpu_usage_is_over(uid);
	u64 begun = 0;

	job->queue = NULL;
	pthread_mutex_unlock(&pool.lock);
	cpu_limit_thread_throttle(throttle);
	if (counts)
		begun = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	job->run(job);
	if (counts)
		cpu_usage_add(uid, clock_ns(CLOCK_THREAD_CPUTIME_ID) - begun);
	pthread_mutex_lock(&pool.lock);
	__done(q);
}

static void *worker_main(void *unused)
{
	cpu_limit_thread_begin();
	pthread_mutex_lock(&pool.lock);
	for (;;) {
		struct worker_job *job = __take();

		if (job) {
			__run(job);
			continue;
		}
		if (pool.stop || cpu_limit_thread_is_low())
			break;
		pool.idle++;
		while (!pool.called && !pool.stop)
			pthread_cond_wait(&pool.more, &pool.lock);
		if (pool.called)
			pool.called--;
		pool.idle--;
	}
	pool.count--;
	pthread_cond_broadcast(&pool.ended);
	pthread_mutex_unlock(&pool.lock);
	return NULL;
}

static bool __worker_add(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t old;
	bool made;

	if (pool.count >= WORKER_MAX || pthread_attr_init(&attr))
		return false;
	thread_signals(&old);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	made = !pthread_create(&thread, &attr, worker_main, NULL);
	pool.count += made;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return made;
}

/* Somebody for one more job that may begin. */
static void __call(void)
{
	if (pool.idle > pool.called) {
		pool.called++;
		pthread_cond_signal(&pool.more);
	} else {
		__worker_add();
	}
}

static void __add_urgent(struct worker_job *job)
{
	job->queue = NULL;
	job->next = NULL;
	*pool.urgent_tail = job;
	pool.urgent_tail = &job->next;
	__call();
}

void worker_submit(struct worker_job *job)
{
	struct worker_queue *q = NULL;

	pthread_mutex_lock(&pool.lock);
	if (!job->hurry || !__atomic_load_n(job->hurry, __ATOMIC_RELAXED))
		q = __queue_of(job->uid, job->class);
	if (q) {
		job->queue = q;
		job->next = NULL;
		*q->tail = job;
		q->tail = &job->next;
		if (may_begin(q))
			__call();
	} else {
		__add_urgent(job);
	}
	job = pool.count ? NULL
			 : __take(); /* no thread could ever be made: here rather than never */
	if (job) {
		q = job->queue;
		job->queue = NULL;
	}
	pthread_mutex_unlock(&pool.lock);
	if (!job)
		return;
	job->run(job);
	pthread_mutex_lock(&pool.lock);
	__done(q);
	pthread_mutex_unlock(&pool.lock);
}

void worker_hurry(struct worker_job *job)
{
	struct worker_job **p;
	struct worker_queue *q;

	pthread_mutex_lock(&pool.lock);
	q = job->queue;
	if (q) {
		for (p = &q->head; *p != job; p = &(*p)->next)
			;
		*p = job->next;
		if (!*p)
			q->tail = p;
		if (!q->head && !q->running)
			__queue_turned(q);
		__add_urgent(job);
	}
	pthread_mutex_unlock(&pool.lock);
}

void worker_stop(void)
{
	pthread_mutex_lock(&pool.lock);
	pool.stop = true;
	pthread_cond_broadcast(&pool.more);
	/* A job that still runs may submit another, and that make a thread. */
	while (pool.count)
		pthread_cond_wait(&pool.ended, &pool.lock);
	pthread_mutex_unlock(&pool.lock);
}
