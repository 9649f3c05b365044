/*
 * open_records.h - the files that clients have open, in the memory that outlives a server
 *
 * The handle that the kernel has is a record's place and its turn: a release that is sent again
 * must not meet the next file of that place. fuse/open.c fills the records and opens the files
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
u64 open_record_handle(const struct open_record *record);
struct open_record *open_record_at(u32 place); /* NULL: not in use */
struct open_record *open_record_of(u64 handle); /* the same */
u32 open_records_high(void);
/* The kernel has let it go: no later server opens it again. */
void open_records_closed(u64 handle);

/* After a takeover: does a file that clients have open need this object, nameless or not? */
bool open_records_have(u32 object);

/* The kernel has pollers of the file, who are told under this number; and all such numbers. */
void open_records_polled(u64 handle, u64 poller);
void open_records_each_poller(void (*wake)(u64 poller));

#endif
