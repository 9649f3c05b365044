/*
 * attach.h - a program to a cgroup's directory, and away from it: the locks, and what is ready
 */
#ifndef UBPFFS_FS_CGROUPS_ATTACH_H
#define UBPFFS_FS_CGROUPS_ATTACH_H

#include "fs/node/node.h"
#include "fs/store/objects/object.h"

/*
 * as_bpf: as bpf(2) has it: a second attach of the same program is an error or a replacement, and a
 * detach where there is one program alone takes out whatever that is. Else as the attach files have
 * it: what they print can be written back, and the program that is named is meant. A request that a
 * killed server had done already is not done again.
 */
int cgroup_prog_attach(struct fs_req *req, struct fs_node *dir, u32 type, struct store_object *obj,
		       struct store_object *replace, u32 flags, bool as_bpf);
int cgroup_prog_detach(struct fs_req *req, struct fs_node *dir, u32 type, struct store_object *obj,
		       bool as_bpf);

#endif
