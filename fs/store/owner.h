/*
 * owner.h - a file or directory gets another owner, who is charged for it from then on
 */
#ifndef UBPFFS_FS_STORE_OWNER_H
#define UBPFFS_FS_STORE_OWNER_H

#include "fs/node/node.h"

/* For fs_backing.chown. -1: stays. -EDQUOT: nothing has changed. */
int store_chown(struct fs_node *node, uid_t uid, gid_t gid, struct error_record *why);

#endif
