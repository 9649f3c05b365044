/*
 * ids.h - M/ids
 */
#ifndef UBPFFS_FS_TREE_IDS_H
#define UBPFFS_FS_TREE_IDS_H

#include "fs/node/node.h"

extern const struct fs_node_ops ids_ops;

#endif
