/*
 * maps.h - what processes have mapped, read by a process that is a client (AGENT_MAPS)
 *
 * The answer is a status, then an image a message (agent/format/image.h), and the end.
 */
#ifndef UBPFFS_FS_AGENT_SERVICE_STACK_MAPS_H
#define UBPFFS_FS_AGENT_SERVICE_STACK_MAPS_H

#include "fs/agent/agent.h"
#include "fs/agent/format/image.h"

struct maps_request {
	s32 pid; /* -1: all processes that the client may read */
};

/*
 * maps_read - the code that a process has mapped
 * proc: its directory in /proc. `img` is to be freed in any case. -ESRCH: it has ended; -errno.
 */
int maps_read(int proc, u64 seen, struct image *img);

agent_service_fn maps_service;

#endif
