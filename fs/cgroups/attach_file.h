/*
 * attach_file.h - the files that attach, and show, a cgroup's programs
 */
#ifndef UBPFFS_FS_CGROUPS_ATTACH_FILE_H
#define UBPFFS_FS_CGROUPS_ATTACH_FILE_H

#include "fs/node/node.h"

extern const struct fs_node_ops cgroup_attach_ops, cgroup_effective_ops;

#endif
