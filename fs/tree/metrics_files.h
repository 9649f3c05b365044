/*
 * metrics_files.h - M/status and M/metrics: what the server counts
 *
 * metrics is OpenMetrics text. Root and who runs the server see all objects and users, others what
 * is their own.
 */
#ifndef UBPFFS_FS_TREE_METRICS_FILES_H
#define UBPFFS_FS_TREE_METRICS_FILES_H

#include "fs/node/node.h"

extern const struct fs_node_ops status_ops, metrics_ops;

#endif
