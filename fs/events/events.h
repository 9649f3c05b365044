/*
 * events.h - M/events: event sources as directories
 */
#ifndef UBPFFS_FS_EVENTS_EVENTS_H
#define UBPFFS_FS_EVENTS_EVENTS_H

#include "fs/node/node.h"

extern const struct fs_node_ops events_dir_ops;

/*
 * After store_start(): what ran when the last server ended runs again. One thread, before the
 * mount.
 */
void events_start(void);
/* Sources that are being started end, and no other starts: before worker_stop(). */
void events_end_starts(void);
/* Before store_stop(): every source's thread has ended. */
void events_stop(void);

#endif
