/*
 * id.h - the id of a directory's cgroup, which outlives the server
 *
 * A hidden symlink, .id, says it. Ids come from the counter of the objects' ids, so they never
 * repeat; the root's is 1. Programs keep storages by these ids (map/types/cgroup_storage.h).
 */
#ifndef UBPFFS_FS_CGROUPS_LOOKUP_ID_H
#define UBPFFS_FS_CGROUPS_LOOKUP_ID_H

#include <stddef.h>
#include "util/types.h"

/* The id in the directory's .id; without one a new id, which is written there. -errno. */
int cgroup_dir_id(int fd, u64 *id);
/* Remove .id again: the directory did not become a cgroup. */
void cgroup_dir_id_remove(int fd);

/*
 * At the start: these cgroups are there. Storages of all others are removed: their cgroups were
 * removed while no server ran.
 */
void cgroup_ids_sweep(u64 *ids, size_t n);

#endif
