/*
 * node_records.h - the nodes that the kernel knows, in the memory that outlives a server
 *
 * node/node.c fills them under the lock of its table, and node/takeover.c makes nodes of them.
 */
#ifndef UBPFFS_FS_KEEPER_NODE_RECORDS_H
#define UBPFFS_FS_KEEPER_NODE_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include "fs/keeper/records.h"

/* Before the first node is made. -ENOMEM. */
int node_records_start(void);
/* One to be filled, with zeroes where no name is; NULL: no keeper, or the table is full. */
struct node_record *node_record_new(void);
void node_record_valid(struct node_record *record, u64 id);
void node_record_end(struct node_record *record);
struct node_record *node_record_at(u32 place); /* NULL: not in use */
u32 node_records_high(void);

/* Its name, or with NODE_KEYED its key. False: too long. */
bool node_record_name(struct node_record *record, const void *name, size_t len);
void node_record_gone(struct node_record *record);
/* The kernel is told of it so often more, or has forgotten it. */
void node_record_add_lookups(struct node_record *record, s64 times);

#endif
