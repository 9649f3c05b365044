/*
 * state_open.h - the state directory is opened and closed, and of which version it is
 *
 * One thread, before the mount and after it, but for tree_begin_version().
 */
#ifndef UBPFFS_FS_STORE_STATE_STATE_OPEN_H
#define UBPFFS_FS_STORE_STATE_STATE_OPEN_H

#include "text/error.h"

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

/*
 * Before something of this version is written. An older server can go on as long as there is
 * nothing: a state begins with version 1. 0, or an error that why has.
 */
int tree_begin_version(unsigned int version, struct error_record *why);

#endif
