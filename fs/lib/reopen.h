/*
 * reopen.h - a descriptor that reads, of what an O_PATH one is
 *
 * By it a file's mode, owner and times can be changed without a path: what is open is what landlock
 * has let through (sandbox/files.h), a path is anything.
 */
#ifndef UBPFFS_FS_LIB_REOPEN_H
#define UBPFFS_FS_LIB_REOPEN_H

/* Of a regular file or a directory; -1 and errno. EACCES: its bits let nobody read it. */
int reopen(int fd);

#endif
