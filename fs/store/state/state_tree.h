/*
 * state_tree.h - the state directory
 *
 *	DIR/lock        held with flock by the server, whose pid and mount point it says
 *	DIR/version     of all that is here, a number
 *	DIR/next_id     the next object id, in a shared mapping of a file that has its room; up to
 *	                which id the disk knows that they were given; when that counts
 *	DIR/objects/    <id>: a program's image or a map's index file; <id>.values: a map's values
 *	DIR/tree/       the mount: directories, permission bits, owners, symlinks; names and pins
 *	                are hard links of objects/<id>
 *	DIR/pending/    one directory a load that is making names; rolled back at the start
 *
 * Names inside tree/ that a directory kind keeps for itself begin with a dot (".def", ".load") and
 * are never shown or accepted from clients in progs/<x>/ and maps/<x>/.
 *
 * tree_lock: every change of names is made with it held for writing, every lookup and readdir of
 * progs/ and maps/ with it held for reading, so that a load's names appear at once. Lock order:
 * tree_lock, the store's mutex, the node table's.
 */
#ifndef UBPFFS_FS_STORE_STATE_STATE_TREE_H
#define UBPFFS_FS_STORE_STATE_STATE_TREE_H

#include "fs/node/node.h"

/*
 * Another number for every change of what is in DIR, of the image's and the arena's form too. A
 * server goes on with what an older one left, and refuses what a newer one did.
 */
#define STATE_VERSION 2 /* 2: images that say how strictly they were loaded */

struct tree {
	int dir_fd, objects_fd, tree_fd, pending_fd, lock_fd;
	char *path; /* DIR */
	u64 *next_id; /* next_id.h says what of */
	unsigned int version; /* that the state says it is of */
	bool may_chown; /* root: owners can be kept */
};

extern struct tree tree;

void tree_rdlock(void);
void tree_wrlock(void);
void tree_unlock(void);

/*
 * For who has just made a system call that adds something to the state, and was refused: why, and
 * what to do. `name` is what was to be made, changed or removed. Returns -err.
 */
int tree_error(struct error_record *why, int err, const char *name);
/* The same for what the server would have to give to another user, which only root can: -EPERM. */
int tree_foreign(struct error_record *why, uid_t uid);
/* An error that another start may not meet: no memory, no descriptors. */
bool tree_err_passes(int err);

#endif
