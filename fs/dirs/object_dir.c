/*
 * object_dir.c - see object_dir.h
 *
 * States of such a directory: alive (the object's link is there), incomplete (only maps: a
 * definition is being written), dropped (neither: what is left of an rm -r).
 */
#include "fs/dirs/object_dir.h"
#include "fs/dirs/user_dir.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/dirs/change.h"
#include "fs/store/state/dirs/list.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/node_object.h"
#include "fs/store/objects/names.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

static bool is_dropped(const struct objdir_kind *kind, struct fs_node *dir)
{
	return !store_node_named(dir) && !(kind->incomplete && kind->incomplete(dir));
}

/* -errno: nobody can say now. */
static int row_visible(const struct objdir_kind *kind, struct fs_node *dir, u32 row, bool alive)
{
	return !kind->visible || kind->visible(dir, row, alive);
}

/* Two rows may have one name, for a file that is of this or that kind. */
static int visible_row(const struct objdir_kind *kind, struct fs_node *dir, const char *name,
		       u32 *row)
{
	bool alive = store_node_named(dir);
	int seen;

	for (; *row < kind->attr_cnt; ++*row) {
		if (strcmp(kind->attrs[*row].name, name))
			continue;
		seen = row_visible(kind, dir, *row, alive);
		if (seen)
			return seen < 0 ? seen : 0;
	}
	return -ENOENT;
}

static int find_row(const struct objdir_kind *kind, const char *name, u32 *row)
{
	for (*row = 0; *row < kind->attr_cnt; ++*row)
		if (!strcmp(kind->attrs[*row].name, name))
			return 0;
	return -ENOENT;
}

int objdir_lookup(const struct objdir_kind *kind, struct fs_node *dir, const char *name,
		  struct fs_node **out)
{
	struct store_object *obj;
	u32 row;
	int err;

	tree_rdlock();
	if (!strcmp(name, kind->object)) {
		err = store_of_node(dir, &obj);
		if (!err) {
			err = fs_object_node(dir, name, obj, out);
			store_put(obj);
		}
	} else {
		err = find_row(kind, name, &row);
		/* What was dropped is still found, so that rm can unlink what it has listed. */
		if (!err && !is_dropped(kind, dir))
			err = visible_row(kind, dir, name, &row);
		if (!err)
			err = fs_node_attr(dir, kind->attrs, row, out);
	}
	tree_unlock();
	return err;
}

int objdir_readdir(const struct objdir_kind *kind, struct fs_open *open, u64 cursor,
		   fs_emit_fn emit, void *arg)
{
	struct fs_node *dir = open->node;
	struct store_object *obj;
	u64 ino = 0;
	bool alive;
	int err = 0;

	tree_rdlock();
	alive = store_node_named(dir);
	if (!store_of_node(dir, &obj)) {
		ino = obj->ino;
		store_put(obj);
	}
	if (is_dropped(kind, dir))
		cursor = kind->attr_cnt + 1;
	/* The object first: rm -r starts with it, and then the rest goes without harm. */
	if (!cursor) {
		cursor = 1;
		if (alive && !emit(arg, kind->object, 1, S_IFREG, ino))
			cursor = kind->attr_cnt + 1;
	}
	for (; cursor <= kind->attr_cnt; cursor++) {
		const struct fs_attr *attr = &kind->attrs[cursor - 1];
		int seen = attr->name[0] == '.' ? 0 : row_visible(kind, dir, cursor - 1, alive);

		if (seen < 0) {
			err = seen;
			break;
		}
		if (!seen)
			continue;
		if (!emit(arg, attr->name, cursor + 1, attr->ops->type, dir->ino << 8 | cursor))
			break;
	}
	tree_unlock();
	return err;
}

/* tree_wrlock is held. -ENOENT: there is no name to drop. */
static int __objdir_drop(const struct objdir_kind *kind, int dirfd, struct error_record *why)
{
	struct store_object *obj;
	int err = tree_has(dirfd, kind->object);

	if (err <= 0)
		return err ? err : -ENOENT;
	/* First: who is killed in between must not leave what looks like a map to be. */
	if (kind->definition && durable_unlinkat(dirfd, kind->definition, 0) < 0 && errno != ENOENT)
		return tree_error(why, errno, kind->definition);
	err = durable_settle(why); /* after a power loss, too */
	if (err)
		return err;
	err = store_unname(dirfd, kind->object, NULL, &obj, why);
	if (err)
		return err;
	if (obj && kind->dropped)
		kind->dropped(obj);
	store_put(obj);
	return 0;
}

int objdir_unlink(const struct objdir_kind *kind, struct fs_node *dir, struct fs_req *req,
		  const char *name)
{
	int err;
	u32 row;

	if (!strcmp(name, kind->object)) {
		tree_wrlock();
		err = __objdir_drop(kind, fs_node_fd(dir), fs_why(req));
		tree_unlock();
		return err;
	}
	err = find_row(kind, name, &row);
	if (err || is_dropped(kind, dir))
		return err;
	if (!store_node_named(dir) && kind->unlink_incomplete)
		return kind->unlink_incomplete(dir, req, row);
	return fs_error(
		req, EPERM,
		"this file shows the object and goes with it: rm -r the directory, or rm %s",
		kind->object);
}

int objdir_rmdir_child(const struct objdir_kind *kind, struct fs_node *dir, struct fs_req *req,
		       const char *name)
{
	u32 row;

	if (find_row(kind, name, &row))
		return -ENOENT;
	if (is_dropped(kind, dir))
		return 0;
	return fs_error(
		req, EPERM,
		"this directory shows the object and goes with it: rm -r the one above, or rm %s",
		kind->object);
}

static int __objdir_remove(const struct objdir_kind *kind, int parent, const char *name,
			   struct error_record *why)
{
	int fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int err = fd < 0 ? -errno : __objdir_drop(kind, fd, why);

	if (err == -ENOENT && fd >= 0)
		err = tree_remove_hidden(fd, NULL);
	if (!err)
		err = tree_rmdir(parent, name, why);
	if (fd >= 0)
		close(fd);
	return err;
}

int objdir_remove(const struct objdir_kind *kind, struct fs_node *parent, struct fs_req *req,
		  const char *name)
{
	int err;

	if (!tree_name_ok(name) || name[0] == '.')
		return -ENOENT;
	tree_wrlock();
	err = __objdir_remove(kind, fs_node_fd(parent), name, fs_why(req));
	tree_unlock();
	return err;
}

int objdir_mkdir(struct fs_node *parent, struct fs_req *req, const char *name, mode_t mode,
		 const char *def, const struct fs_node_ops *ops, struct fs_node **out)
{
	int err, fd;

	tree_wrlock();
	err = tree_mkdir(fs_node_fd(parent), name, mode, &req->cred, fs_why(req));
	if (!err) {
		fd = tree_openat(fs_node_fd(parent), name);
		err = fd < 0 ? fd : tree_write_small(fd, def, "", 0, fs_why(req));
		if (!err)
			err = fs_tree_lookup(parent, name, ops, out);
		if (err && fd >= 0)
			durable_unlinkat(fd, def, 0);
		if (fd >= 0)
			close(fd);
		if (err)
			tree_rmdir(fs_node_fd(parent), name, NULL);
	}
	tree_unlock();
	return err;
}

int objdir_rename_then(struct fs_node *dir, struct fs_req *req, const char *name,
		       struct fs_node *newdir, const char *newname, unsigned int flags,
		       void (*then)(const char *path, const char *newpath, bool exchange))
{
	char path[PATH_MAX], newpath[PATH_MAX];
	int err = 0;

	if (newdir->ops->rename != dir->ops->rename)
		return fs_error(
			req, EPERM,
			"the directory of an object stays where it is: ln its object's file to "
			"pin it elsewhere");
	if (flags & ~(unsigned int)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	if (!tree_name_ok(newname) || newname[0] == '.')
		return fs_error(req, EINVAL, "a name here does not begin with a dot");
	/* Without NOREPLACE the target must be a directory that lost its object: it is empty. */
	fs_node_path(dir, name, path, sizeof(path));
	fs_node_path(newdir, newname, newpath, sizeof(newpath));
	tree_wrlock();
	err = tree_rename(dir, name, newdir, newname, flags, NULL);
	if (!err && then)
		then(path, newpath, flags & RENAME_EXCHANGE);
	tree_unlock();
	if (err == -EEXIST || err == -ENOTEMPTY)
		return fs_error(req, EEXIST, "%s is taken: remove it first, or exchange the two",
				newname);
	return err ? tree_error(fs_why(req), -err, name) : 0;
}

int objdir_rename(struct fs_node *dir, struct fs_req *req, const char *name, struct fs_node *newdir,
		  const char *newname, unsigned int flags)
{
	return objdir_rename_then(dir, req, name, newdir, newname, flags, NULL);
}
