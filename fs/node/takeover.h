/*
 * takeover.h - the nodes that the kernel knew when the last server died
 *
 * Each node in the table has a record (keeper/node_records.h) with what it is and how often the
 * kernel was told of it. A successor makes the same nodes of them, with the same ids, before it
 * answers anybody. What is no longer there is a node without a name, as after its removal. A node
 * without a record (the table was full) is forgotten: ESTALE, and the kernel looks its name up
 * again.
 */
#ifndef UBPFFS_FS_NODE_TAKEOVER_H
#define UBPFFS_FS_NODE_TAKEOVER_H

#include "fs/node/node.h"

/*
 * After the root was made, in one thread before the session. Each has one reference more until
 * fs_nodes_restored(). -ENOMEM.
 */
int fs_nodes_restore(void);
void fs_nodes_restored(void);

#endif
