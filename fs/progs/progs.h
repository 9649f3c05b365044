/*
 * progs.h - M/progs, and the file of a program (prog_file.c)
 */
#ifndef UBPFFS_FS_PROGS_PROGS_H
#define UBPFFS_FS_PROGS_PROGS_H

#include "fs/node/node.h"

extern const struct fs_node_ops progs_dir_ops;
extern const struct fs_node_ops prog_file_ops, prog_pin_ops;

#endif
