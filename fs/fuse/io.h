/*
 * io.h - the FUSE callbacks on open files
 */
#ifndef UBPFFS_FS_FUSE_IO_H
#define UBPFFS_FS_FUSE_IO_H

#include "fs/fuse/fuse.h"

void io_open(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi);
void io_read(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void io_write(fuse_req_t fuse, fuse_ino_t ino, const char *buf, size_t size, off_t off,
	      struct fuse_file_info *fi);
void io_flush(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi);
void io_release(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi);
void io_ioctl(fuse_req_t fuse, fuse_ino_t ino, unsigned int cmd, void *arg,
	      struct fuse_file_info *fi, unsigned int flags, const void *in, size_t in_len,
	      size_t out_len);
void io_fsync(fuse_req_t fuse, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void io_poll(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi,
	     struct fuse_pollhandle *ph);

#endif
