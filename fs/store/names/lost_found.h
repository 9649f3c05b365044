/*
 * lost_found.h - what is damaged leaves the state, and is kept
 *
 * DIR/lost+found/ is made when it is needed; servers do not look into it. Each thing is moved there
 * under its name, with a file NAME.reason beside it: what it was, why it is there, and the names
 * that it had. Nobody is served.
 */
#ifndef UBPFFS_FS_STORE_NAMES_LOST_FOUND_H
#define UBPFFS_FS_STORE_NAMES_LOST_FOUND_H

#include "fs/store/objects/object.h"

/* An object's files; its names in the tree go. -errno: some of it may have been moved. */
int lost_found_object(const struct store_object *obj, const char *why);
/* Something else, by its path from the state directory. */
int lost_found_file(const char *path, const char *why);

/* Each file of the tree that is a name of an object, or of none: its path from tree/. */
int lost_found_names(int (*fn)(void *arg, const char *path, const struct stat *st), void *arg);

#endif
