/*
 * thread.h - the thread that takes what waits in the queues' socket, and answers
 *
 * A burst of messages is a run section with a kept slot; while the thread waits it has none.
 */
#ifndef UBPFFS_FS_ENFORCE_QUEUE_THREAD_H
#define UBPFFS_FS_ENFORCE_QUEUE_THREAD_H

#include "fs/enforce/queue/decide.h"
#include "fs/enforce/queue/config.h"

struct queue_thread {
	struct queue_config *config;
	struct decider *decider;
	struct cpu_limit cpu_limit;
	volatile bool run_over;
	bool stopping, running;
	pthread_t thread;
};

int queue_thread_start(struct queue_thread *t, struct queue_config *config,
		       struct decider *decider);
/* Waits for its end; nothing, if it was not started. */
void queue_thread_stop(struct queue_thread *t);

#endif
