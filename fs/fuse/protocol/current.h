/*
 * current.h - the request that this thread is at
 */
#ifndef UBPFFS_FS_FUSE_PROTOCOL_CURRENT_H
#define UBPFFS_FS_FUSE_PROTOCOL_CURRENT_H

#include "util/types.h"

/* The kernel's number of it, with a keeper (keeper/requests.h); 0: none. */
u64 current_request(void);
void current_set_request(u64 unique);

#endif
