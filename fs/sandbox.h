/*
 * sandbox.h - what a server of root gives up for good, before it reads its state or has a thread
 *
 * It keeps the capabilities that sandbox.c lists, each with its reason, and gains no others by a
 * program that it executes (no_new_privs, and the bounding set). The keeper and the agent are made
 * before: the one starts other programs, the other becomes clients.
 *
 * A server that is not root has nothing to give up, and needs fusermount3, which is setuid.
 */
#ifndef UBPFFS_FS_SANDBOX_H
#define UBPFFS_FS_SANDBOX_H

/* 0 or -errno. */
int sandbox_enter(void);

#endif
