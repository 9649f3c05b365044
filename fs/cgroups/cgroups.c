/*
 * cgroups.c - M/cgroup: its directories, made, removed, and read back at the start (see cgroups.h)
 *
 * Lock order: tree_lock, then the places', then the model's.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include "fs/cgroups/attach_file.h"
#include "fs/cgroups/files.h"
#include "fs/cgroups/lookup/id.h"
#include "fs/cgroups/attachments.h"
#include "fs/cgroups/lookup/lookup.h"
#include "fs/cgroups/cgroups.h"
#include "fs/dirs/user_dir.h"
#include "fs/enforce/enforce.h"
#include "fs/store/state/problem.h"
#include "fs/store/link.h"
#include "fs/store/state/dirs/change.h"
#include "fs/store/state/dirs/list.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_tree.h"

static const struct fs_attr cgroup_attrs[] = {
	{"ingress.attach", 0666, &cgroup_attach_ops, CGROUP_INET_INGRESS},
	{"egress.attach", 0666, &cgroup_attach_ops, CGROUP_INET_EGRESS},
	{"ingress.effective", 0444, &cgroup_effective_ops, CGROUP_INET_INGRESS},
	{"egress.effective", 0444, &cgroup_effective_ops, CGROUP_INET_EGRESS},
	{"ingress.run", 0666, &cgroup_run_ops, CGROUP_INET_INGRESS},
	{"egress.run", 0666, &cgroup_run_ops, CGROUP_INET_EGRESS},
	{"cgroup.procs", 0666, &cgroup_procs_ops, 0},
	{"stats", 0444, &cgroup_stats_ops, 0},
};

static int find_row(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(cgroup_attrs); i++)
		if (!strcmp(name, cgroup_attrs[i].name))
			return (int)i;
	return -1;
}

static int dir_lookup(struct fs_node *dir, struct fs_req *req, const char *name,
		      struct fs_node **out)
{
	int row = find_row(name), err;

	if (row >= 0)
		return fs_node_attr(dir, cgroup_attrs, (u32)row, out);
	if (name[0] == '.')
		return -ENOENT;
	tree_rdlock();
	err = fs_tree_lookup(dir, name, &cgroup_dir_ops, out);
	tree_unlock();
	return err;
}

static int dir_readdir(struct fs_open *open, struct fs_req *req, u64 cursor, fs_emit_fn emit,
		       void *arg)
{
	return rows_readdir(open, req, cgroup_attrs, ARRAY_SIZE(cgroup_attrs), false, cursor, emit,
			    arg);
}

/* A cgroup of the model for a directory that is there, with its inode; tree_lock held. */
static int adopt(struct cgroup *parent, const char *parent_path, const char *name, int fd, u64 *ino,
		 struct error_record *why)
{
	struct cgroup *cgrp;
	char path[PATH_MAX];
	struct stat st;
	u64 id;
	int err;

	if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
		return -errno;
	*ino = st.st_ino;
	err = cgroup_dir_id(fd, &id);
	if (!err)
		err = cgroup_create(parent, id, &cgrp);
	if (err == -EAGAIN)
		error_set(why, EAGAIN, "cgroups are at most %d deep", CGROUP_MAX_DEPTH);
	if (err)
		return err;
	if (!strcmp(parent_path, "."))
		snprintf(path, sizeof(path), "%s", name);
	else
		snprintf(path, sizeof(path), "%.2000s/%.255s", parent_path, name);
	err = enforce_cgroup_add(cgroups_enforce, path, cgrp);
	if (err == -EEXIST)
		error_set(why, EEXIST, "the host's cgroup has a %s that somebody else made", name);
	if (!err) {
		err = cgroup_lookup_add(st.st_ino, cgrp, path);
		if (err)
			enforce_cgroup_remove(cgroups_enforce, cgrp);
	}
	if (err) {
		cgroup_remove(cgrp);
		cgroup_put(cgrp);
	}
	return err;
}

/* What adopt() did; no process has come yet. */
static void disown(u64 ino)
{
	struct cgroup *cgrp = cgroup_lookup_get(ino, NULL, 0);

	if (cgrp && !enforce_cgroup_remove(cgroups_enforce, cgrp) && !cgroup_remove(cgrp))
		cgroup_lookup_remove(ino);
	cgroup_put(cgrp);
}

static int dir_mkdir(struct fs_node *dir, struct fs_req *req, const char *name, mode_t mode,
		     struct fs_node **out)
{
	struct cgroup *parent;
	char path[PATH_MAX];
	u64 ino = 0;
	int err, fd;

	if (name[0] == '.' || find_row(name) >= 0)
		return fs_error(req, EINVAL, "%s cannot be a cgroup's name", name);
	tree_wrlock();
	parent = cgroup_lookup_get(dir->ino, path, sizeof(path));
	err = parent ? tree_mkdir(fs_node_fd(dir), name, mode, &req->cred, fs_why(req)) : -ENOENT;
	if (!err) {
		fd = tree_openat(fs_node_fd(dir), name);
		err = fd < 0 ? fd : adopt(parent, path, name, fd, &ino, fs_why(req));
		if (!err) {
			err = fs_tree_lookup(dir, name, &cgroup_dir_ops, out);
			if (err)
				disown(ino);
		}
		if (err && fd >= 0)
			cgroup_dir_id_remove(fd);
		if (fd >= 0)
			close(fd);
		if (err)
			tree_rmdir(fs_node_fd(dir), name, NULL);
	}
	tree_unlock();
	cgroup_put(parent);
	return err;
}

static int dir_rmdir(struct fs_node *dir, struct fs_req *req, const char *name)
{
	struct cgroup *cgrp = NULL;
	struct stat st;
	int err, fd;

	if (find_row(name) >= 0)
		return -ENOTDIR;
	tree_wrlock();
	fd = openat(fs_node_fd(dir), name, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	err = fd < 0 || fstat(fd, &st) < 0 ? -errno : 0;
	if (!err) {
		/* None: a mkdir that failed could not take its directory back, or an rmdir its. */
		cgrp = cgroup_lookup_get(st.st_ino, NULL, 0);
		err = cgrp ? enforce_cgroup_remove(cgroups_enforce, cgrp) : 0;
		if (err == -EBUSY)
			fs_error(req, EBUSY,
				 "the host's cgroup has processes, or directories that somebody "
				 "else made");
		if (!err && cgrp)
			err = cgroup_remove(cgrp);
		if (err == -EBUSY)
			fs_error(req, EBUSY, "the cgroup has children: rmdir those first");
	}
	if (!err) {
		cgroup_links_remove(fd);
		tree_remove_hidden(fd, NULL);
		err = tree_rmdir(fs_node_fd(dir), name, fs_why(req));
		cgroup_lookup_remove(st.st_ino);
	}
	tree_unlock();
	if (fd >= 0)
		close(fd);
	cgroup_put(cgrp);
	return err;
}

static int dir_unlink(struct fs_node *dir, struct fs_req *req, const char *name)
{
	return fs_error(req, EPERM, "the files of a cgroup go with it: rmdir its directory");
}

static int dir_rename(struct fs_node *dir, struct fs_req *req, const char *name,
		      struct fs_node *newdir, const char *newname, unsigned int flags)
{
	return fs_error(req, EPERM, "cgroups are not renamed or moved");
}

const struct fs_node_ops cgroup_dir_ops = {
	.name = "cgroup",
	.type = S_IFDIR,
	.rows = cgroup_attrs,
	.nr_rows = ARRAY_SIZE(cgroup_attrs),
	.lookup = dir_lookup,
	.readdir = dir_readdir,
	.release = user_release,
	.mkdir = dir_mkdir,
	.unlink = dir_unlink,
	.rmdir = dir_rmdir,
	.rename = dir_rename,
};
FS_KIND(cgroup_dir_ops, "cgroup");

/* ---- start */

/*
 * Cgroups are made parents first, and programs attached children first: what a parent has now,
 * `exclusive` perhaps, may have come after what its children have, and would refuse them.
 */
static int start_dir(int fd, const char *path)
{
	struct tree_names names;
	struct cgroup *cgrp;
	char child_path[PATH_MAX], known[PATH_MAX];
	struct stat st;
	u64 ino;
	int err;

	if (fstat(fd, &st) < 0)
		return -errno;
	cgrp = cgroup_lookup_get(st.st_ino, known, sizeof(known));
	if (!cgrp)
		return -ENOENT;
	err = tree_list(fd, false, &names);
	for (size_t i = 0; !err && i < names.n; i++) {
		int child = openat(fd, names.v[i].name, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (child < 0 && (errno == ENOTDIR || errno == ELOOP)) {
			snprintf(child_path, sizeof(child_path), "tree/cgroup/%.2000s/%.255s", path,
				 names.v[i].name);
			state_problem(child_path, "foreign", REMEDY_NONE, "it is no directory");
			continue;
		}
		if (child < 0) {
			err = -errno;
			break;
		}
		err = adopt(cgrp, known, names.v[i].name, child, &ino, NULL);
		snprintf(child_path, sizeof(child_path), "%.2000s/%.255s", path, names.v[i].name);
		if (!err)
			err = start_dir(child, child_path);
		close(child);
	}
	tree_names_free(&names);
	if (!err)
		err = cgroup_links_restore(fd, cgrp, path);
	cgroup_put(cgrp);
	return err;
}

static int sweep_storages(void)
{
	size_t nr;
	u64 *ids = cgroup_lookup_ids(&nr);

	if (!ids)
		return -ENOMEM;
	cgroup_ids_sweep(ids, nr);
	free(ids);
	return 0;
}

int cgroups_start(struct enforce *enforce)
{
	int fd = openat(tree.tree_fd, "cgroup", O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), err;
	struct cgroup *root;
	struct stat st;

	cgroups_enforce = enforce;
	if (fd < 0)
		return -errno;
	root = cgroup_root_new();
	if (!root || fstat(fd, &st) < 0) {
		err = root ? -errno : -ENOMEM;
		close(fd);
		cgroup_put(root);
		return err;
	}
	err = cgroup_lookup_add(st.st_ino, root, ".");
	if (!err)
		err = enforce_cgroup_add(cgroups_enforce, ".", root);
	if (!err)
		err = start_dir(fd, ".");
	close(fd);
	if (!err)
		err = sweep_storages();
	if (!err)
		links_start(cgroup_lookup_by_id);
	return err;
}

void cgroups_stop(void)
{
	/* What belongs to cgroups stays for the next server. */
	bpf_map_keep_slots = true;
	cgroup_lookup_drop_all();
}
