/*
 * stream.h - the files of maps without keys: push, pop, peek, has, and the stream of records
 */
#ifndef UBPFFS_FS_MAPS_STREAM_H
#define UBPFFS_FS_MAPS_STREAM_H

#include "fs/node/node.h"

extern const struct fs_node_ops push_ops; /* queue, stack, bloom_filter */
extern const struct fs_node_ops pop_ops; /* queue, stack */
extern const struct fs_node_ops peek_ops; /* queue, stack */
extern const struct fs_node_ops has_ops; /* bloom_filter */
extern const struct fs_node_ops records_ops; /* ringbuf, perf_event_array */

/* Reads and polls of this open wait for values and records. */
void stream_watch(struct fs_open *open);

#endif
