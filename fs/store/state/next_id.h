/*
 * next_id.h - the counter of object ids, which a power loss does not turn back
 */
#ifndef UBPFFS_FS_STORE_STATE_NEXT_ID_H
#define UBPFFS_FS_STORE_STATE_NEXT_ID_H

#include "util/types.h"

/* Words of next_id. With the disk behind (durable.h) the second one holds after a power loss. */
enum next_id {
	ID_NEXT,
	ID_RESERVED, /* none at or above this one was given, as far as the disk knows */
	ID_BOOT, /* of the machine, when a server had it last */
	ID_WORDS
};

/* Map it into tree.next_id; it is made when it is not there. -EBADMSG: no regular file. */
int next_id_open(void);
/* A copy for who only looks. */
int next_id_look(void);
/* This id is about to be given. */
void tree_reserve_id(u64 id);

#endif
