/*
 * ring_memory.h - a ring buffer in a consumer's address space
 *
 *	maps/<m>/consumer, ids/consumer/<id>	one page: the consumer's position; who may write the
 *						map may map it writable
 *	maps/<m>/ring, ids/ring/<id>		from offset 4096 on the producers' page and the
 *						data; opens O_RDONLY only
 *
 * Two files because passthrough exposes a whole file with the rights of its open: so a consumer can
 * write its position and nothing else, and the engine believes that position nowhere. Where the
 * server cannot have passthrough they are links to the two files, for the server's own user, who
 * could reach them in the state directory anyway.
 *
 * The files are those of the state directory: a mapping outlives the server, and the next one goes
 * on with it.
 */
#ifndef UBPFFS_FS_MAPS_RING_MEMORY_H
#define UBPFFS_FS_MAPS_RING_MEMORY_H

#include "fs/node/node.h"
#include "fs/store/objects/object.h"

extern const struct fs_node_ops ring_consumer_file_ops, ring_consumer_link_ops;
extern const struct fs_node_ops ring_data_file_ops, ring_data_link_ops;

/* Which kind of file shows this part of the object? NULL: it is no ring buffer. */
const struct fs_node_ops *ringmem_kind(struct store_object *obj, enum store_ring_part part);

/* Of the map's own descriptor: POLLIN while there is something for a consumer. */
u32 ringmem_poll(const struct bpf_map *map);

#endif
