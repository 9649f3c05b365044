/*
 * write_all.h - write(2) and pwrite(2) of everything: short writes go on, signals are no errors
 *
 * 0 or -errno; -EIO when the file takes no more. After an error some bytes may have been written.
 */
#ifndef UBPFFS_UTIL_WRITE_ALL_H
#define UBPFFS_UTIL_WRITE_ALL_H

#include <sys/types.h>

int write_all(int fd, const void *data, size_t len);
int pwrite_all(int fd, const void *data, size_t len, off_t off);

#endif
