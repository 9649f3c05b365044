/*
 * files.c - the files of a cgroup: processes, counts, runs (attach_file.c has what is attached and
 * effective)
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include "fs/cgroups/files.h"
#include "fs/cgroups/attachments.h"
#include "fs/cgroups/lookup/lookup.h"
#include "fs/enforce/enforce.h"
#include "text/value_text.h"
#include "fs/progs/run.h"

struct enforce *cgroups_enforce;

static int stats_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	struct cgroup_stats stats;
	struct cgroup *cgrp;
	int err = cgroup_of_node(node, &cgrp);

	if (err)
		return err;
	cgroup_stats_read(cgrp, &stats);
	fs_text_printf(out, "id: %llu\n", (unsigned long long)cgroup_id(cgrp));
	for (u32 type = 0; type < MAX_CGROUP_BPF_ATTACH_TYPE; type++)
		fs_text_printf(out, "%s_allowed: %llu\n%s_dropped: %llu\n", cgroup_type_names[type],
			       (unsigned long long)stats.allowed[type], cgroup_type_names[type],
			       (unsigned long long)stats.dropped[type]);
	cgroup_put(cgrp);
	return 0;
}

/* ---- processes */

static int procs_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	struct enforce_caller caller = {req->cred.uid, req->cred.gid, req->cred.pid};
	struct cgroup *cgrp;
	char *text;
	size_t len;
	int err = cgroup_of_node(node, &cgrp);

	if (err)
		return err;
	err = enforce_procs_read(cgroups_enforce, cgrp, &caller, &text, &len);
	cgroup_put(cgrp);
	if (err == -EOPNOTSUPP)
		return 0; /* no processes: `grep -r` goes on */
	if (err == -EPERM)
		return fs_error(req, EPERM,
				"the caller is in another pid namespace than the server");
	if (!err)
		fs_text_append(out, text, len);
	free(text);
	return err;
}

/* One pid a write, as the kernel has it. */
static ssize_t procs_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
			   off_t off)
{
	/*
	 * The rights are the opener's, as the kernel has it: a privileged writer may have been
	 * handed the file.
	 */
	struct enforce_caller caller = {open->opener.uid, open->opener.gid, req->cred.pid};
	const char *word;
	struct cgroup *cgrp;
	size_t pos = 0, n;
	char number[16] = "", *end;
	long pid;
	int err;

	if (!text_next_word(buf, len, &pos, &word, &n))
		return (ssize_t)len;
	if (n < sizeof(number) && !memchr(word, 0, n))
		memcpy(number, word, n);
	pid = strtol(number, &end, 10);
	if (!*number || *end || pid < 0 || pid > INT_MAX ||
	    text_next_word(buf, len, &pos, &word, &n))
		return fs_error(req, EINVAL, "write one pid");
	err = cgroup_of_node(open->node, &cgrp);
	if (err)
		return err;
	err = enforce_procs_write(cgroups_enforce, cgrp, &caller, (pid_t)pid, &req->error);
	cgroup_put(cgrp);
	return err ? err : (ssize_t)len;
}

const struct fs_node_ops cgroup_procs_ops = {
	.name = "cgroup processes",
	.type = S_IFREG,
	.slow = true,
	.short_show = true,
	.show = procs_show,
	.write = procs_write,
};

const struct fs_node_ops cgroup_stats_ops = {
	.name = "cgroup stats",
	.type = S_IFREG,
	.show = stats_show,
};

/* ---- ingress.run, egress.run */

static int cgroup_run_open(struct fs_open *open, struct fs_req *req)
{
	struct cgroup *cgrp;
	int err = cgroup_of_node(open->node, &cgrp);

	return err ? err : run_open_cgroup(open, cgrp, open->node->attr->arg);
}

const struct fs_node_ops cgroup_run_ops = {
	.name = "cgroup run",
	.type = S_IFREG,
	.slow = true,
	.is_long = run_is_long,
	.fresh = true,
	.open = cgroup_run_open,
	.read = run_read,
	.write = run_write,
	.flush = run_flush,
	.release = run_release,
	.keep = run_keep,
	.restore = run_restore,
};
