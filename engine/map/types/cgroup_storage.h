/*
 * cgroup_storage.h - what a program keeps for each cgroup that it is attached to
 *
 * A program may use one map of BPF_MAP_TYPE_CGROUP_STORAGE and one of
 * BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE. When it is attached to a cgroup, a storage for that cgroup
 * comes into being in each of its maps, unless it is there from an earlier attachment or from
 * another program with the same map. bpf_get_local_storage() gives the storage of the cgroup that
 * the running program is attached to, which may be an ancestor of the packet's. A storage lives
 * until its cgroup or its map goes, not until a detach (as Linux has it since 5.9).
 */
#ifndef UBPFFS_MAP_TYPES_CGROUP_STORAGE_H
#define UBPFFS_MAP_TYPES_CGROUP_STORAGE_H

#include "core/prog.h"

/*
 * The program's storages for an attachment; those that are not there are made, zeroed. -ENOMEM: too
 * many, or no memory, and nothing was made. undo: the attachment failed, what was made for it goes.
 */
int bpf_cgroup_storages_get(const struct bpf_prog *prog, u64 cgroup_id, u32 attach_type,
			    struct bpf_cgroup_storages *out);
void bpf_cgroup_storages_undo(struct bpf_cgroup_storages *storages);

/* Zeroed storages outside of the maps, for a test run. -ENOMEM. */
int bpf_cgroup_storages_temporary(const struct bpf_prog *prog, struct bpf_cgroup_storages *out);
void bpf_cgroup_storages_free(struct bpf_cgroup_storages *storages);

/*
 * The cgroup is gone: so are its storages in every map, but not those that only outlive this
 * process.
 */
void bpf_cgroup_storage_gone(u64 cgroup_id);
/* After a restart: which cgroups are there? The storages of the others go. */
void bpf_cgroup_storage_keep(bool (*is_there)(u64 cgroup_id));

extern const struct bpf_func_proto bpf_get_local_storage_proto;

#endif
