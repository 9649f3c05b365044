/*
 * fuse.h - what the files that know FUSE share: fuse.c, open.c, fuse/deferred.c, io.c, ops.c, and main.c
 */
#ifndef UBPFFS_FS_FUSE_FUSE_H
#define UBPFFS_FS_FUSE_FUSE_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include "fs/fuse/node.h"

extern const struct fuse_lowlevel_ops ubpffs_fuse_ops;

/* ---- fuse.c */

/* Start of a callback: who asks, for what. Takes a node reference that fs_fuse_end() drops; false (and
 * ESTALE was answered): the node is not known. */
bool fs_fuse_begin(fuse_req_t fuse, fuse_ino_t ino, const char *op, const char *name,
		   struct fs_req *req);
void fs_fuse_end(struct fs_req *req);
/*
 * The same on an open file: what is asked through it is asked by who opened it (node.h). The node is the open's, which the
 * kernel keeps until the answer.
 */
struct fs_open *fs_fuse_begin_open(fuse_req_t fuse, const struct fuse_file_info *fi, const char *op,
				   struct fs_req *req);
void fs_fuse_end_open(struct fs_req *req);
/* Make err one that the kernel takes, count it, and give it a sentence when nobody has. Returns err > 0. */
int fs_fuse_error(struct fs_req *req, int err);

int fs_node_stat(struct fs_node *node, struct stat *st);

/* ---- open.c */

static inline struct fs_open *fs_open_of(const struct fuse_file_info *fi)
{
	return (struct fs_open *)(uintptr_t)fi->fh;
}

/* Make the description; 0 and fi->fh. Takes its own node reference. */
int fs_open_new(struct fs_req *req, struct fs_node *node, struct fuse_file_info *fi, bool created);
void fs_open_free(struct fs_open *open);
/* After worker_stop(): files that clients still had open. */
void fs_open_drop_all(void);
/* The kind's handlers; under open->lock. */
ssize_t fs_open_read(struct fs_open *open, struct fs_req *req, char *buf, size_t len, off_t off);
ssize_t fs_open_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
		      off_t off);
int fs_open_flush(struct fs_open *open, struct fs_req *req);
/* A read that has nothing yet parks: it does not say O_NONBLOCK, and there is something to wait for. */
bool fs_open_may_wait(const struct fs_open *open);

/* ---- io.c */

void io_open(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi);
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

#endif
