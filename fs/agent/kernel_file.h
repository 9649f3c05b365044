/*
 * kernel_file.h - files that no disk holds, but the kernel makes when they are read
 */
#ifndef UBPFFS_FS_AGENT_KERNEL_FILE_H
#define UBPFFS_FS_AGENT_KERNEL_FILE_H

/*
 * Is this one of them, as those of /proc and /sys? By their mode they are regular files, but
 * reading one may take something away or wait for ever (/proc/kmsg, trace_pipe), and writing one
 * changes the machine. fd: O_PATH will do; a directory: of the files in it. -errno.
 */
int is_kernel_file(int fd);

#endif
