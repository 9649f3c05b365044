/*
 * log.c - M/log: the caller's last errors
 */
#include "fs/tree/log.h"

static int log_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	error_log_print(req->cred.uid, out);
	return 0;
}

const struct fs_node_ops log_ops = {
	.name = "log",
	.type = S_IFREG,
	.show = log_show,
	.appends = true,
};
