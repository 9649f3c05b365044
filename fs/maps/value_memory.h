/*
 * value_memory.h - the values of an array map in a client's address space
 *
 * mmap(2) of a descriptor of the map's file, by passthrough where the server may; otherwise the
 * link `mem` in the map's directory names that memory for the server's own user. Values only, from
 * offset 0, each in a room of a multiple of 8 bytes; only maps made with BPF_F_MMAPABLE (others:
 * mmap is ENODEV).
 *
 * Who may write: O_RDONLY descriptors map read-only. The values of a BPF_F_RDONLY_PROG map, which
 * the verifier may take as constants, are never mapped for writing: the map's own file cannot be
 * mapped, and `mem` is a file that opens O_RDONLY only (or, without passthrough, the link to a
 * sealed memfd). The file of any other frozen or BPF_F_RDONLY map opens O_RDONLY only, as
 * passthrough could not refuse a mapping; who has opened it for writing before the freeze can still
 * map it so.
 */
#ifndef UBPFFS_FS_MAPS_VALUE_MEMORY_H
#define UBPFFS_FS_MAPS_VALUE_MEMORY_H

#include "fs/node/node.h"
#include "fs/store/objects/files.h"
#include "fs/store/objects/object.h"

/* The map's file was opened: choose its backing. -EPERM (with a sentence). */
int mapmem_open(struct fs_open *open, struct fs_req *req, struct store_object *obj);

/*
 * The backing id of one of the map's files, kept in *id from its first use on; 0: it has none. Of
 * what is sealed that is its memory.
 */
int mapmem_backing(struct store_object *obj, enum store_part part, int *id);

/* Which `mem` is in the directory of this object? NULL: none. */
const struct fs_node_ops *mapmem_kind(struct store_object *obj);
extern const struct fs_node_ops mem_link_ops, mem_file_ops;
/* The same for ids/mem/<id>. */
const struct fs_node_ops *mapmem_id_kind(struct store_object *obj);

#endif
