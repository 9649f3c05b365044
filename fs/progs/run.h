/*
 * run.h - the run files of a program and of a cgroup: a test run as a transaction on one open file
 */
#ifndef UBPFFS_FS_PROGS_RUN_H
#define UBPFFS_FS_PROGS_RUN_H

#include "fs/fuse/node.h"

extern const struct fs_node_ops run_ops; /* of the program of the directory */
extern const struct fs_node_ops cgroup_run_ops; /* of what is effective; attr->arg: the direction */

#endif
