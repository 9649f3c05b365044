/*
 * caller.h - who asks, and what the permission bits let it do
 *
 * store/resolve.h uses it for what a client names; the kernel checks path walks, opens and changes
 * of names.
 */
#ifndef UBPFFS_FS_CALLER_CALLER_H
#define UBPFFS_FS_CALLER_CALLER_H

#include <sys/stat.h>
#include <sys/types.h>
#include "util/types.h"

struct fs_groups { /* supplementary ones */
	u32 nr;
	gid_t gid[];
};

/*
 * Who asks; taken from the request, never from what a client wrote. What is done through an open
 * file is asked by who opened it: a descriptor may have been handed to somebody with more rights,
 * who then writes what it is given. Only the pid is always that of who calls.
 */
struct fs_cred {
	uid_t uid;
	gid_t gid;
	pid_t pid; /* a thread's */
	const struct fs_groups *groups; /* the opener's; NULL: those of pid, blocked in its call */
};

/* mask: R_OK | W_OK | X_OK. 0 or -EACCES. */
int perm_check(const struct fs_cred *cred, const struct stat *st, int mask);

/* The caller's umask, from /proc; 022 when it cannot be read. */
mode_t perm_umask(const struct fs_cred *cred);

/*
 * The supplementary groups of the process that is blocked in its request, malloc()ed; NULL: out of
 * memory.
 */
struct fs_groups *perm_groups(const struct fs_cred *cred);
/* Its supplementary groups hold gid, or its group is gid. */
bool perm_in_group(const struct fs_cred *cred, gid_t gid);

#endif
