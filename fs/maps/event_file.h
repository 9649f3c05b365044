/*
 * event_file.h - M/.event: each open makes an event that programs output to
 *
 * What perf_event_open(2) is for PERF_COUNT_SW_BPF_OUTPUT: the descriptor goes into an element of a
 * perf_event_array, is mapped, polled and enabled as an event of the kernel's. It is its opener's:
 * nobody but that user, and root, puts it into a map. Nothing of it outlives the server.
 */
#ifndef UBPFFS_FS_MAPS_EVENT_FILE_H
#define UBPFFS_FS_MAPS_EVENT_FILE_H

#include "fs/node/node.h"

extern const struct fs_node_ops event_file_ops;

#endif
