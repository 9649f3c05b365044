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

/*
 * Before something of this version is written. An older server can go on as long as there is
 * nothing: a state begins with version 1. 0, or an error that why has.
 */
int tree_begin_version(unsigned int version, struct error_record *why);

struct tree {
	int dir_fd, objects_fd, tree_fd, pending_fd, lock_fd;
	char *path; /* DIR */
	u64 *next_id; /* enum next_id says what of */
	unsigned int version; /* that the state says it is of */
	bool may_chown; /* root: owners can be kept */
};

extern struct tree tree;

/* Words of next_id. With the disk behind (durable.h) the second one holds after a power loss. */
enum next_id {
	ID_NEXT,
	ID_RESERVED, /* none at or above this one was given, as far as the disk knows */
	ID_BOOT, /* of the machine, when a server had it last */
	ID_WORDS
};
/* This id is about to be given. */
void tree_reserve_id(u64 id);

/*
 * Create or check the directory (0700, ours) and lock it; when another server holds the lock, *why
 * says its pid and mount point. *why says what went wrong.
 */
int tree_open(const char *path, const char *mountpoint, struct error_record *why);
/* The same for who only looks (durable_look_only()): nothing is made or written. */
int tree_open_to_look(const char *path, struct error_record *why);
void tree_close(void);
/* The state that another server has now: could this program go on with it? */
int tree_check(const char *path, struct error_record *why);

void tree_rdlock(void);
void tree_wrlock(void);
void tree_unlock(void);

/* A name that may be made: not empty, ".", "..", without "/" and not over NAME_MAX. */
bool tree_name_ok(const char *name);

/* O_PATH, no symlink followed, one component. fd or -errno. */
int tree_openat(int dirfd, const char *name);

/* 1: there is such a name; 0: there is none; -errno: nobody can say now. An error is no absence. */
int tree_has(int dirfd, const char *name);
/* Is this name in the directory `progs` a load directory (load_dir.h)? 1, 0, -errno. */
#define LOAD_DIR_FILE ".place"
int tree_load_dir_at(int progs, const char *name);
/*
 * Open a regular file of the server's own. What is there and is no regular file is never opened, so
 * that no FIFO or device is waited for: -EBADMSG. flags: O_RDONLY and the like, with O_CREAT a file
 * of mode 0600.
 */
int tree_open_file(int dirfd, const char *name, int flags);
/*
 * For who has just made a system call that adds something to the state, and was refused: why, and
 * what to do. `name` is what was to be made, changed or removed. Returns -err.
 */
int tree_error(struct error_record *why, int err, const char *name);
/* The same for what the server would have to give to another user, which only root can: -EPERM. */
int tree_foreign(struct error_record *why, uid_t uid);
/* Of a file, directory or symbolic link, by any descriptor. -errno. */
int tree_chown(int fd, uid_t uid, gid_t gid);
/* An error that another start may not meet: no memory, no descriptors. */
bool tree_err_passes(int err);

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

/*
 * Whole small files (definitions, lists). read: malloc()ed, NUL-terminated text, length or -errno.
 * write: replaced atomically; 0, or -errno and why.
 */
ssize_t tree_read_small(int dirfd, const char *name, char **out);
int tree_write_small(int dirfd, const char *name, const char *data, size_t len,
		     struct error_record *why);

/* The names in a directory, sorted; those that begin with a dot only if `hidden`. */
struct tree_name {
	char *name;
	mode_t type;
	u64 ino;
};
struct tree_names {
	struct tree_name *v;
	size_t n;
	size_t bytes; /* of memory, about */
};
int tree_list(int dirfd, bool hidden, struct tree_names *out);
int tree_list_unsorted(int dirfd, bool hidden, struct tree_names *out); /* as they come */
void tree_names_free(struct tree_names *names);

/* Remove the hidden files of a directory, so that rmdir works; all but that one (NULL: all). */
int tree_remove_hidden(int dirfd, const char *but);

#endif
