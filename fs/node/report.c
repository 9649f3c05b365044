/*
 * report.c - the end of a request that failed
 */
#include "fs/node/request.h"
#include "fs/node/node.h"

#include <limits.h>

void fs_error_report(struct fs_req *req)
{
	char path[PATH_MAX] = "";

	if (!req->error.err)
		return;
	if (req->node)
		fs_node_path(req->node, req->name, path, sizeof(path));
	error_log_add(req->cred.uid, path, req->op ? req->op : "?", req->error.err,
		      error_why(&req->error, req->error.err));
	error_clear(&req->error);
}
