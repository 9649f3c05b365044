/*
 * files.h - the kinds of files that a cgroup's directory has
 */
#ifndef UBPFFS_FS_CGROUPS_FILES_H
#define UBPFFS_FS_CGROUPS_FILES_H

#include "fs/node/node.h"

/* The argument of cgroups_start(); NULL: without -o enforce. */
extern struct enforce *cgroups_enforce;

extern const struct fs_node_ops cgroup_procs_ops;
extern const struct fs_node_ops cgroup_stats_ops, cgroup_run_ops;
extern const struct fs_node_ops link_file_ops, link_pin_ops;

#endif
