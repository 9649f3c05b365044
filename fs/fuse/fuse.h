/*
 * fuse.h - the FUSE header, and how every callback begins and ends
 */
#ifndef UBPFFS_FS_FUSE_FUSE_H
#define UBPFFS_FS_FUSE_FUSE_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include "fs/node/node.h"

extern const struct fuse_lowlevel_ops ubpffs_fuse_ops; /* ops.c */

/*
 * Start of a callback: who asks, for what. Takes a node reference that fs_fuse_end() drops; false
 * (and ESTALE was answered): the node is not known.
 */
bool fs_fuse_begin(fuse_req_t fuse, fuse_ino_t ino, const char *op, const char *name,
		   struct fs_req *req);
void fs_fuse_end(struct fs_req *req);
void fs_fuse_end_open(struct fs_req *req); /* of open.h's fs_fuse_begin_open() */
/*
 * What the request changed is on the disk, where that is promised. `ret` is its result: it stays,
 * or is -EIO.
 */
ssize_t fs_fuse_settle(struct fs_req *req, ssize_t ret);
/*
 * Make err one that the kernel takes, count it, and give it a sentence when nobody has. Returns err
 * > 0.
 */
int fs_fuse_error(struct fs_req *req, int err);

#endif
