/*
 * request.h - one request: who asks for what, why it fails, and how it may wait (fuse/deferred.c)
 */
#ifndef UBPFFS_FS_NODE_REQUEST_H
#define UBPFFS_FS_NODE_REQUEST_H

#include <pthread.h>
#include <sys/types.h>
#include "fs/caller/caller.h"
#include "fs/caller/limits.h"
#include "text/error.h"
#include "fs/work/worker.h"
#include "util/types.h"

struct fs_node;
struct fs_job;
struct fs_poller;
struct cpu_limit;

enum job_what {
	JOB_READ,
	JOB_WRITE,
	JOB_FLUSH,
	JOB_SYNC, /* fsync */
	JOB_CLOSED, /* a flush that waits for the disk */
	JOB_RELEASE,
	JOB_IOCTL,
	JOB_ANSWER
}; /* what workers do */

struct fs_req {
	struct fs_cred cred;
	u64 unique; /* the kernel's number of it, with a keeper (keeper/requests.h); 0: none */
	bool again; /* an open of before a takeover: nothing is asked for again */
	volatile bool cancel;
	const char *op; /* "write", for M/log */
	u64 began; /* monotonic_ns(); 0: how long it takes is no measure of the server */
	struct fs_node *node; /* what it is about, for M/log */
	const char *name; /* the name in that directory, or NULL */
	struct error_record error; /* why it fails; goes to M/log when it does */
	bool quiet; /* only trying: what goes wrong needs no reason */
	const struct cpu_limit *cpu_limit; /* long work: whether it was beyond `limit`, or NULL */
	enum limit limit;
};

static inline bool fs_cancelled(const struct fs_req *req)
{
	return __atomic_load_n(&req->cancel, __ATOMIC_RELAXED);
}

/* Requests and poll handles that wait for one thing. Lives as long as the server. */
struct fs_waitq {
	pthread_mutex_t lock;
	struct fs_job *jobs;
	struct fs_poller *pollers;
	u64 seq; /* how often fs_wake() was called */
	int waiting; /* jobs or pollers are there */
	int wake_queued;
	struct worker_job wake;
};

#define FS_WAITQ_INIT                             \
	{                                         \
		.lock = PTHREAD_MUTEX_INITIALIZER \
	}
/*
 * Parked reads are tried again and pollers are notified, from a worker: cheap enough to call from a
 * program.
 */
void fs_wake(struct fs_waitq *waitq);

/*
 * A write of a slow kind that would have to wait calls fs_later(), returns FS_LATER, and is
 * answered by fs_finish(), with what it would have returned, from any thread. Until then requests
 * of the same open wait, and no thread does. cancel(arg) is called, from any thread and more than
 * once, when the caller gives up; not after fs_finish() has returned.
 */
#define FS_LATER (-4096)
void fs_later(struct fs_req *req, void (*cancel)(void *arg), void *arg);
void fs_finish(struct fs_req *req, ssize_t n);

/* The request's record, to be handed down; NULL: nobody asks why. */
static inline struct error_record *fs_why(struct fs_req *req)
{
	return req->quiet ? NULL : &req->error;
}

/*
 * Fill the request's record and return -err; `fmt` says why and what to do. When the request ends
 * with a failure it goes to the caller's M/log.
 */
#define fs_error(req, err, ...) error_set(fs_why(req), err, __VA_ARGS__)
/* For a handler that makes a request of its own (a release): what it says goes to M/log now. */
void fs_error_report(struct fs_req *req);
/*
 * A handler was cancelled: -EINTR; or -EDQUOT, with a sentence, when it was beyond its limit.
 * (fuse/deferred.c)
 */
int fs_cancel_error(struct fs_req *req);

#endif
