/*
 * files.h - the kinds of files that a source's directory has
 */
#ifndef UBPFFS_FS_EVENTS_FILES_H
#define UBPFFS_FS_EVENTS_FILES_H

#include "fs/node/node.h"

/* An attribute's row says in `arg` which (enum source_attr). */
extern const struct fs_node_ops event_attr_ops, event_attach_ops, event_stats_ops;

#endif
