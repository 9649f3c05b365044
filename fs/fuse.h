/*
 * fuse.h - what ops.c, io.c and main.c share about FUSE
 */
#ifndef UBPFFS_FS_FUSE_H
#define UBPFFS_FS_FUSE_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include "fs/node.h"

extern const struct fuse_lowlevel_ops ubpffs_fuse_ops;

/* Start of a callback: who asks, for what. Takes a node reference that fs_fuse_end() drops; false (and
 * ESTALE was answered): the node is not known. */
bool fs_fuse_begin(fuse_req_t fuse, fuse_ino_t ino, const char *op, const char *name,
		   struct fs_req *req);
void fs_fuse_end(struct fs_req *req);
/* Make err one that the kernel takes, count it, and give it a sentence when nobody has. Returns err > 0. */
int fs_fuse_error(struct fs_req *req, int err);

int fs_node_stat(struct fs_node *node, struct stat *st);

/* io.c */
void io_open(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi);
/* Make the description; 0 and fi->fh. Takes its own node reference. */
int io_open_node(struct fs_req *req, struct fs_node *node, struct fuse_file_info *fi, bool created);
void io_open_drop(struct fuse_file_info *fi);
void io_read(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void io_write(fuse_req_t fuse, fuse_ino_t ino, const char *buf, size_t size, off_t off,
	      struct fuse_file_info *fi);
void io_flush(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi);
void io_release(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi);
void io_ioctl(fuse_req_t fuse, fuse_ino_t ino, unsigned int cmd, void *arg,
	      struct fuse_file_info *fi, unsigned int flags, const void *in, size_t in_len,
	      size_t out_len);
void io_poll(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi,
	     struct fuse_pollhandle *ph);
/* After the session's loop: ends what is parked. */
void io_stop(void);
/* After worker_stop(): files that clients still had open. */
void io_drop_opens(void);

#endif
