/*
 * change.h - names that are made, moved and removed, with their nodes and their charge
 */
#ifndef UBPFFS_FS_STORE_STATE_DIRS_CHANGE_H
#define UBPFFS_FS_STORE_STATE_DIRS_CHANGE_H

#include "fs/node/node.h"

/* Of a file, directory or symbolic link, by any descriptor. -errno. */
int tree_chown(int fd, uid_t uid, gid_t gid);

/*
 * Changes of names; tree_wrlock held (but in pending/). Each keeps the nodes' places (node.h) and
 * what the owners of directories and symlinks are charged (LIMIT_NAMES). 0, or -errno and why.
 */
/* mkdir with owner and bits; the parent is a directory of the tree. */
int tree_mkdir(int dirfd, const char *name, mode_t mode, const struct fs_cred *cred,
	       struct error_record *why);
/* The same in pending/, which a start empties: owner and bits need not come with the name. */
int tree_mkdir_pending(int dirfd, const char *name, mode_t mode, const struct fs_cred *cred,
		       struct error_record *why);
int tree_symlink(int dirfd, const char *name, const char *target, const struct fs_cred *cred,
		 struct error_record *why);
int tree_rmdir(int dirfd, const char *name, struct error_record *why);
/* Of a name that may be a symlink; those of objects are counted by the store. */
int tree_unlink(int dirfd, const char *name, struct error_record *why);
int tree_rename(struct fs_node *dir, const char *name, struct fs_node *newdir, const char *newname,
		unsigned int flags, struct error_record *why);
/*
 * From one directory of the server's to another: nobody knows the name yet, or it is taken back
 * before anybody does.
 */
int tree_move(int dirfd, const char *name, int newdirfd, const char *newname,
	      struct error_record *why);
/*
 * rmdir of a directory that need not be empty: its name is gone at once, and it is in pending/, to
 * be emptied and removed by the caller, or by the next start (publish.h).
 */
#define TREE_ASIDE "gone."
#define TREE_NEW   "new" /* there: what is being made, until it has its owner and bits */
int tree_set_aside(int dirfd, const char *name, char aside[32]);
/* At the start: charge what is there. */
int tree_charge(void);

#endif
