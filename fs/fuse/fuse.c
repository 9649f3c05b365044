/*
 * fuse.c - every callback's beginning and end
 */
#include "fs/node/backing.h"
#include "fs/fuse/protocol/current.h"
#include "fs/fuse/fuse.h"
#include "fs/caller/limits.h"
#include "fs/lib/metrics.h"
#include "util/clock.h"

#include <limits.h>
#include <stdio.h>

bool fs_fuse_begin(fuse_req_t fuse, fuse_ino_t ino, const char *op, const char *name,
		   struct fs_req *req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(fuse);

	fs_count(requests);
	memset(req, 0, sizeof(*req));
	req->cred.uid = ctx->uid;
	req->cred.gid = ctx->gid;
	req->cred.pid = ctx->pid;
	req->unique = current_request();
	req->op = op;
	req->began = monotonic_ns();
	req->name = name;
	req->node = fs_node_find(ino);
	if (!req->node)
		fuse_reply_err(fuse, fs_fuse_error(req, -ESTALE));
	return req->node;
}

void fs_fuse_end(struct fs_req *req)
{
	fs_count_latency(req->op, req->began);
	error_clear(&req->error);
	fs_node_unpin();
	fs_node_put(req->node);
}

void fs_fuse_end_open(struct fs_req *req)
{
	fs_count_latency(req->op, req->began);
	error_clear(&req->error);
	fs_node_unpin();
}

ssize_t fs_fuse_settle(struct fs_req *req, ssize_t ret)
{
	int err = fs_backing.settle ? fs_backing.settle(ret < 0 ? NULL : fs_why(req)) : 0;

	return ret < 0 || !err ? ret : err;
}

/* Where everything was taken away, nothing is just not there. */
static int lost_or(struct fs_req *req, int err)
{
	struct error_record why = {0};

	if (!fs_backing.lost || !fs_backing.lost(&why))
		return err;
	error_clear(&req->error);
	req->error = why;
	if (!req->op)
		req->op = "lookup";
	return why.err;
}

int fs_fuse_error(struct fs_req *req, int err)
{
	err = abs(err);
	/* The kernel drops replies of 512 and more, and the caller hangs; libfuse alters 511. */
	if (err > EHWPOISON)
		err = err == 524 ? EOPNOTSUPP : EIO;
	if (!err)
		return 0;
	if (err == EBADF && fs_node_pin_error())
		err = -fs_node_pin_error();
	fs_count(errors);
	if (err == ENOENT || err == ESTALE)
		err = lost_or(req, err);
	if (req->op && err != EAGAIN && err != EINTR && !req->error.err)
		req->error.err = err; /* nobody knew more: M/log has the errno's own words */
	fs_error_report(req);
	return err;
}
