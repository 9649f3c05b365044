/*
 * io.c - FUSE callbacks on open files: read, write, flush, ioctl, poll, release; parking
 *
 * A job is one request that is not answered in its callback: it runs on a worker (slow kinds), or it sits in
 * a waitq until there is something to read. Jobs of one open run one after the other in order of arrival
 * (open->busy, open->queue); requests of other kinds take open->lock for the time of the handler.
 *
 * Interrupts: libfuse calls io_interrupt() with the request's lock held. Before a job is answered the function
 * is taken off the request, which waits for a call that runs; so a job is never touched after it is freed.
 * Lock order: the request's lock, then waitq->lock or watch.lock.
 */
#include "fs/fuse.h"
#include "fs/metrics.h"
#include "fs/passthrough.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>

#define IO_WATCH_NS (50 * 1000000L)

enum io_what { IO_READ, IO_WRITE, IO_FLUSH, IO_RELEASE, IO_IOCTL };

struct fs_job {
	struct worker_job work;
	struct fs_job *next; /* in open->queue or waitq->jobs */
	struct fs_job *watch_next, *all_next, **all_pprev; /* under watch.lock */
	bool watched;
	struct fs_req req; /* holds a node reference */
	fuse_req_t fuse; /* NULL: release, answered already */
	struct fs_open *open;
	enum io_what what;
	bool strand; /* goes through open->queue */
	struct fs_waitq *parked; /* in this waitq; under its lock */
	char *buf; /* write, ioctl: the input */
	size_t size, out_len;
	off_t off;
	unsigned int cmd;
};

struct fs_poller {
	struct fs_poller *next;
	struct fs_open *open;
	struct fuse_pollhandle *ph;
};

static void job_run(struct worker_job *work);

/* ---- open and release */

static struct {
	pthread_mutex_t lock;
	struct fs_open *first;
} opens = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void opens_add(struct fs_open *open)
{
	pthread_mutex_lock(&opens.lock);
	open->next = opens.first;
	open->pprev = &opens.first;
	if (open->next)
		open->next->pprev = &open->next;
	opens.first = open;
	pthread_mutex_unlock(&opens.lock);
	fs_count(opens);
}

static void opens_remove(struct fs_open *open)
{
	pthread_mutex_lock(&opens.lock);
	*open->pprev = open->next;
	if (open->next)
		open->next->pprev = open->pprev;
	pthread_mutex_unlock(&opens.lock);
	fs_uncount(opens);
}

int io_open_node(struct fs_req *req, struct fs_node *node, struct fuse_file_info *fi, bool created)
{
	struct fs_open *open = calloc(1, sizeof(*open));
	int err = 0;

	if (!open)
		return -ENOMEM;
	pthread_mutex_init(&open->lock, NULL);
	open->node = node;
	open->flags = fi->flags;
	open->opener = req->cred;
	open->created = created;
	open->queue_tail = &open->queue;
	fs_node_get(node);
	if (node->ops->open)
		err = node->ops->open(open, req);
	if (err) {
		fs_node_put(node);
		pthread_mutex_destroy(&open->lock);
		free(open);
		return err;
	}
	opens_add(open);
	fi->fh = (uintptr_t)open;
	fi->direct_io = !S_ISDIR(node->ops->type);
	return 0;
}

static void open_free(struct fs_open *open)
{
	opens_remove(open);
	if (open->node->ops->release)
		open->node->ops->release(open);
	fs_text_free(&open->text);
	fs_node_put(open->node);
	pthread_mutex_destroy(&open->lock);
	free(open);
}

void io_drop_opens(void)
{
	while (opens.first)
		open_free(opens.first);
}

void io_open_drop(struct fuse_file_info *fi)
{
	open_free((struct fs_open *)(uintptr_t)fi->fh);
}

static int io_reply_open(fuse_req_t fuse, struct fuse_file_info *fi)
{
	int err;

	passthrough_reply(((struct fs_open *)(uintptr_t)fi->fh)->backing_id);
	err = fuse_reply_open(fuse, fi);
	passthrough_reply(0);
	return err;
}

void io_open(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_req req;
	int err;

	if (!fs_fuse_begin(fuse, ino, "open", NULL, &req))
		return;
	err = io_open_node(&req, req.node, fi, false);
	if (err)
		fuse_reply_err(fuse, fs_fuse_error(&req, err));
	else if (io_reply_open(fuse, fi) < 0)
		io_open_drop(fi);
	fs_fuse_end(&req);
}

/* ---- jobs that are interrupted while their caller may not be dying: looked at now and then */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct fs_job *jobs; /* interrupted */
	struct fs_job *all; /* every job, for the end */
	pthread_t thread;
	bool running, stop;
} watch = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static void job_cancel(struct fs_job *job)
{
	__atomic_store_n(&job->req.cancel, true, __ATOMIC_RELAXED);
}

/* SIGKILL is pending for the thread or its process (a fatal signal becomes one). */
static bool being_killed(pid_t pid)
{
	char path[64], line[256];
	unsigned long long bits;
	bool killed = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	if (!f)
		return pid != 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "SigPnd: %llx", &bits) == 1 ||
		    sscanf(line, "ShdPnd: %llx", &bits) == 1)
			killed |= bits >> (9 - 1) & 1;
	fclose(f);
	return killed;
}

static void *watch_main(void *unused)
{
	pthread_mutex_lock(&watch.lock);
	while (!watch.stop) {
		struct timespec ts;

		for (struct fs_job *job = watch.jobs; job; job = job->watch_next)
			if (being_killed(job->req.cred.pid))
				job_cancel(job);
		if (!watch.jobs) {
			pthread_cond_wait(&watch.more, &watch.lock);
			continue;
		}
		clock_gettime(CLOCK_REALTIME, &ts);
		ts.tv_nsec += IO_WATCH_NS;
		if (ts.tv_nsec >= 1000000000L) {
			ts.tv_nsec -= 1000000000L;
			ts.tv_sec++;
		}
		pthread_cond_timedwait(&watch.more, &watch.lock, &ts);
	}
	pthread_mutex_unlock(&watch.lock);
	return NULL;
}

static void watch_add(struct fs_job *job)
{
	pthread_mutex_lock(&watch.lock);
	if (!job->watched) {
		job->watched = true;
		job->watch_next = watch.jobs;
		watch.jobs = job;
		if (!watch.running)
			watch.running = !pthread_create(&watch.thread, NULL, watch_main, NULL);
		pthread_cond_signal(&watch.more);
	}
	pthread_mutex_unlock(&watch.lock);
}

static void watch_born(struct fs_job *job)
{
	pthread_mutex_lock(&watch.lock);
	if (watch.stop)
		job_cancel(job);
	job->all_next = watch.all;
	job->all_pprev = &watch.all;
	if (watch.all)
		watch.all->all_pprev = &job->all_next;
	watch.all = job;
	pthread_mutex_unlock(&watch.lock);
}

static void watch_remove(struct fs_job *job)
{
	pthread_mutex_lock(&watch.lock);
	*job->all_pprev = job->all_next;
	if (job->all_next)
		job->all_next->all_pprev = job->all_pprev;
	if (job->watched) {
		struct fs_job **p = &watch.jobs;

		while (*p != job)
			p = &(*p)->watch_next;
		*p = job->watch_next;
		job->watched = false;
	}
	pthread_mutex_unlock(&watch.lock);
}

void io_stop(void)
{
	pthread_mutex_lock(&watch.lock);
	watch.stop = true;
	for (struct fs_job *job = watch.all; job; job = job->all_next)
		job_cancel(job);
	pthread_cond_signal(&watch.more);
	pthread_mutex_unlock(&watch.lock);
	if (watch.running)
		pthread_join(watch.thread, NULL);
}

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

static void io_interrupt(fuse_req_t fuse, void *data)
{
	struct fs_job *job = data;
	struct fs_waitq *waitq = job->open->waitq;

	if (job->open->node->ops->cancel_on_kill_only && !being_killed(job->req.cred.pid)) {
		watch_add(job);
		return;
	}
	job_cancel(job);
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
	waitq->waiting = 0;
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

/* ---- the handlers, whoever calls them */

static ssize_t text_read(struct fs_open *open, struct fs_req *req, char *buf, size_t len, off_t off)
{
	struct fs_text *text = &open->text;
	int err;

	if (!open->text_made || !off) { /* read again from the start: as it is now */
		fs_text_free(text);
		open->text_made = false;
		err = open->node->ops->show(open->node, req, text);
		if (!err)
			err = text->err;
		if (err)
			return err;
		open->text_made = true;
	}
	if (off < 0 || (size_t)off >= text->len)
		return 0;
	len = min(len, text->len - (size_t)off);
	memcpy(buf, text->buf + off, len);
	return len;
}

static ssize_t do_read(struct fs_open *open, struct fs_req *req, char *buf, size_t len, off_t off)
{
	const struct fs_node_ops *ops = open->node->ops;

	if (ops->read)
		return ops->read(open, req, buf, len, off);
	if (ops->show)
		return text_read(open, req, buf, len, off);
	return fs_error(req, EINVAL, "there is nothing to read here");
}

static ssize_t do_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
			off_t off)
{
	if (!open->node->ops->write)
		return fs_error(req, EPERM, "this file is not written to");
	return open->node->ops->write(open, req, buf, len, off);
}

static int do_flush(struct fs_open *open, struct fs_req *req)
{
	return open->node->ops->flush ? open->node->ops->flush(open, req) : 0;
}

static bool may_wait(const struct fs_open *open)
{
	return open->waitq && !(READ_ONCE(open->flags) & O_NONBLOCK);
}

/* ---- jobs */

static struct fs_job *job_new(fuse_req_t fuse, struct fs_req *req, struct fs_open *open,
			      enum io_what what)
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
	watch_born(job);
	return job;
}

static void job_free(struct fs_job *job)
{
	watch_remove(job);
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
			n = do_read(open, &job->req, buf, job->size, job->off);
			pthread_mutex_unlock(&open->lock);
		}
		if (n == -EAGAIN && may_wait(open) && waitq_park(job, waitq, seq)) {
			free(buf);
			return false;
		}
	} while (n == -EAGAIN && may_wait(open));
	job_settle(job);
	if (n < 0)
		fuse_reply_err(job->fuse, fs_fuse_error(&job->req, n));
	else
		fuse_reply_buf(job->fuse, buf, n);
	free(buf);
	return true;
}

static void job_write(struct fs_job *job)
{
	ssize_t n;

	pthread_mutex_lock(&job->open->lock);
	n = do_write(job->open, &job->req, job->buf, job->size, job->off);
	pthread_mutex_unlock(&job->open->lock);
	job_settle(job);
	if (n < 0)
		fuse_reply_err(job->fuse, fs_fuse_error(&job->req, n));
	else
		fuse_reply_write(job->fuse, n);
}

static void job_flush(struct fs_job *job)
{
	int err;

	pthread_mutex_lock(&job->open->lock);
	err = do_flush(job->open, &job->req);
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

static void job_run(struct worker_job *work)
{
	struct fs_job *job = container_of(work, struct fs_job, work);
	struct fs_open *open = job->open;
	bool strand = job->strand, done = true;

	/* A read that parks leaves the strand: what comes after it need not wait. */
	switch (job->what) {
	case IO_READ:
		job->strand = false;
		done = job_read(job);
		break;
	case IO_WRITE:
		job_write(job);
		break;
	case IO_FLUSH:
		job_flush(job);
		break;
	case IO_IOCTL:
		job_ioctl(job);
		break;
	case IO_RELEASE:
		open_free(open);
		job_free(job);
		return;
	}
	if (done)
		job_free(job);
	if (strand) {
		job = strand_next(open);
		if (job)
			worker_submit(&job->work);
	}
}

/* Hand a job to a worker, behind the others of its open. */
static void job_start(struct fs_job *job)
{
	struct fs_open *open = job->open;
	bool wait;

	job->strand = true;
	if (job->fuse)
		fuse_req_interrupt_func(job->fuse, io_interrupt, job);
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

/* ---- callbacks */

static bool io_begin(fuse_req_t fuse, fuse_ino_t ino, const char *op, struct fuse_file_info *fi,
		     struct fs_req *req, struct fs_open **open)
{
	*open = (struct fs_open *)(uintptr_t)fi->fh;
	return fs_fuse_begin(fuse, ino, op, NULL, req);
}

void io_read(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fs_open *open;
	struct fs_job *job;
	struct fs_req req;
	char *buf;
	ssize_t n;

	if (!io_begin(fuse, ino, "read", fi, &req, &open))
		return;
	WRITE_ONCE(open->flags, fi->flags);
	if (open->node->ops->slow || may_wait(open)) {
		job = job_new(fuse, &req, open, IO_READ);
		if (!job) {
			fuse_reply_err(fuse, ENOMEM);
		} else {
			job->size = size;
			job->off = off;
			if (open->node->ops->slow) {
				job_start(job);
			} else {
				fuse_req_interrupt_func(fuse, io_interrupt, job);
				job_run(&job->work);
			}
		}
		fs_fuse_end(&req);
		return;
	}
	buf = malloc(size ? size : 1);
	pthread_mutex_lock(&open->lock);
	n = buf ? do_read(open, &req, buf, size, off) : -ENOMEM;
	pthread_mutex_unlock(&open->lock);
	if (n < 0)
		fuse_reply_err(fuse, fs_fuse_error(&req, n));
	else
		fuse_reply_buf(fuse, buf, n);
	free(buf);
	fs_fuse_end(&req);
}

void io_write(fuse_req_t fuse, fuse_ino_t ino, const char *buf, size_t size, off_t off,
	      struct fuse_file_info *fi)
{
	struct fs_open *open;
	struct fs_job *job;
	struct fs_req req;
	ssize_t n;

	if (!io_begin(fuse, ino, "write", fi, &req, &open))
		return;
	if (open->node->ops->slow) {
		job = job_new(fuse, &req, open, IO_WRITE);
		if (job) {
			job->buf = malloc(size ? size : 1);
			job->size = size;
			job->off = off;
		}
		if (!job || !job->buf) {
			if (job)
				job_free(job);
			fuse_reply_err(fuse, ENOMEM);
		} else {
			memcpy(job->buf, buf, size);
			job_start(job);
		}
		fs_fuse_end(&req);
		return;
	}
	pthread_mutex_lock(&open->lock);
	n = do_write(open, &req, buf, size, off);
	pthread_mutex_unlock(&open->lock);
	if (n < 0)
		fuse_reply_err(fuse, fs_fuse_error(&req, n));
	else
		fuse_reply_write(fuse, n);
	fs_fuse_end(&req);
}

void io_flush(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_open *open;
	struct fs_job *job;
	struct fs_req req;
	int err;

	if (!io_begin(fuse, ino, "close", fi, &req, &open))
		return;
	if (open->node->ops->slow && open->node->ops->flush) {
		job = job_new(fuse, &req, open, IO_FLUSH);
		if (job)
			job_start(job);
		else
			fuse_reply_err(fuse, ENOMEM);
		fs_fuse_end(&req);
		return;
	}
	pthread_mutex_lock(&open->lock);
	err = do_flush(open, &req);
	pthread_mutex_unlock(&open->lock);
	fuse_reply_err(fuse, fs_fuse_error(&req, err));
	fs_fuse_end(&req);
}

static void poller_remove(struct fs_open *open)
{
	struct fs_waitq *waitq = open->waitq;
	struct fs_poller **p, *poller;

	if (!waitq)
		return;
	pthread_mutex_lock(&waitq->lock);
	for (p = &waitq->pollers; (poller = *p);) {
		if (poller->open != open) {
			p = &poller->next;
			continue;
		}
		*p = poller->next;
		fuse_pollhandle_destroy(poller->ph);
		free(poller);
	}
	pthread_mutex_unlock(&waitq->lock);
}

void io_release(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_open *open = (struct fs_open *)(uintptr_t)fi->fh;
	struct fs_req req = {.cred = open->opener};
	struct fs_job *job = NULL;

	fs_count(requests);
	fuse_reply_err(fuse, 0);
	poller_remove(open);
	if (open->node->ops->slow)
		job = job_new(NULL, &req, open, IO_RELEASE);
	if (job)
		job_start(job);
	else
		open_free(open);
}

void io_ioctl(fuse_req_t fuse, fuse_ino_t ino, unsigned int cmd, void *arg,
	      struct fuse_file_info *fi, unsigned int flags, const void *in, size_t in_len,
	      size_t out_len)
{
	const struct fs_node_ops *ops;
	struct fs_open *open;
	struct fs_job *job;
	struct fs_req req;

	if (!io_begin(fuse, ino, "ioctl", fi, &req, &open))
		return;
	ops = open->node->ops;
	if (!ops->ioctl || (flags & FUSE_IOCTL_UNRESTRICTED)) {
		fuse_reply_err(fuse, ENOTTY);
	} else if (ops->slow_ioctl && ops->slow_ioctl(cmd)) {
		job = job_new(fuse, &req, open, IO_IOCTL);
		if (job)
			job->buf = malloc(in_len ? in_len : 1);
		if (!job || !job->buf) {
			if (job)
				job_free(job);
			fuse_reply_err(fuse, ENOMEM);
		} else {
			memcpy(job->buf, in, in_len);
			job->size = in_len;
			job->out_len = out_len;
			job->cmd = cmd;
			fuse_req_interrupt_func(fuse, io_interrupt, job);
			worker_submit(&job->work);
		}
	} else {
		char small[4096], *out = out_len <= sizeof(small) ? small : malloc(out_len);
		size_t room = out_len;
		int result;

		if (!out) {
			fuse_reply_err(fuse, ENOMEM);
		} else {
			memset(out, 0, out_len);
			result = ops->ioctl(open, &req, cmd, in, in_len, out, &room);
			fuse_reply_ioctl(fuse, result, out, min(room, out_len));
		}
		if (out != small)
			free(out);
	}
	fs_fuse_end(&req);
}

void io_poll(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
	struct fs_poller *poller;
	struct fs_waitq *waitq;
	struct fs_open *open;
	struct fs_req req;
	u32 ready;

	if (!io_begin(fuse, ino, NULL, fi, &req, &open)) {
		if (ph)
			fuse_pollhandle_destroy(ph);
		return;
	}
	waitq = open->waitq;
	if (ph && waitq && (poller = calloc(1, sizeof(*poller)))) {
		poller_remove(open);
		poller->open = open;
		poller->ph = ph;
		ph = NULL;
		pthread_mutex_lock(&waitq->lock);
		poller->next = waitq->pollers;
		waitq->pollers = poller;
		__atomic_store_n(&waitq->waiting, 1, __ATOMIC_SEQ_CST);
		pthread_mutex_unlock(&waitq->lock);
	}
	if (ph)
		fuse_pollhandle_destroy(ph);
	ready = open->node->ops->poll ? open->node->ops->poll(open) : POLLIN | POLLOUT;
	fuse_reply_poll(fuse, ready);
	fs_fuse_end(&req);
}
