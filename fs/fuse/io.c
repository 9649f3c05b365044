/*
 * io.c - FUSE callbacks on open files: open, read, write, flush, ioctl, poll, release
 *
 * What may take long becomes a job (fuse/deferred.h); the rest is answered here, under open->lock.
 */
#include "fs/fuse/deferred.h"
#include "fs/fuse/io.h"
#include "fs/fuse/open.h"
#include "fs/lib/metrics.h"
#include "fs/fuse/protocol/passthrough.h"

#include <poll.h>

static int io_reply_open(fuse_req_t fuse, struct fuse_file_info *fi)
{
	int err;

	passthrough_reply(fs_open_of(fi)->backing_id);
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
	err = fs_open_new(&req, req.node, fi, false);
	if (err)
		fuse_reply_err(fuse, fs_fuse_error(&req, err));
	else if (io_reply_open(fuse, fi) < 0)
		fs_open_free(fs_open_of(fi));
	fs_fuse_end(&req);
}

void io_read(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fs_open *open;
	struct fs_job *job;
	struct fs_req req;
	char *buf;
	ssize_t n;

	open = fs_fuse_begin_open(fuse, fi, "read", &req);
	if (!open)
		return;
	WRITE_ONCE(open->flags, fi->flags);
	if (open->slow || fs_open_may_wait(open)) {
		job = job_new(fuse, &req, open, JOB_READ);
		if (!job) {
			fuse_reply_err(fuse, fs_fuse_error(&req, errno));
		} else {
			job->size = size;
			job->off = off;
			if (open->slow) {
				job_start(job);
			} else {
				fuse_req_interrupt_func(fuse, job_interrupt, job);
				job_run(&job->work);
			}
		}
		fs_fuse_end_open(&req);
		return;
	}
	buf = malloc(size ? size : 1);
	pthread_mutex_lock(&open->lock);
	n = buf ? fs_open_read(open, &req, buf, size, off) : -ENOMEM;
	pthread_mutex_unlock(&open->lock);
	n = fs_fuse_settle(&req, n);
	if (n < 0)
		fuse_reply_err(fuse, fs_fuse_error(&req, n));
	else
		fuse_reply_buf(fuse, buf, n);
	free(buf);
	fs_fuse_end_open(&req);
}

void io_write(fuse_req_t fuse, fuse_ino_t ino, const char *buf, size_t size, off_t off,
	      struct fuse_file_info *fi)
{
	struct fs_open *open;
	struct fs_job *job;
	struct fs_req req;
	ssize_t n;
	int err;

	open = fs_fuse_begin_open(fuse, fi, "write", &req);
	if (!open)
		return;
	if (open->slow) {
		job = job_new(fuse, &req, open, JOB_WRITE);
		err = job ? job_input(job, buf, size, fs_why(&req)) : -errno;
		if (err) {
			if (job)
				job_free(job);
			fuse_reply_err(fuse, fs_fuse_error(&req, err));
		} else {
			job->off = off;
			job_start(job);
		}
		fs_fuse_end_open(&req);
		return;
	}
	pthread_mutex_lock(&open->lock);
	n = fs_open_write(open, &req, buf, size, off);
	pthread_mutex_unlock(&open->lock);
	n = fs_fuse_settle(&req, n);
	if (n < 0)
		fuse_reply_err(fuse, fs_fuse_error(&req, n));
	else
		fuse_reply_write(fuse, n);
	fs_fuse_end_open(&req);
}

/* What waits for the disk does so on a worker. */
static void sync_job(fuse_req_t fuse, struct fs_req *req, struct fs_open *open, enum job_what what)
{
	struct fs_job *job = job_new(fuse, req, open, what);

	if (job)
		job_start_alone(job);
	else
		fuse_reply_err(fuse, fs_fuse_error(req, errno));
}

/*
 * Answered at once: who closes waits for nobody. While another process reads or writes through the
 * same open there is nothing to say yet.
 */
void io_flush(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_open *open;
	struct fs_job *job;
	struct fs_req req;
	int err = 0;

	open = fs_fuse_begin_open(fuse, fi, "close", &req);
	if (!open)
		return;
	if (open->node->ops->slow_flush) {
		job = job_new(fuse, &req, open, JOB_FLUSH);
		if (job)
			job_start(job);
		else
			fuse_reply_err(fuse, fs_fuse_error(&req, errno));
		fs_fuse_end_open(&req);
		return;
	}
	if (!open->slow) {
		pthread_mutex_lock(&open->lock);
		err = fs_open_flush(open, &req);
		pthread_mutex_unlock(&open->lock);
	} else if (!pthread_mutex_trylock(&open->lock)) {
		err = fs_open_flush(open, &req);
		pthread_mutex_unlock(&open->lock);
	}
	err = (int)fs_fuse_settle(&req, err);
	if (!err && fs_open_close_waits(open)) {
		sync_job(fuse, &req, open, JOB_CLOSED);
	} else {
		fuse_reply_err(fuse, fs_fuse_error(&req, err));
	}
	fs_fuse_end_open(&req);
}

void io_fsync(fuse_req_t fuse, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct fs_open *open;
	struct fs_req req;

	open = fs_fuse_begin_open(fuse, fi, "fsync", &req);
	if (!open)
		return;
	sync_job(fuse, &req, open, JOB_SYNC);
	fs_fuse_end_open(&req);
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
	struct fs_open *open = fs_open_of(fi);
	struct fs_job *job = NULL;
	struct fs_req req = {0};

	fs_count(requests);
	fuse_reply_err(fuse, 0);
	if (!open)
		return;
	req.cred = open->opener;
	poller_remove(open);
	if (open->slow)
		job = job_new(NULL, &req, open, JOB_RELEASE);
	if (job)
		job_start(job);
	else
		fs_open_free(open);
	fs_fuse_settle(&req, 0);
	fs_node_unpin();
}

void io_ioctl(fuse_req_t fuse, fuse_ino_t ino, unsigned int cmd, void *arg,
	      struct fuse_file_info *fi, unsigned int flags, const void *in, size_t in_len,
	      size_t out_len)
{
	const struct fs_command *command;
	const struct fs_node_ops *ops;
	struct fs_open *open;
	struct fs_job *job;
	struct fs_req req;
	int err;

	open = fs_fuse_begin_open(fuse, fi, "ioctl", &req);
	if (!open)
		return;
	ops = open->node->ops;
	command = ops->command && !(flags & FUSE_IOCTL_UNRESTRICTED) ? ops->command(cmd) : NULL;
	if (!command) {
		fuse_reply_err(fuse, ENOTTY);
	} else if (command->slow || open->slow) {
		job = job_new(fuse, &req, open, JOB_IOCTL);
		err = job ? job_input(job, in, in_len, fs_why(&req)) : -errno;
		if (err) {
			if (job)
				job_free(job);
			fuse_reply_err(fuse, fs_fuse_error(&req, err));
		} else {
			job->out_len = out_len;
			job->command = command;
			job_start_alone(job);
		}
	} else {
		char small[4096], *out = out_len <= sizeof(small) ? small : malloc(out_len);
		size_t room = out_len;
		int result;

		if (!out) {
			fuse_reply_err(fuse, ENOMEM);
		} else {
			memset(out, 0, out_len);
			result = ops->ioctl(open, &req, command, in, in_len, out, &room);
			WRITE_ONCE(open->changed, true);
			fs_open_keep(open, &req);
			result = (int)fs_fuse_settle(&req, result);
			fs_error_report(&req);
			fuse_reply_ioctl(fuse, result, out, min(room, out_len));
		}
		if (out != small)
			free(out);
	}
	fs_fuse_end_open(&req);
}

void io_poll(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
	struct fs_poller *poller;
	struct fs_waitq *waitq;
	struct fs_open *open;
	struct fs_req req;
	u32 ready;

	open = fs_fuse_begin_open(fuse, fi, NULL, &req);
	if (!open) {
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
	fs_fuse_end_open(&req);
}
