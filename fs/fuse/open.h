/*
 * open.h - an open file: made, read, written, released
 */
#ifndef UBPFFS_FS_FUSE_OPEN_H
#define UBPFFS_FS_FUSE_OPEN_H

#include "fs/fuse/fuse.h"

/* Make the description; 0 and fi->fh. Takes its own node reference. */
int fs_open_new(struct fs_req *req, struct fs_node *node, struct fuse_file_info *fi, bool created);
/* Whose handle it is. NULL: the last server had it, and it could not be opened again. */
struct fs_open *fs_open_of(const struct fuse_file_info *fi);
/*
 * Start of a callback on an open file: what is asked through it is asked by who opened it (node.h).
 * The node is the open's, which the kernel keeps until the answer. NULL: EIO was answered, for the
 * file did not outlive a server.
 */
struct fs_open *fs_fuse_begin_open(fuse_req_t fuse, const struct fuse_file_info *fi, const char *op,
				   struct fs_req *req);
void fs_open_free(struct fs_open *open);

/* With a keeper: after the nodes were restored, and before the session. -ENOMEM. */
int fs_opens_restore(void);
/* After a request that changed what ops->keep keeps, under open->lock where that guards it. */
void fs_open_keep(struct fs_open *open, struct fs_req *req);
/* After worker_stop(): files that clients still had open. */
void fs_open_drop_all(void);
/* The kind's handlers; under open->lock. */
ssize_t fs_open_read(struct fs_open *open, struct fs_req *req, char *buf, size_t len, off_t off);
ssize_t fs_open_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
		      off_t off);
int fs_open_flush(struct fs_open *open, struct fs_req *req);
/* Its close waits for the disk: something was changed through it, and close promises that. */
bool fs_open_close_waits(const struct fs_open *open);
/*
 * A read that has nothing yet parks: it does not say O_NONBLOCK, and there is something to wait
 * for.
 */
bool fs_open_may_wait(const struct fs_open *open);

#endif
