/*
 * list.h - the names in a directory of the state
 */
#ifndef UBPFFS_FS_STORE_STATE_DIRS_LIST_H
#define UBPFFS_FS_STORE_STATE_DIRS_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "util/types.h"

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
