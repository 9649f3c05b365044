/*
 * user_dir.c - see user_dir.h
 *
 * A directory of the user is a directory of the state tree and its operations are the ones there.
 * The only regular files in it are pins: hard links of objects/<id>.
 */
#include "fs/dirs/user_dir.h"
#include "fs/store/resolve.h"
#include "fs/store/state/dirs/change.h"
#include "fs/store/state/dirs/list.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/node_object.h"
#include "fs/store/objects/names.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

static const struct fs_node_ops symlink_ops;

const struct fs_node_ops *object_file_ops[STORE_KINDS];
const struct fs_node_ops *pin_ops[STORE_KINDS];

ssize_t object_read(struct fs_open *open, struct fs_req *req, char *buf, size_t len, off_t off)
{
	return 0;
}

ssize_t pin_read(struct fs_open *open, struct fs_req *req, char *buf, size_t len, off_t off)
{
	return fs_error(req, EIO, "a pin has no bytes to copy: ln it, or mv it within the mount");
}

/* sendfile(2) would not ask a file of size 0. */
u64 pin_size(struct fs_node *node, struct fs_req *req)
{
	return 1;
}

/* ---- finding */

static int object_node(struct fs_node *dir, const char *name, struct store_object *obj,
		       const struct fs_node_ops *ops, struct fs_node **out)
{
	int err = fs_node_tree(dir, name, obj->ino, obj->id, ops, out);

	if (!err)
		store_bind(*out, obj);
	return err;
}

int fs_object_node(struct fs_node *dir, const char *name, struct store_object *obj,
		   struct fs_node **out)
{
	return object_node(dir, name, obj, object_file_ops[obj->kind], out);
}

/* Gives *out the reference on the node, or drops it. */
static int resolved(struct fs_node *node, struct fs_node **out)
{
	int err = node->ops->object ? store_resolve(node) : 0;

	if (err)
		fs_node_put(node);
	else
		*out = node;
	return err;
}

static int dir_node(struct fs_node *parent, const char *name, u64 ino,
		    const struct fs_node_ops *ops, struct fs_node **out)
{
	struct fs_node *dir = NULL;
	int err = fs_node_tree(parent, name, ino, 0, ops, &dir);

	return err ? err : resolved(dir, out);
}

int fs_tree_lookup(struct fs_node *dir, const char *name, const struct fs_node_ops *dir_ops,
		   struct fs_node **out)
{
	struct store_object *obj;
	struct fs_node *known;
	struct stat st;
	int err;

	if (!tree_name_ok(name))
		return strlen(name) > NAME_MAX ? -ENAMETOOLONG : -EINVAL;
	known = fs_node_by_name(dir, name);
	if (known)
		return resolved(known, out);
	if (fstatat(fs_node_fd(dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return dir_node(dir, name, st.st_ino, dir_ops, out);
	if (S_ISLNK(st.st_mode))
		return fs_node_tree(dir, name, st.st_ino, 0, &symlink_ops, out);
	err = store_by_ino(st.st_ino, &obj);
	if (err)
		return err;
	err = object_node(dir, name, obj, pin_ops[obj->kind], out);
	store_put(obj);
	return err;
}

static int user_lookup(struct fs_node *dir, struct fs_req *req, const char *name,
		       struct fs_node **out)
{
	int err;

	tree_rdlock();
	err = fs_tree_lookup(dir, name, &user_dir_ops, out);
	tree_unlock();
	return err;
}

/* ---- listing: the names are read once a listing, at its start, and held until it is closed */

static int list(struct fs_open *open, struct fs_req *req, bool hidden, struct tree_names *names)
{
	int err;

	fs_open_let(open, names->bytes);
	tree_names_free(names);
	tree_rdlock();
	err = tree_list(fs_node_fd(open->node), hidden, names);
	tree_unlock();
	if (!err)
		err = fs_open_hold(open, names->bytes, fs_why(req));
	if (err)
		tree_names_free(names);
	return err;
}

int rows_readdir(struct fs_open *open, struct fs_req *req, const struct fs_attr *rows, u64 own,
		 bool hidden, u64 cursor, fs_emit_fn emit, void *arg)
{
	struct tree_names *names = open->priv;

	for (; cursor < own; cursor++)
		if (rows[cursor].name[0] != '.' &&
		    !emit(arg, rows[cursor].name, cursor + 1, rows[cursor].ops->type,
			  open->node->ino << 8 | (cursor + 1)))
			return 0;
	if (cursor == own || !names) {
		int err;

		if (!names)
			names = calloc(1, sizeof(*names));
		if (!names)
			return -ENOMEM;
		open->priv = names;
		err = list(open, req, hidden, names);
		if (err)
			return err;
	}
	for (; cursor - own < names->n; cursor++) {
		const struct tree_name *name = &names->v[cursor - own];

		if (!emit(arg, name->name, cursor + 1, name->type, name->ino))
			break;
	}
	return 0;
}

int user_readdir(struct fs_open *open, struct fs_req *req, u64 cursor, fs_emit_fn emit, void *arg)
{
	return rows_readdir(open, req, NULL, 0, true, cursor, emit, arg);
}

void user_release(struct fs_open *open)
{
	if (open->priv)
		tree_names_free(open->priv);
	free(open->priv);
}

/* ---- changing */

static int check_name(struct fs_node *dir, struct fs_req *req, const char *name)
{
	if (dir->ops->reserved && dir->ops->reserved(name))
		return fs_error(req, EPERM, "%s is the filesystem's own name", name);
	return tree_name_ok(name) ? 0 : fs_error(req, EINVAL, "\"%s\" cannot be a name", name);
}

int user_mkdir(struct fs_node *dir, struct fs_req *req, const char *name, mode_t mode,
	       struct fs_node **out)
{
	int err = check_name(dir, req, name);

	if (err)
		return err;
	tree_wrlock();
	err = tree_mkdir(fs_node_fd(dir), name, mode, &req->cred, fs_why(req));
	if (!err) {
		err = fs_tree_lookup(dir, name, &user_dir_ops, out);
		if (err)
			tree_rmdir(fs_node_fd(dir), name, NULL);
	}
	tree_unlock();
	return err;
}

int user_symlink(struct fs_node *dir, struct fs_req *req, const char *name, const char *target,
		 struct fs_node **out)
{
	int err = check_name(dir, req, name);

	if (err)
		return err;
	tree_wrlock();
	err = tree_symlink(fs_node_fd(dir), name, target, &req->cred, fs_why(req));
	if (!err) {
		err = fs_tree_lookup(dir, name, &user_dir_ops, out);
		if (err)
			tree_unlink(fs_node_fd(dir), name, NULL);
	}
	tree_unlock();
	return err;
}

int user_link(struct fs_node *dir, struct fs_req *req, const char *name, struct fs_node *node,
	      struct fs_node **out)
{
	struct store_object *obj;
	int err;

	if (!node->object)
		return fs_error(
			req, EPERM,
			"only an object can be pinned: ln .../progs/<x>/prog or .../maps/<m>/map");
	err = check_name(dir, req, name);
	if (err)
		return err;
	tree_wrlock();
	err = store_of_node(node, &obj);
	if (!err) {
		err = resolve_may_link(
			req, obj); /* the kernel asks only where fs.protected_hardlinks says so */
		if (!err)
			err = store_link(obj, fs_node_fd(dir), name, fs_why(req));
		if (!err) {
			err = object_node(dir, name, obj, pin_ops[obj->kind], out);
			if (err && !tree_unlink(fs_node_fd(dir), name, NULL))
				store_names_changed(obj);
		}
		store_put(obj);
	}
	tree_unlock();
	return err;
}

/* The object behind a name that is to go. *out is NULL: there is none, or it is no object. */
static int object_at(int dirfd, const char *name, struct store_object **out)
{
	struct stat st;

	*out = NULL;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISREG(st.st_mode))
		store_by_ino(st.st_ino, out);
	return 0;
}

static void object_names_changed(struct store_object *obj)
{
	if (!obj)
		return;
	store_names_changed(obj);
	store_put(obj);
}

int user_unlink(struct fs_node *dir, struct fs_req *req, const char *name)
{
	struct store_object *obj;
	int err = check_name(dir, req, name);

	if (err)
		return err;
	tree_wrlock();
	err = object_at(fs_node_fd(dir), name, &obj);
	if (!err)
		err = tree_unlink(fs_node_fd(dir), name, fs_why(req));
	object_names_changed(obj);
	tree_unlock();
	return err;
}

int user_rmdir(struct fs_node *dir, struct fs_req *req, const char *name)
{
	int err = check_name(dir, req, name);

	if (err)
		return err;
	tree_wrlock();
	err = tree_rmdir(fs_node_fd(dir), name, fs_why(req));
	tree_unlock();
	return err;
}

int user_rename(struct fs_node *dir, struct fs_req *req, const char *name, struct fs_node *newdir,
		const char *newname, unsigned int flags)
{
	struct store_object *target;
	int err;

	if (newdir->ops->rename != user_rename)
		return fs_error(req, EPERM,
				"this directory shows objects: ln an object's file into your own "
				"directories instead");
	err = check_name(dir, req, name);
	if (!err)
		err = check_name(newdir, req, newname);
	if (!err && flags & ~(unsigned int)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		err = fs_error(req, EINVAL,
			       "a name is moved, or two are exchanged: no other flags");
	if (err)
		return err;
	tree_wrlock();
	err = object_at(fs_node_fd(newdir), newname, &target);
	if (!err)
		err = tree_rename(dir, name, newdir, newname, flags, fs_why(req));
	object_names_changed(target);
	tree_unlock();
	return err;
}

const struct fs_node_ops user_dir_ops = {
	.name = "directory",
	.type = S_IFDIR,
	.stable = true,
	.lookup = user_lookup,
	.readdir = user_readdir,
	.release = user_release,
	.mkdir = user_mkdir,
	.symlink = user_symlink,
	.unlink = user_unlink,
	.rmdir = user_rmdir,
	.link = user_link,
	.rename = user_rename,
};
FS_KIND(user_dir_ops, "directory");

static int waiting_readlink(struct fs_node *node, struct fs_req *req, char *buf, size_t len)
{
	snprintf(buf, len, ".%s", node->attr->name);
	return 0;
}

const struct fs_node_ops waiting_link_ops = {
	.name = "link to a file whose readers wait",
	.type = S_IFLNK,
	.readlink = waiting_readlink,
};

static const struct fs_node_ops symlink_ops = {
	.name = "symlink",
	.type = S_IFLNK,
};
FS_KIND(symlink_ops, "symlink");
