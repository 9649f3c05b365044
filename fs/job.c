/*
 * job.c - jobs run, park in a waitq, and are woken (see job.h)
 */
#include "fs/job.h"
#include "fs/metrics.h"

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
	void (*later)(void *) = __atomic_load_n(&job->later, __ATOMIC_SEQ_CST);

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (later)
		later(job->later_arg);
}

void job_interrupt(fuse_req_t fuse, void *data)
{
	struct fs_job *job = data;
	struct fs_waitq *waitq = job->open->waitq;

	if (job->open->node->ops->cancel_on_kill_only && !watch_killed(&job->watch))
		return;
	watch_cancel(&job->watch);
	job_cancel_later(job);
	if (waitq && waitq_take(job, waitq)) {
		fs_uncount(parked);
		worker_submit(&job->work);
	}
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
	struct fs_job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->work.run = job_run;
	job->fuse = fuse;
	job->req = *req;
	job->req.name = NULL;
	job->open = open;
	job->what = what;
	if (req->node)
		fs_node_get(req->node);
	watch_born(&job->watch, &job->req);
	return job;
}

void job_free(struct fs_job *job)
{
	watch_remove(&job->watch);
	fs_node_put(job->req.node);
	free(job->buf);
	free(job);
}

/* Nobody touches the job through the request from here on. */
static void job_settle(struct fs_job *job)
{
	fuse_req_interrupt_func(job->fuse, NULL, NULL);
}

static void job_ioctl(struct fs_job *job)
{
	char *out = calloc(1, job->out_len ? job->out_len : 1);
	size_t out_len = job->out_len;
	int result = -ENOMEM;

	if (out)
		result = job->open->node->ops->ioctl(job->open, &job->req, job->cmd, job->buf,
						     job->size, out, &out_len);
	job_settle(job);
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
	job_settle(job);
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
	ssize_t n;

	pthread_mutex_lock(&open->lock);
	n = fs_open_write(open, &job->req, job->buf, job->size, job->off);
	pthread_mutex_unlock(&open->lock);
	if (n == FS_LATER)
		return false;
	job_settle(job);
	job->answer = n;
	job_answer(job);
	return true;
}

void fs_later(struct fs_req *req, void (*cancel)(void *arg), void *arg)
{
	struct fs_job *job = container_of(req, struct fs_job, req);

	job->later_arg = arg;
	__atomic_store_n(&job->later, cancel, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (fs_cancelled(req))
		cancel(arg);
}

void fs_finish(struct fs_req *req, ssize_t n)
{
	struct fs_job *job = container_of(req, struct fs_job, req);

	job_settle(job);
	job->what = JOB_ANSWER;
	job->answer = n;
	worker_submit(&job->work);
}

static void job_flush(struct fs_job *job)
{
	int err;

	pthread_mutex_lock(&job->open->lock);
	err = fs_open_flush(job->open, &job->req);
	pthread_mutex_unlock(&job->open->lock);
	job_settle(job);
	fuse_reply_err(job->fuse, fs_fuse_error(&job->req, err));
}

/* The next job of the open, or none and it is idle. */
static struct fs_job *strand_next(struct fs_open *open)
{
	struct fs_job *job;

	pthread_mutex_lock(&open->lock);
	job = open->queue;
	if (job) {
		open->queue = job->next;
		if (!open->queue)
			open->queue_tail = &open->queue;
	} else {
		open->busy = false;
	}
	pthread_mutex_unlock(&open->lock);
	return job;
}

/* The descriptor that the kind's handlers use is there, or the job is answered. */
static bool job_begin(struct fs_job *job)
{
	int err = job->fuse ? fs_node_pin(fs_node_place(job->open->node)) : 0;

	if (!err)
		return true;
	job_settle(job);
	fuse_reply_err(job->fuse, fs_fuse_error(&job->req, err));
	return false;
}

static void job_run_one(struct fs_job *job)
{
	struct fs_open *open = job->open;
	bool strand = job->strand, done = true;

	if (!job_begin(job))
		goto done;
	/* A read that parks leaves the strand: what comes after it need not wait. */
	switch (job->what) {
	case JOB_READ:
		job->strand = false;
		done = job_read(job);
		break;
	case JOB_WRITE:
		if (!job_write(job))
			return; /* the open's next requests wait for fs_finish(), too */
		break;
	case JOB_ANSWER:
		/* The thread that ran the handler has left it: after this the open may go. */
		pthread_mutex_lock(&open->lock);
		pthread_mutex_unlock(&open->lock);
		job_answer(job);
		break;
	case JOB_FLUSH:
		job_flush(job);
		break;
	case JOB_IOCTL:
		job_ioctl(job);
		break;
	case JOB_RELEASE:
		fs_open_free(open);
		job_free(job);
		return;
	}
done:
	if (done)
		job_free(job);
	if (strand) {
		job = strand_next(open);
		if (job)
			worker_submit(&job->work);
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
	pthread_mutex_lock(&open->lock);
	wait = open->busy;
	open->busy = true;
	if (wait) {
		job->next = NULL;
		*open->queue_tail = job;
		open->queue_tail = &job->next;
	}
	pthread_mutex_unlock(&open->lock);
	if (!wait)
		worker_submit(&job->work);
}
