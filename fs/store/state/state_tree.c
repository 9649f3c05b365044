/*
 * state_tree.c - the state directory while it is open: its descriptors, its lock, its errors
 *
 * Every access is by *at() calls from a descriptor, one component at a time, without following
 * symlinks.
 */
#include "fs/store/state/state_tree.h"
#include "fs/node/tree_stat.h"

#include <stdio.h>

struct tree tree = {.dir_fd = -1, .objects_fd = -1, .tree_fd = -1, .pending_fd = -1, .lock_fd = -1};

static pthread_rwlock_t tree_lock = PTHREAD_RWLOCK_INITIALIZER;
static bool writing; /* tree_lock is held for writing; written by who does */

void tree_rdlock(void)
{
	pthread_rwlock_rdlock(&tree_lock);
}

void tree_wrlock(void)
{
	pthread_rwlock_wrlock(&tree_lock);
	writing = true;
}

void tree_unlock(void)
{
	if (writing) {
		fs_attrs_changed();
		writing = false;
	}
	pthread_rwlock_unlock(&tree_lock);
}

bool tree_err_passes(int err)
{
	return err == -ENOMEM || err == -EMFILE || err == -ENFILE || err == -EAGAIN ||
	       err == -EINTR;
}

int tree_error(struct error_record *why, int err, const char *name)
{
	switch (err) {
	case EEXIST:
		return error_set(why, err, "%s is there already: remove it, or take another name",
				 name);
	case ENOTEMPTY:
		return error_set(why, err, "%s is not empty: remove what is in it first", name);
	case EMLINK:
		return error_set(why, err,
				 "the filesystem of the state directory gives one file or "
				 "directory no more links: remove some");
	case ENOSPC:
	case EDQUOT:
		return error_set(why, err,
				 "the filesystem of the state directory (%s) is full, or its quota "
				 "used up: make room there",
				 tree.path);
	default:
		return error_set(why, err, "%s, in the state directory: %s", name, strerror(err));
	}
}

int tree_foreign(struct error_record *why, uid_t uid)
{
	return error_set(why, EPERM, "this server is not root and cannot make anything for uid %u",
			 uid);
}
