/*
 * host_cgroup.h - directories in the host's cgroup v2 that mirror M/cgroup
 *
 * One directory of ours, named after the state, lies under the one given (or under our own cgroup),
 * and the tree inside it. Each carries the extended attribute user.ubpffs where the kernel has
 * those on cgroups (5.7): only marked ones are ever removed. Not thread safe: enforce.c holds its
 * mutex.
 */
#ifndef UBPFFS_FS_ENFORCE_HOST_CGROUP_H
#define UBPFFS_FS_ENFORCE_HOST_CGROUP_H

#include <limits.h>
#include <sys/types.h>
#include "util/types.h"
#include "text/error.h"

struct host_cgroup {
	int base_fd; /* our directory */
	dev_t base_dev;
	int above_fd; /* the one it lies in */
	char base_name[64];
	char own_path[PATH_MAX]; /* the server's own cgroup, as a path of the host */
	u32 level;
};

/*
 * Find, make or adopt `name` under `under` (NULL: our own cgroup). After an error, too,
 * hostcg_stop() closes what is open.
 */
int hostcg_start(struct host_cgroup *h, const char *under, const char *name,
		 struct error_record *why);
/*
 * How many directories lie above ours in the hierarchy, from the namespace's root: nft's level of
 * it.
 */
u32 hostcg_level(const struct host_cgroup *h);

/*
 * path as in enforce.h. *id is the kernel's cgroup id. What carries our mark is taken over, and
 * with `adopt` also a directory without it (a server may be killed before it marks what it made);
 * else that is -EEXIST.
 */
int hostcg_add(const struct host_cgroup *h, const char *path, bool adopt, u64 *id);
/*
 * The nearest cgroup, from this id upwards, that `known` knows; 0: none, or we have not the right
 * to ask (CAP_DAC_READ_SEARCH). Any thread.
 */
u64 hostcg_nearest(const struct host_cgroup *h, u64 id, bool (*known)(void *arg, u64 id),
		   void *arg);
int hostcg_remove(const struct host_cgroup *h, const char *path);

int hostcg_procs(const struct host_cgroup *h, const char *path, char **text, size_t *len);
int hostcg_move(const struct host_cgroup *h, const char *path, pid_t pid);

/* Remove the marked directories that known() does not know; those with processes stay. */
typedef bool (*hostcg_known_fn)(void *arg, const char *path);
void hostcg_sweep(const struct host_cgroup *h, hostcg_known_fn known, void *arg);
/*
 * Processes go to where ours lies (or to the server's own cgroup), directories away; the rest is
 * left.
 */
void hostcg_stop(struct host_cgroup *h);

#endif
