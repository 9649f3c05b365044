/*
 * own_file.h - the two files of progs/ that are each caller's own: new and log
 *
 * A node of them is fresh: it belongs to who looked it up, so that cp -p may set what it likes and
 * rm passes the sticky bit of progs/ (both without effect).
 */
#ifndef UBPFFS_FS_PROGS_LOAD_OWN_FILE_H
#define UBPFFS_FS_PROGS_LOAD_OWN_FILE_H

#include "fs/node/node.h"

/*
 * Right after the lookup: 0 or -errno. `want`: R_OK, W_OK, X_OK that its owner must have in progs/,
 * or 0.
 */
int own_file_bind(struct fs_node *node, const struct fs_cred *cred, int want);
int own_file_getattr(struct fs_node *node, struct stat *st);
void own_file_free(struct fs_node *node);

#endif
