/*
 * services.h - the table of services, for agent_start()
 */
#ifndef UBPFFS_FS_AGENT_SERVICE_SERVICES_H
#define UBPFFS_FS_AGENT_SERVICE_SERVICES_H

#include "fs/agent/agent.h"

extern agent_service_fn *const agent_services[AGENT_SERVICE_NR];

#endif
