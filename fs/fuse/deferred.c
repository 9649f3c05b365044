/*
 * deferred.c - jobs run, park in a waitq, and are woken (see fuse/deferred.h)
 */
#include "fs/fuse/deferred.h"
#include "fs/fuse/protocol/current.h"
#include "fs/fuse/open.h"
#include "fs/caller/limits.h"
#include "fs/node/backing.h"
#include "fs/lib/metrics.h"
#include "fs/work/cpu_limit.h"
#include "run/run.h"

#define INPUT_ANYWAY (64u << 10) /* who is at his limit can still clean up */

/* ---- waiting */

/* Take a job out of the queue it waits in; false when somebody else has. */
static bool waitq_take(struct fs_job *job, struct fs_waitq *waitq)
{
	struct fs_job **p;
	bool taken;

	pthread_mutex_lock(&waitq->lock);
	taken = job->parked == waitq;
	if (taken) {
		for (p = &waitq->jobs; *p != job; p = &(*p)->next)
			;
		*p = job->next;
		job->parked = NULL;
	}
	pthread_mutex_unlock(&waitq->lock);
	return taken;
}

/* Either this sees the function, or fs_later() that the request is cancelled. */
static void job_cancel_later(struct fs_job *job)
{
	void (*later)(void *) = NULL;

	/* A write of NULL over NULL: it orders what was written before against the next writer. */
	__atomic_compare_exchange_n(&job->later, &later, NULL, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
	if (later)
		later(job->later_arg);
}

/* Out of the queue of its open; false when it is not there. */
static bool strand_take(struct fs_job *job)
{
	struct fs_open *open = job->open;
	struct fs_job **p = &open->queue;
	bool taken;

	pthread_mutex_lock(&open->queue_lock);
	taken = job->queued;
	if (taken) {
		while (*p != job)
			p = &(*p)->next;
		*p = job->next;
		if (!*p)
			open->queue_tail = p;
		job->queued = job->strand = false;
	}
	pthread_mutex_unlock(&open->queue_lock);
	return taken;
}

/* It need not wait any more: it runs, and finds out that it was cancelled. */
static void job_cancelled(struct watch *watch)
{
	struct fs_job *job = container_of(watch, struct fs_job, watch);
	struct fs_waitq *waitq = job->open->waitq;

	job_cancel_later(job);
	if (waitq && waitq_take(job, waitq)) {
		fs_uncount(parked);
		worker_submit(&job->work);
	} else if (strand_take(job)) {
		worker_submit(&job->work);
	} else {
		worker_hurry(&job->work);
	}
}

void job_interrupt(fuse_req_t fuse, void *data)
{
	struct fs_job *job = data;

	if (job->open->node->ops->cancel_on_kill_only)
		watch_killed(&job->watch);
	else
		watch_cancel(&job->watch);
}

/* False: something has happened since `seq`, try again. */
static bool waitq_park(struct fs_job *job, struct fs_waitq *waitq, u64 seq)
{
	bool park;

	pthread_mutex_lock(&waitq->lock);
	__atomic_store_n(&waitq->waiting, 1, __ATOMIC_SEQ_CST);
	park = __atomic_load_n(&waitq->seq, __ATOMIC_SEQ_CST) == seq && !fs_cancelled(&job->req);
	if (park) {
		job->parked = waitq;
		job->req.began = 0;
		job->next = waitq->jobs;
		waitq->jobs = job;
		fs_count(parked);
	}
	pthread_mutex_unlock(&waitq->lock);
	return park;
}

static void waitq_wake(struct worker_job *work)
{
	struct fs_waitq *waitq = container_of(work, struct fs_waitq, wake);
	struct fs_job *jobs, *next;
	struct fs_poller *pollers, *poller;

	__atomic_store_n(&waitq->wake_queued, 0, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&waitq->lock);
	jobs = waitq->jobs;
	pollers = waitq->pollers;
	waitq->jobs = NULL;
	waitq->pollers = NULL;
	__atomic_store_n(&waitq->waiting, 0, __ATOMIC_SEQ_CST);
	for (struct fs_job *job = jobs; job; job = job->next) {
		job->parked = NULL;
		fs_uncount(parked);
	}
	pthread_mutex_unlock(&waitq->lock);
	for (; jobs; jobs = next) {
		next = jobs->next;
		job_run(&jobs->work);
	}
	while ((poller = pollers)) {
		pollers = poller->next;
		fuse_lowlevel_notify_poll(poller->ph);
		fuse_pollhandle_destroy(poller->ph);
		free(poller);
	}
}

void fs_wake(struct fs_waitq *waitq)
{
	__atomic_fetch_add(&waitq->seq, 1, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&waitq->waiting, __ATOMIC_SEQ_CST) ||
	    __atomic_exchange_n(&waitq->wake_queued, 1, __ATOMIC_SEQ_CST))
		return;
	waitq->wake.run = waitq_wake;
	worker_submit(&waitq->wake);
}

/* ---- jobs */

struct fs_job *job_new(fuse_req_t fuse, struct fs_req *req, struct fs_open *open,
		       enum job_what what)
{
	struct fs_job *job;

	/* A close or a release cannot be refused: files are bounded. */
	if (what == JOB_FLUSH || what == JOB_RELEASE || what == JOB_CLOSED)
		limits_charge_anyway(req->cred.uid, LIMIT_JOBS, 1);
	else if ((errno = -limits_charge(req->cred.uid, LIMIT_JOBS, 1, fs_why(req))))
		return NULL;
	job = calloc(1, sizeof(*job));
	if (!job) {
		limits_uncharge(req->cred.uid, LIMIT_JOBS, 1);
		errno = ENOMEM;
		return NULL;
	}
	job->work.run = job_run;
	job->fuse = fuse;
	job->req = *req;
	job->req.name = NULL;
	req->began = 0; /* it ends with the job */
	job->open = open;
	job->what = what;
	if (req->node)
		fs_node_get(req->node);
	job->work.uid = req->cred.uid;
	job->work.hurry = &job->req.cancel;
	watch_add(&job->watch, &job->req, what == JOB_RELEASE ? NULL : job_cancelled);
	return job;
}

int job_input(struct fs_job *job, const void *data, size_t size, struct error_record *why)
{
	int err = 0;

	if (size <= INPUT_ANYWAY)
		limits_charge_anyway(job->work.uid, LIMIT_MEMORY, size);
	else
		err = limits_charge(job->work.uid, LIMIT_MEMORY, size, why);
	if (err)
		return err;
	job->held = size;
	job->buf = malloc(size ? size : 1);
	if (!job->buf)
		return -ENOMEM;
	job->size = size;
	if (size)
		memcpy(job->buf, data, size);
	return 0;
}

void job_free(struct fs_job *job)
{
	watch_remove(&job->watch);
	limits_uncharge(job->req.cred.uid, LIMIT_JOBS, 1);
	limits_uncharge(job->work.uid, LIMIT_MEMORY, job->held);
	fs_count_latency(job->req.op, job->req.began);
	fs_node_put(job->req.node);
	error_clear(&job->req.error);
	free(job->buf);
	free(job);
}

/* Nobody touches the job through the request from here on. */
static void job_end_interrupts(struct fs_job *job)
{
	fuse_req_interrupt_func(job->fuse, NULL, NULL);
	watch_remove(&job->watch);
}

static void job_ioctl(struct fs_job *job)
{
	char *out = calloc(1, job->out_len ? job->out_len : 1);
	size_t out_len = job->out_len;
	int result = -ENOMEM;

	if (fs_cancelled(&job->req)) {
		result = -EINTR;
		job->out_len = 0;
	} else if (out)
		result = job->open->node->ops->ioctl(job->open, &job->req, job->command, job->buf,
						     job->size, out, &out_len);
	WRITE_ONCE(job->open->changed, true);
	fs_open_keep(job->open, &job->req);
	result = (int)fs_fuse_settle(&job->req, result);
	job_end_interrupts(job);
	fs_error_report(&job->req);
	if (!out)
		fuse_reply_err(job->fuse, ENOMEM);
	else
		fuse_reply_ioctl(job->fuse, result, out, min(out_len, job->out_len));
	free(out);
}

/* True when it was answered, false when it waits again. */
static bool job_read(struct fs_job *job)
{
	struct fs_open *open = job->open;
	struct fs_waitq *waitq = open->waitq;
	char *buf = malloc(job->size ? job->size : 1);
	ssize_t n;
	u64 seq;

	do {
		seq = waitq ? __atomic_load_n(&waitq->seq, __ATOMIC_SEQ_CST) : 0;
		if (fs_cancelled(&job->req))
			n = -EINTR;
		else if (!buf)
			n = -ENOMEM;
		else {
			pthread_mutex_lock(&open->lock);
			n = fs_open_read(open, &job->req, buf, job->size, job->off);
			pthread_mutex_unlock(&open->lock);
		}
		if (n == -EAGAIN && fs_open_may_wait(open) && waitq_park(job, waitq, seq)) {
			free(buf);
			return false;
		}
	} while (n == -EAGAIN && fs_open_may_wait(open));
	n = fs_fuse_settle(&job->req, n);
	job_end_interrupts(job);
	if (n < 0)
		fuse_reply_err(job->fuse, fs_fuse_error(&job->req, n));
	else
		fuse_reply_buf(job->fuse, buf, n);
	free(buf);
	return true;
}

static void job_answer(struct fs_job *job)
{
	if (job->answer < 0)
		fuse_reply_err(job->fuse, fs_fuse_error(&job->req, job->answer));
	else
		fuse_reply_write(job->fuse, job->answer);
}

/* False: it is answered later, and is not this thread's any more. */
static bool job_write(struct fs_job *job)
{
	struct fs_open *open = job->open;
	ssize_t n = -EINTR;

	if (!fs_cancelled(&job->req)) {
		pthread_mutex_lock(&open->lock);
		n = fs_open_write(open, &job->req, job->buf, job->size, job->off);
		pthread_mutex_unlock(&open->lock);
	}
	if (n == FS_LATER)
		return false;
	n = fs_fuse_settle(&job->req, n);
	job_end_interrupts(job);
	job->answer = n;
	job_answer(job);
	return true;
}

void fs_later(struct fs_req *req, void (*cancel)(void *arg), void *arg)
{
	struct fs_job *job = container_of(req, struct fs_job, req);

	job->later_arg = arg;
	(void)__atomic_exchange_n(&job->later, cancel, __ATOMIC_SEQ_CST);
	if (fs_cancelled(req))
		cancel(arg);
}

void fs_finish(struct fs_req *req, ssize_t n)
{
	struct fs_job *job = container_of(req, struct fs_job, req);

	n = fs_fuse_settle(req, n);
	job_end_interrupts(job);
	job->what = JOB_ANSWER;
	job->answer = n;
	worker_submit(&job->work);
}

static int sync_closed(struct fs_open *open, struct fs_req *req)
{
	WRITE_ONCE(open->changed, false);
	return fs_backing.closed(open->node, fs_why(req));
}

static void job_flush(struct fs_job *job)
{
	int err;

	pthread_mutex_lock(&job->open->lock);
	err = fs_open_flush(job->open, &job->req);
	pthread_mutex_unlock(&job->open->lock);
	err = (int)fs_fuse_settle(&job->req, err);
	if (!err && fs_open_close_waits(job->open))
		err = sync_closed(job->open, &job->req);
	job_end_interrupts(job);
	fuse_reply_err(job->fuse, fs_fuse_error(&job->req, err));
}

static void job_sync(struct fs_job *job)
{
	int err = job->what == JOB_CLOSED ? sync_closed(job->open, &job->req)
					  : fs_backing.sync(job->open->node, fs_why(&job->req));

	job_end_interrupts(job);
	fuse_reply_err(job->fuse, fs_fuse_error(&job->req, err));
}

int fs_cancel_error(struct fs_req *req)
{
	u64 limit;

	if (!req->cpu_limit || !cpu_limit_over(req->cpu_limit))
		return -EINTR;
	if (cpu_limit_over(req->cpu_limit) == CPU_LIMIT_OVER_OTHERS)
		return fs_error(
			req, EDQUOT,
			"others waited for a CPU that runs programs, and this run had one for "
			"too long");
	limit = limits_of(req->cred.uid, req->limit);
	return fs_error(req, EDQUOT,
			"it has had %llu s of processor time, and no request of yours gets more "
			"(root: limits/%u/%s)",
			(unsigned long long)limit, req->cred.uid, limits_name(req->limit));
}

/* ---- jobs of one open, one after the other */

static enum limit job_limit(const struct fs_job *job)
{
	const struct fs_node_ops *ops = job->open->node->ops;

	if (job->command)
		return job->command->limit;
	return ops->is_long ? ops->is_long(job->open, job->what) : LIMIT_CNT;
}

static void job_submit(struct fs_job *job)
{
	job->req.limit = job_limit(job);
	job->work.class = job->req.limit == LIMIT_CNT ? WORKER_SHORT : WORKER_LONG;
	worker_submit(&job->work);
}

void job_start_alone(struct fs_job *job)
{
	fuse_req_interrupt_func(job->fuse, job_interrupt, job);
	job_submit(job);
}

/* The next job of the open, or none and it is idle. */
static struct fs_job *strand_next(struct fs_open *open)
{
	struct fs_job *job;

	pthread_mutex_lock(&open->queue_lock);
	job = open->queue;
	if (job) {
		open->queue = job->next;
		if (!open->queue)
			open->queue_tail = &open->queue;
		job->queued = false;
	} else {
		open->busy = false;
	}
	pthread_mutex_unlock(&open->queue_lock);
	return job;
}

/* False: it is not this thread's any more. */
static bool job_do(struct fs_job *job)
{
	switch (job->what) {
	case JOB_READ:
		return job_read(job);
	case JOB_WRITE:
		return job_write(job);
	case JOB_ANSWER:
		/* The thread that ran the handler has left it: after this the open may go. */
		pthread_mutex_lock(&job->open->lock);
		pthread_mutex_unlock(&job->open->lock);
		job_answer(job);
		break;
	case JOB_FLUSH:
		job_flush(job);
		break;
	case JOB_SYNC:
	case JOB_CLOSED:
		job_sync(job);
		break;
	case JOB_IOCTL:
		job_ioctl(job);
		break;
	case JOB_RELEASE:
		fs_open_free(job->open);
		fs_fuse_settle(&job->req, 0);
		break;
	}
	return true;
}

static u64 limit_ns(const struct fs_req *req)
{
	u64 seconds = limits_of(req->cred.uid, req->limit);

	return seconds > UINT32_MAX ? CPU_LIMIT_NONE : seconds * 1000000000ULL;
}

static void job_run_one(struct fs_job *job)
{
	struct worker_job *work = &job->work;
	struct fs_open *open = job->open;
	enum job_what what = job->what;
	bool strand = job->strand, done;
	struct cpu_limit cpu_limit;

	current_set_request(job->req.unique);
	/* A read that parks leaves the strand: what comes after it need not wait. */
	if (what == JOB_READ)
		job->strand = false;
	if (work->class == WORKER_LONG) {
		cpu_limit_begin(&cpu_limit,
				job->req.limit == LIMIT_RUN_SECONDS ? CPU_LIMIT_RUN
								    : CPU_LIMIT_VERIFY,
				limit_ns(&job->req), &job->req.cancel);
		bpf_run_set_group(cpu_limit_group(job->req.cred.uid));
		job->req.cpu_limit = &cpu_limit;
		done = job_do(job);
		bpf_run_set_group(0);
		cpu_limit_end(&cpu_limit);
	} else {
		done = job_do(job);
	}
	if (done)
		job_free(job);
	/*
	 * After a release there is no open; behind a write that is answered later its next requests
	 * wait.
	 */
	if (strand && what != JOB_RELEASE && (done || what == JOB_READ)) {
		job = strand_next(open);
		if (job)
			job_submit(job);
	}
}

void job_run(struct worker_job *work)
{
	job_run_one(container_of(work, struct fs_job, work));
	fs_node_unpin();
}

/* Hand a job to a worker, behind the others of its open. */
void job_start(struct fs_job *job)
{
	struct fs_open *open = job->open;
	bool wait;

	job->strand = true;
	if (job->fuse)
		fuse_req_interrupt_func(job->fuse, job_interrupt, job);
	pthread_mutex_lock(&open->queue_lock);
	wait = open->busy && !fs_cancelled(&job->req);
	if (wait) {
		job->queued = true;
		job->next = NULL;
		*open->queue_tail = job;
		open->queue_tail = &job->next;
	} else if (open->busy) {
		job->strand = false; /* its handler is to see that it was cancelled */
	}
	open->busy = true;
	pthread_mutex_unlock(&open->queue_lock);
	if (!wait)
		job_submit(job);
}
