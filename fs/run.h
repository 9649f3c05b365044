/*
 * run.h - progs/<prog>/run: a test run as a transaction on one open file
 */
#ifndef UBPFFS_FS_RUN_H
#define UBPFFS_FS_RUN_H

#include "fs/node.h"

extern const struct fs_node_ops run_ops;

#endif
