/*
 * mmap.h - clients map the values of an array
 */
#ifndef UBPFFS_MAP_MMAP_H
#define UBPFFS_MAP_MMAP_H

#include "core/map.h"

/*
 * mmap(2): can a client map this map's values (an array with BPF_F_MMAPABLE that may be read)? Only
 * for reading (BPF_F_RDONLY_PROG)? The file to map, values from offset 0, borrowed until the map is
 * put: -ENODEV, -ENOMEM,
 * -EOPNOTSUPP when the values have locks, -EBADF: it is the values file, whose descriptor was
 * dropped. Who needs the file no more may drop a mirror's descriptor, too.
 */
bool bpf_map_mmapable(const struct bpf_map *map);
bool bpf_map_mmap_sealed(const struct bpf_map *map);
int bpf_map_mmap_fd(struct bpf_map *map);
void bpf_map_mmap_drop(struct bpf_map *map);

/* After an update from outside of a bpf_map_mmap_sealed() map. */
void bpf_map_mirror_elem(struct bpf_map *map, const void *key);

#endif
