/*
 * sandbox.h - what a server gives up for good, before it reads an object or has a thread
 *
 * It makes the system calls of sandbox.c's lists only (filter.h), opens nothing but its state and
 * what is named here (files.h), and gains no privilege by what it executes;
 * root keeps the capabilities that sandbox.c lists, each with its reason. What needs more is done
 * by processes that are made before: the mounter (fuse/protocol/mounter.h), the agent, the keeper.
 *
 * In a build with sanitizers, whose libraries do more, only the capabilities go.
 */
#ifndef UBPFFS_FS_SANDBOX_SANDBOX_H
#define UBPFFS_FS_SANDBOX_SANDBOX_H

#include <stdbool.h>
#include "text/error.h"

struct sandbox {
	int state_fd;
	const char *btf; /* a file with the kernel's types, or NULL */
	bool enforce; /* nftables, NFQUEUE, the host's cgroups */
};

/*
 * First, and for what it starts, too: nothing of its memory is left in a dump, or shown to others.
 * Root's is not dumpable. An ordinary server's own user reaches its memory files through /proc,
 * which is how maps are mapped there.
 */
int sandbox_hide_memory(void);

/* 0, or -errno and why. A kernel without landlock is none: stderr says so. */
int sandbox_enter(const struct sandbox *what, struct error_record *why);

#endif
