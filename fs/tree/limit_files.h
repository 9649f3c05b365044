/*
 * limit_files.h - M/limits, and the limits that were set in an earlier server
 */
#ifndef UBPFFS_FS_TREE_LIMIT_FILES_H
#define UBPFFS_FS_TREE_LIMIT_FILES_H

#include "fs/node/node.h"

extern const struct fs_node_ops limits_dir_ops;

/* After limits_size_defaults(). -errno: what was set cannot be read. */
int limit_files_start(void);

#endif
