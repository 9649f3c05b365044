/*
 * storages.h - what a program finds of the cgroup that it is attached to (bpf_get_local_storage())
 *
 * The memory and its life are map/types/cgroup_storage.h's.
 */
#ifndef UBPFFS_CORE_STORAGES_H
#define UBPFFS_CORE_STORAGES_H

#include "util/types.h"

struct bpf_map;

enum bpf_cgroup_storage_type {
	BPF_CGROUP_STORAGE_SHARED,
	BPF_CGROUP_STORAGE_PERCPU,
	MAX_BPF_CGROUP_STORAGE_TYPE,
};

/*
 * What one attachment gives the program while it runs. Not a reference: the program holds its maps.
 */
struct bpf_cgroup_storages {
	struct bpf_map *map[MAX_BPF_CGROUP_STORAGE_TYPE]; /* NULL: the program uses none */
	void *value[MAX_BPF_CGROUP_STORAGE_TYPE];
	bool made[MAX_BPF_CGROUP_STORAGE_TYPE]; /* by the call that filled this in */
};

#endif
