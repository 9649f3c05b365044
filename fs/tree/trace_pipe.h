/*
 * trace_pipe.h - M/trace_pipe
 */
#ifndef UBPFFS_FS_TREE_TRACE_PIPE_H
#define UBPFFS_FS_TREE_TRACE_PIPE_H

#include "fs/node/node.h"

extern const struct fs_node_ops trace_pipe_ops;

#endif
