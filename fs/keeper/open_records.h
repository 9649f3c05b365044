/*
 * open_records.h - the files that clients have open, in the memory that outlives a server
 *
 * A record's place is the handle that the kernel has. fuse/open.c fills them and opens the files
 * again.
 */
#ifndef UBPFFS_FS_KEEPER_OPEN_RECORDS_H
#define UBPFFS_FS_KEEPER_OPEN_RECORDS_H

#include <stdbool.h>
#include "fs/keeper/records.h"

/* Before the state is read. -ENOMEM. */
int open_records_start(void);
/* One to be filled, all zeroes, made by that request; NULL: the table is full. */
struct open_record *open_record_new(u64 unique);
void open_record_valid(struct open_record *record);
void open_record_end(struct open_record *record);
u32 open_record_place(const struct open_record *record);
struct open_record *open_record_at(u32 place); /* NULL: not in use */
u32 open_records_high(void);

/* After a takeover: does a file that clients have open need this object, nameless or not? */
bool open_records_have(u32 object);

/* The kernel has pollers of the file, who are told of under this handle; and all such handles. */
void open_records_polled(u32 place, u64 handle);
void open_records_each_poller(void (*wake)(u64 handle));

#endif
