/*
 * interface.h - packets of an interface, captured by a process of the server's user
 * (AGENT_INTERFACE)
 *
 * The argument is a struct interface_request, then `name NUL filter NUL`, the filter empty for
 * none. A status answers, then packets.h's messages without an end.
 */
#ifndef UBPFFS_FS_AGENT_SERVICE_INTERFACE_H
#define UBPFFS_FS_AGENT_SERVICE_INTERFACE_H

#include "util/types.h"
#include "fs/agent/agent.h"

struct interface_request {
	u32 incoming; /* packets only */
};

agent_service_fn interface_service;

#endif
