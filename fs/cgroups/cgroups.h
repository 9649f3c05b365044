/*
 * cgroups.h - M/cgroup: the hierarchy as directories
 *
 * A directory of the state tree is a cgroup of the engine's model (engine/cgroup/cgroup.h). Its
 * attachments are hidden hard links of the programs, named .<ingress|egress>.<number>.<flags>: the
 * number is the order, the flags are a word of the attach files. A hidden symlink, .id, says the
 * cgroup's id. So a restart finds the whole state in the tree.
 */
#ifndef UBPFFS_FS_CGROUPS_CGROUPS_H
#define UBPFFS_FS_CGROUPS_CGROUPS_H

#include "fs/node/node.h"

extern const struct fs_node_ops cgroup_dir_ops;

struct enforce;

/*
 * Read the hierarchy back from tree/cgroup; after store_start(). enforce: what brings packets of
 * real processes, or NULL; it outlives the cgroups.
 */
int cgroups_start(struct enforce *enforce);
void cgroups_stop(void);

#endif
