/*
 * lookup.h - which directory is which cgroup, and where a cgroup is
 *
 * By the inode of the state tree's directory. Lock: a leaf under tree_lock, above the model's.
 */
#ifndef UBPFFS_FS_CGROUPS_LOOKUP_LOOKUP_H
#define UBPFFS_FS_CGROUPS_LOOKUP_LOOKUP_H

#include "cgroup/cgroup.h"
#include "fs/node/node.h"

/* Takes over the reference. `path`: from M/cgroup, "A/B", the root ".". -ENOMEM. */
int cgroup_lookup_add(u64 ino, struct cgroup *cgrp, const char *path);
void cgroup_lookup_remove(u64 ino);
/* A reference, and its path when asked for; NULL: no cgroup, or it was removed. */
struct cgroup *cgroup_lookup_get(u64 ino, char *path, size_t len);
/* The cgroup of a directory or of a file in it; a reference in *out. -ENOENT: it was removed. */
int cgroup_of_node(struct fs_node *node, struct cgroup **out);
struct cgroup *cgroup_lookup_by_id(u64 id); /* a reference, or NULL */
/* The path of a cgroup by its id; "?" when it was removed meanwhile. */
void cgroup_lookup_path(u64 id, char *path, size_t len);
/* The ids of all, malloc()ed; NULL: out of memory. */
u64 *cgroup_lookup_ids(size_t *nr);
/* At the server's end: take all cgroups out of the table and the model, children first. */
void cgroup_lookup_drop_all(void);

#endif
