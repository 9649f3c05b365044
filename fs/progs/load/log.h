/*
 * log.h - M/progs/log
 */
#ifndef UBPFFS_FS_PROGS_LOAD_LOG_H
#define UBPFFS_FS_PROGS_LOAD_LOG_H

#include "fs/node/node.h"

extern const struct fs_node_ops progslog_ops;

#endif
