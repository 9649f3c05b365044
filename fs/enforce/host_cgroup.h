/*
 * host_cgroup.h - directories in the host's cgroup v2 that mirror M/cgroup
 *
 * One directory of ours, named after the state, lies under the one given (or under our own cgroup), and the tree
 * inside it. Each carries the extended attribute user.ubpffs where the kernel has those on cgroups (5.7): only
 * marked ones are ever removed. Not thread safe: enforce.c holds its mutex.
 */
#ifndef UBPFFS_FS_ENFORCE_HOST_CGROUP_H
#define UBPFFS_FS_ENFORCE_HOST_CGROUP_H

#include <sys/types.h>
#include "core/types.h"

/* Find, make or adopt `name` under `under` (NULL: our own cgroup). *why: malloc()ed. */
int hostcg_start(const char *under, const char *name, char **why);
/* How many directories lie above ours in the hierarchy, from the namespace's root: nft's level of it. */
u32 hostcg_level(void);

/*
 * path as in enforce.h. *id is the kernel's cgroup id. What carries our mark is taken over, and with `adopt` also a
 * directory without it (a server may be killed before it marks what it made); else that is -EEXIST.
 */
int hostcg_add(const char *path, bool adopt, u64 *id);
/*
 * The nearest cgroup, from this id upwards, that `known` knows; 0: none, or we have not the right to ask
 * (CAP_DAC_READ_SEARCH). Any thread.
 */
u64 hostcg_nearest(u64 id, bool (*known)(u64 id));
int hostcg_remove(const char *path);

int hostcg_procs(const char *path, char **text, size_t *len);
int hostcg_move(const char *path, pid_t pid);

/* Remove the marked directories that known() does not know; those with processes stay. */
void hostcg_sweep(bool (*known)(const char *path));
/* Processes go to where ours lies (or to the server's own cgroup), directories away; the rest is left. */
void hostcg_stop(void);

#endif
