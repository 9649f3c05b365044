/*
 * log.h - M/log
 */
#ifndef UBPFFS_FS_TREE_LOG_H
#define UBPFFS_FS_TREE_LOG_H

#include "fs/node/node.h"

extern const struct fs_node_ops log_ops;

#endif
