/*
 * deferred.h - requests that are not answered in their callback
 *
 * A job is one such request: it runs on a worker (slow kinds), or it sits in a waitq until there is
 * something to read. Jobs of one open run one after the other in order of arrival (open->busy,
 * open->queue); requests of other kinds take open->lock for the time of the handler.
 *
 * Interrupts: libfuse calls job_interrupt() with the request's lock held. Before a job is answered
 * the function is taken off the request, which waits for a call that runs; so a job is never
 * touched after it is freed. A job that is cancelled where it waits (in a waitq, behind others of
 * its open, for a worker) is answered at once. Lock order: the request's lock, node/cancel.c's,
 * then one of waitq->lock, open->queue_lock, worker.c's.
 */
#ifndef UBPFFS_FS_FUSE_DEFERRED_H
#define UBPFFS_FS_FUSE_DEFERRED_H

#include "fs/fuse/fuse.h"
#include "fs/node/cancel.h"

struct fs_job {
	struct worker_job work;
	struct fs_job *next; /* in open->queue or waitq->jobs */
	struct watch watch;
	struct fs_req req; /* holds a node reference */
	fuse_req_t fuse; /* NULL: release, answered already */
	struct fs_open *open;
	enum job_what what;
	bool strand; /* when it has run the next of open->queue begins */
	bool queued; /* in open->queue; under its lock */
	struct fs_waitq *parked; /* in this waitq; under its lock */
	char *buf; /* write, ioctl: the input */
	u64 held; /* bytes of it that are charged */
	size_t size, out_len;
	off_t off;
	const struct fs_command *command; /* ioctl */
	void (*later)(void *arg); /* fs_later(): the caller has given up */
	void *later_arg;
	ssize_t answer; /* JOB_ANSWER: a write's */
};

struct fs_poller {
	struct fs_poller *next;
	struct fs_open *open;
	struct fuse_pollhandle *ph;
};

/* Takes a copy of the request and its own node reference. NULL and errno: ENOMEM, EDQUOT. */
struct fs_job *job_new(fuse_req_t fuse, struct fs_req *req, struct fs_open *open,
		       enum job_what what);
void job_free(struct fs_job *job);
/* Its input, copied. -ENOMEM, -EDQUOT: more than 64 KiB, and its user may keep no more. */
int job_input(struct fs_job *job, const void *data, size_t size, struct error_record *why);
/* To a worker, behind the others of its open. */
void job_start(struct fs_job *job);
/* To a worker, beside the others of its open. */
void job_start_alone(struct fs_job *job);
/* Here and now, or on a worker (work.run). */
void job_run(struct worker_job *work);
/* What libfuse calls for a job's request when its caller is interrupted. */
void job_interrupt(fuse_req_t fuse, void *job);

#endif
