/*
 * mapped.h - a file that a process has mapped, opened in a client's own process
 */
#ifndef UBPFFS_FS_AGENT_SERVICE_STACK_MAPPED_H
#define UBPFFS_FS_AGENT_SERVICE_STACK_MAPPED_H

#include <sys/types.h>

/*
 * `proc` is the process's directory in /proc, opened once: a number that becomes another process's
 * gives errors and not that one's files. -errno.
 */
int mapped_proc(pid_t pid);

/*
 * The file of that path in the process's own root, links in it included, whatever /proc/PID/maps
 * says; proc -1: in the root of who asks. Nothing but a regular file that lies on a disk, or where
 * one could, is ever opened, so nothing of a device, a FIFO or a file of the kernel's happens.
 * -errno.
 */
int mapped_open(int proc, const char *path);
/* The same, but the file itself is no link: whoever may make one names only what is his. */
int mapped_open_no_link(int proc, const char *path);

#endif
