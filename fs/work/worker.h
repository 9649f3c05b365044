/*
 * worker.h - threads for what may take long: loads, test runs, waking
 *
 * A job is queued and run once, by one of a bounded number of threads that are made when they are
 * needed. worker_stop() runs what is queued and waits for them.
 *
 * Guarantees
 *   A. Jobs of one user and class begin in the order in which they were queued.
 *   B. Users take turns: between two jobs of one, every other user of the class that waits gets
 *      one.
 *   C. One user has at most WORKER_USER_LONG long jobs running, and so on; so whatever one user
 *      asks for, another one's job finds a thread.
 *   D. Long jobs, and those that wait, leave threads for short ones.
 *   E. A job whose *hurry is true (it was cancelled) begins at once, and counts for no bound.
 *   F. The jobs of a throttled user (work/cpu_usage.h) run at a lower priority, and no more of
 *      his short ones at once than half of the processors.
 * Tests: tests/unit/test_worker.c names each case by its letter.
 */
#ifndef UBPFFS_FS_WORK_WORKER_H
#define UBPFFS_FS_WORK_WORKER_H

#include <stdbool.h>
#include <sys/types.h>

#define WORKER_USER_LONG    2u
#define WORKER_USER_SHORT   8u
#define WORKER_USER_WAITING 8u

enum worker_class {
	WORKER_SHORT,
	WORKER_LONG, /* it may take seconds of processor time */
	WORKER_WAITING, /* it waits for somebody else and computes nothing */
};

struct worker_job {
	void (*run)(struct worker_job *job);
	uid_t uid; /* whose it is */
	enum worker_class class;
	const volatile bool *hurry; /* or NULL */

	struct worker_job *next; /* worker.c's */
	struct worker_queue *queue;
};

void worker_submit(struct worker_job *job);
/*
 * *job->hurry became true. A job that is not queued, or that runs, is left alone; it must not be
 * freed meanwhile.
 */
void worker_hurry(struct worker_job *job);
void worker_stop(void);

#endif
