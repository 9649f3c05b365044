/*
 * services.h - what the agent's processes do and may, for agent_start()
 */
#ifndef UBPFFS_FS_AGENT_SERVICE_SERVICES_H
#define UBPFFS_FS_AGENT_SERVICE_SERVICES_H

#include "fs/agent/agent.h"

extern const struct agent_service_kind agent_services[AGENT_SERVICE_NR];

#endif
