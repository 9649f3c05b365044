/*
 * state_file.h - files of the state directory, by one name in a directory
 *
 * No symlink is followed, and an error is no absence.
 */
#ifndef UBPFFS_FS_STORE_STATE_STATE_FILE_H
#define UBPFFS_FS_STORE_STATE_STATE_FILE_H

#include <stdbool.h>
#include <sys/types.h>
#include "text/error.h"

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
 * Whole small files (definitions, lists). read: malloc()ed, NUL-terminated text, length or -errno.
 * write: replaced atomically; 0, or -errno and why.
 */
ssize_t tree_read_small(int dirfd, const char *name, char **out);
int tree_write_small(int dirfd, const char *name, const char *data, size_t len,
		     struct error_record *why);

#endif
