/*
 * durable.h - what is on the disk before a request is answered (-o durable)
 *
 * The state is changed by the functions below, which are the system calls of the same names: they
 * note the directories that they change. Who writes a file, or changes an attribute, notes that
 * file. durable_settle() has all that this thread noted written out; each request ends with it,
 * before its answer. What must not be seen after a power loss without something else has a settle
 * between the two: an object's file before its name, a manifest before the names that it lists.
 *
 *	none	nothing is noted, and settle is nothing: the kernel writes when it likes
 *	close	names, attributes, images and definitions; a map's contents at fsync and close
 *	each	a map's contents, too, before the answer to who changed them from outside of
 *		programs
 *
 * What was removed may be back after a power loss until the removal is settled. So in the durable
 * modes an object's files go later, when whatever named it is gone from the disk, too.
 *
 * No locks: what is noted is the thread's own. It holds descriptors, and where it cannot have one
 * the whole filesystem of the state is written out instead.
 */
#ifndef UBPFFS_FS_STORE_STATE_DURABLE_H
#define UBPFFS_FS_STORE_STATE_DURABLE_H

#include <sys/types.h>
#include "core/map.h"
#include "text/error.h"

enum durable { DURABLE_NONE, DURABLE_CLOSE, DURABLE_EACH };

/* With tree_open() done and before anything is read: what the last server left is written out. */
int durable_start(enum durable mode, int state_fd);
enum durable durable_mode(void);

/*
 * From now on nothing in the state is changed: what would be a change seems to work, and is none.
 * For a start that only looks (fs/fsck.c).
 */
void durable_look_only(void);
bool durable_only_look(void);

/* As the system calls: -1 and errno. */
int durable_mkdirat(int dirfd, const char *path, mode_t mode);
int durable_linkat(int dirfd, const char *path, int newdirfd, const char *newpath);
int durable_symlinkat(const char *target, int dirfd, const char *path);
int durable_unlinkat(int dirfd, const char *path, int flags);
int durable_renameat2(int dirfd, const char *path, int newdirfd, const char *newpath,
		      unsigned int flags);

/* A name in this directory was added. */
void durable_dir(int dirfd);
/* The contents or attributes of this file were changed. An O_PATH descriptor will do. */
void durable_file(int fd);
/* The contents of this map were changed from outside of programs. */
void durable_map(struct bpf_map *map);
/* -EIO and why: nobody knows what of it the disk has. */
int durable_settle(struct error_record *why);

/* All of the state's filesystem, in any mode. -errno. */
int durable_sync_all(void);

#endif
