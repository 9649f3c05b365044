/*
 * log.c - M/progs/log: how the caller's last load went
 */
#include "fs/progs/load/log.h"
#include "fs/progs/load/load_report.h"
#include "fs/progs/load/own_file.h"

static int progslog_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	report_get(REPORT_LOAD, req->cred.uid, out);
	return 0;
}

const struct fs_node_ops progslog_ops = {
	.name = "load log",
	.type = S_IFREG,
	.fresh = true,
	.show = progslog_show,
	.getattr = own_file_getattr,
	.free = own_file_free,
};
