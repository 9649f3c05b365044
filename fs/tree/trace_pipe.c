/*
 * trace_pipe.c - M/trace_pipe: what programs print
 *
 * Each line is given to one reader. The ring hands out whole lines, so a reader with a small buffer
 * is served from a line kept in its open file.
 */
#include "fs/tree/trace_pipe.h"
#include "run/run.h"
#include "helpers/trace.h"
#include "fs/keeper/records.h"

#include <poll.h>

#define TRACE_CHUNK 4096

static struct fs_waitq trace_waitq = FS_WAITQ_INIT;

struct trace_open {
	size_t len, off;
	char buf[TRACE_CHUNK];
};

static void trace_written(void)
{
	fs_wake(&trace_waitq);
}

static int trace_open(struct fs_open *open, struct fs_req *req)
{
	open->priv = calloc(1, sizeof(struct trace_open));
	open->waitq = &trace_waitq;
	__atomic_store_n(&bpf_trace_notify, trace_written, __ATOMIC_RELEASE);
	return open->priv ? 0 : -ENOMEM;
}

static ssize_t trace_read(struct fs_open *open, struct fs_req *req, char *buf, size_t len,
			  off_t off)
{
	struct trace_open *trace = open->priv;

	if (!len)
		return 0;
	if (trace->off == trace->len) {
		trace->off = 0;
		trace->len = bpf_trace_read(trace->buf, sizeof(trace->buf));
	}
	if (!trace->len)
		return -EAGAIN;
	len = min(len, trace->len - trace->off);
	memcpy(buf, trace->buf + trace->off, len);
	trace->off += len;
	return len;
}

static u32 trace_poll(struct fs_open *open)
{
	struct trace_open *trace = open->priv;

	pthread_mutex_lock(&open->lock);
	if (trace->off == trace->len) {
		trace->off = 0;
		trace->len = bpf_trace_read(trace->buf, sizeof(trace->buf));
	}
	pthread_mutex_unlock(&open->lock);
	return trace->len ? POLLIN | POLLRDNORM : 0;
}

static void trace_keep(struct fs_open *open, struct kept *kept)
{
	const struct trace_open *trace = open->priv;
	size_t left = trace->len - trace->off;

	kept->lost = left > sizeof(kept->v) - sizeof(kept->v[0]);
	if (kept->lost)
		return;
	kept->v[0] = left;
	memcpy(kept->v + 1, trace->buf + trace->off, left);
}

static void trace_restore(struct fs_open *open, const struct kept *kept)
{
	struct trace_open *trace = open->priv;

	trace->len = min(kept->v[0], sizeof(kept->v) - sizeof(kept->v[0]));
	memcpy(trace->buf, kept->v + 1, trace->len);
}

static void trace_release(struct fs_open *open)
{
	free(open->priv);
}

const struct fs_node_ops trace_pipe_ops = {
	.name = "trace_pipe",
	.type = S_IFREG,
	.open = trace_open,
	.read = trace_read,
	.takes = true,
	.poll = trace_poll,
	.release = trace_release,
	.keep = trace_keep,
	.restore = trace_restore,
};
