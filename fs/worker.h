/*
 * worker.h - threads for what may take long: loads, test runs, waking
 *
 * A job is queued and run once, in order of queueing, by one of a bounded number of threads that are made when
 * they are needed. worker_stop() runs what is queued and joins them.
 */
#ifndef UBPFFS_FS_WORKER_H
#define UBPFFS_FS_WORKER_H

struct worker_job {
	void (*run)(struct worker_job *job);
	struct worker_job *next;
};

void worker_submit(struct worker_job *job);
/* A job that waits for somebody else and computes nothing: on a thread of its own, so that it keeps no other waiting. */
void worker_submit_waiting(struct worker_job *job);
void worker_stop(void);

#endif
