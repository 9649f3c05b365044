/*
 * log.h - M/progs/log
 */
#ifndef UBPFFS_FS_PROGS_LOG_H
#define UBPFFS_FS_PROGS_LOG_H

#include "fs/fuse/node.h"

extern const struct fs_node_ops progslog_ops;

#endif
