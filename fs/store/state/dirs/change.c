/*
 * change.c - see change.h
 */
#include "fs/store/state/dirs/change.h"
#include "fs/caller/limits.h"
#include "fs/fuse/protocol/mounter.h"
#include "fs/lib/reopen.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_tree.h"

#include <fcntl.h>
#include <stdio.h>

/*
 * Root's server changes nothing by a path (sandbox/sandbox.c), and a symbolic link cannot be opened
 * in another way.
 */
int tree_chown(int fd, uid_t uid, gid_t gid)
{
	__do_close int again = -1;
	struct stat st;

	if (!tree.may_chown)
		return fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) ? -errno : 0;
	if (fstatat(fd, "", &st, AT_EMPTY_PATH))
		return -errno;
	if (S_ISLNK(st.st_mode))
		return mounter_own_link(fd, uid, gid);
	again = reopen(fd);
	return again < 0 || fchown(again, uid, gid) ? -errno : 0;
}

/* Give a new directory or link its owner (gid: the parent's when that is setgid). */
static int tree_own(int fd, const char *name, const struct fs_cred *cred, const struct stat *parent,
		    struct error_record *why)
{
	gid_t gid = parent->st_mode & S_ISGID ? parent->st_gid : cred->gid;
	int err;

	if (!tree.may_chown && cred->uid != geteuid())
		return tree_foreign(why, cred->uid);
	if (!tree.may_chown) {
		if (parent->st_mode & S_ISGID) /* made elsewhere: as the kernel would, if we may */
			(void)tree_chown(fd, -1, gid);
		return 0;
	}
	err = tree_chown(fd, cred->uid, gid);
	return err ? tree_error(why, -err, name) : 0;
}

/* parent: what its owner and bits follow from. */
static int make_dir(int dirfd, const char *name, mode_t mode, const struct fs_cred *cred,
		    const struct stat *parent, struct error_record *why)
{
	__do_close int fd = -1;
	int err;

	if (durable_mkdirat(dirfd, name, 0700) < 0)
		return tree_error(why, errno, name);
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	err = fd < 0 ? tree_error(why, errno, name) : tree_own(fd, name, cred, parent, why);
	if (!err && fchmod(fd, (mode & 01777) | (parent->st_mode & S_ISGID)) < 0)
		err = tree_error(why, errno, name);
	if (!err)
		durable_file(fd); /* its owner and bits; its name is noted */
	if (err)
		durable_unlinkat(dirfd, name, AT_REMOVEDIR);
	return err;
}

static int make_symlink(int dirfd, const char *name, const char *target, const struct fs_cred *cred,
			const struct stat *parent, struct error_record *why)
{
	__do_close int fd = -1;
	int err;

	if (durable_symlinkat(target, dirfd, name) < 0)
		return tree_error(why, errno, name);
	fd = tree_openat(dirfd, name);
	err = fd < 0 ? tree_error(why, -fd, name) : tree_own(fd, name, cred, parent, why);
	if (err)
		durable_unlinkat(dirfd, name, 0);
	else
		durable_file(fd);
	return err;
}

/* Under tree_wrlock nobody makes the name meanwhile. */
static int begin_aside(int dirfd, const char *name, struct stat *dir, struct error_record *why)
{
	int there = tree_has(dirfd, name);

	if (there)
		return there < 0 ? there : tree_error(why, EEXIST, name);
	if (fstatat(dirfd, "", dir, AT_EMPTY_PATH) < 0)
		return -errno;
	/* One that could not be removed. */
	if (tree_has(tree.pending_fd, TREE_NEW) &&
	    durable_unlinkat(tree.pending_fd, TREE_NEW, 0) < 0)
		durable_unlinkat(tree.pending_fd, TREE_NEW, AT_REMOVEDIR);
	return 0;
}

static int end_aside(int dirfd, const char *name, int flags, struct error_record *why)
{
	int err = durable_settle(why);

	if (!err && durable_renameat2(tree.pending_fd, TREE_NEW, dirfd, name, 0) < 0)
		err = tree_error(why, errno, name);
	if (err)
		durable_unlinkat(tree.pending_fd, TREE_NEW, flags);
	return err;
}

/* Names come with owner and bits, whoever is killed: what has these is made aside. */
static int make_dir_aside(int dirfd, const char *name, mode_t mode, const struct fs_cred *cred,
			  struct error_record *why)
{
	struct stat dir;
	int err = begin_aside(dirfd, name, &dir, why);

	if (!err)
		err = make_dir(tree.pending_fd, TREE_NEW, mode, cred, &dir, why);
	return err ? err : end_aside(dirfd, name, AT_REMOVEDIR, why);
}

static int charged_mkdir(int dirfd, const char *name, mode_t mode, const struct fs_cred *cred,
			 bool aside, struct error_record *why)
{
	struct stat dir;
	int err;

	if (!tree_name_ok(name))
		return error_set(why, EINVAL, "\"%s\" cannot be a name", name);
	err = limits_charge(cred->uid, LIMIT_NAMES, 1, why);
	if (err)
		return err;
	if (aside)
		err = make_dir_aside(dirfd, name, mode, cred, why);
	else if (fstatat(dirfd, "", &dir, AT_EMPTY_PATH) < 0)
		err = -errno;
	else
		err = make_dir(dirfd, name, mode, cred, &dir, why);
	if (err)
		limits_uncharge(cred->uid, LIMIT_NAMES, 1);
	return err;
}

int tree_mkdir(int dirfd, const char *name, mode_t mode, const struct fs_cred *cred,
	       struct error_record *why)
{
	return charged_mkdir(dirfd, name, mode, cred, true, why);
}

int tree_mkdir_pending(int dirfd, const char *name, mode_t mode, const struct fs_cred *cred,
		       struct error_record *why)
{
	return charged_mkdir(dirfd, name, mode, cred, false, why);
}

int tree_symlink(int dirfd, const char *name, const char *target, const struct fs_cred *cred,
		 struct error_record *why)
{
	struct stat dir;
	int err = limits_charge(cred->uid, LIMIT_NAMES, 1, why);

	if (err)
		return err;
	err = begin_aside(dirfd, name, &dir, why);
	if (!err)
		err = make_symlink(tree.pending_fd, TREE_NEW, target, cred, &dir, why);
	if (!err)
		err = end_aside(dirfd, name, 0, why);
	if (err)
		limits_uncharge(cred->uid, LIMIT_NAMES, 1);
	return err;
}

/* A directory or symlink is no more. */
static void __name_gone(const struct stat *st)
{
	if (S_ISREG(st->st_mode))
		return;
	limits_uncharge(st->st_uid, LIMIT_NAMES, 1);
	__fs_node_gone(st);
}

static int name_remove(int dirfd, const char *name, int flags, struct error_record *why)
{
	struct stat st;
	int err = 0;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	__fs_nodes_lock();
	if (durable_unlinkat(dirfd, name, flags) < 0) /* some filesystems say it so */
		err = tree_error(why, errno == EEXIST ? ENOTEMPTY : errno, name);
	else
		__name_gone(&st);
	__fs_nodes_unlock();
	return err;
}

int tree_rmdir(int dirfd, const char *name, struct error_record *why)
{
	return name_remove(dirfd, name, AT_REMOVEDIR, why);
}

int tree_set_aside(int dirfd, const char *name, char aside[32])
{
	struct stat st;
	int err = 0;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	snprintf(aside, 32, TREE_ASIDE "%llu", (unsigned long long)st.st_ino);
	__fs_nodes_lock();
	if (durable_renameat2(dirfd, name, tree.pending_fd, aside, 0) < 0)
		err = -errno;
	else
		__name_gone(&st);
	__fs_nodes_unlock();
	return err;
}

int tree_unlink(int dirfd, const char *name, struct error_record *why)
{
	return name_remove(dirfd, name, 0, why);
}

/* The nodes of the two directories, or NULL for what no client knows yet. */
static int name_move(struct fs_node *dir, int dirfd, const char *name, struct fs_node *newdir,
		     int newfd, const char *newname, unsigned int flags, struct error_record *why)
{
	__do_free char *to = newdir ? strdup(newname) : NULL, *from = dir ? strdup(name) : NULL;
	struct stat st, target;
	bool replaces;
	int err = 0;

	if ((newdir && !to) || (dir && !from))
		return -ENOMEM;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	replaces = !fstatat(newfd, newname, &target, AT_SYMLINK_NOFOLLOW);
	if (!replaces && errno != ENOENT)
		return -errno;
	__fs_nodes_lock();
	if (durable_renameat2(dirfd, name, newfd, newname, flags) < 0) {
		err = tree_error(why, errno, newname);
	} else if (!replaces || st.st_ino != target.st_ino) {
		if (newdir)
			__fs_node_moved(st.st_ino, newdir, &to);
		if (replaces && !(flags & RENAME_EXCHANGE))
			__name_gone(&target);
		else if (replaces && dir)
			__fs_node_moved(target.st_ino, dir, &from);
	}
	__fs_nodes_unlock();
	return err;
}

int tree_rename(struct fs_node *dir, const char *name, struct fs_node *newdir, const char *newname,
		unsigned int flags, struct error_record *why)
{
	return name_move(dir, fs_node_fd(dir), name, newdir, fs_node_fd(newdir), newname, flags,
			 why);
}

int tree_move(int dirfd, const char *name, int newdirfd, const char *newname,
	      struct error_record *why)
{
	return name_move(NULL, dirfd, name, NULL, newdirfd, newname, 0, why);
}
