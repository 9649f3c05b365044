/*
 * root.h - M
 */
#ifndef UBPFFS_FS_TREE_ROOT_H
#define UBPFFS_FS_TREE_ROOT_H

/*
 * After the state was opened, before the mount: the node that the kernel begins with. 0 or -errno.
 */
int root_start(void);

#endif
