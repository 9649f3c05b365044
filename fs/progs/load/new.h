/*
 * new.h - M/progs/new: an object is written to it, and becomes programs and maps
 */
#ifndef UBPFFS_FS_PROGS_LOAD_NEW_H
#define UBPFFS_FS_PROGS_LOAD_NEW_H

#include "fs/node/node.h"

extern const struct fs_node_ops newprog_ops;

#endif
