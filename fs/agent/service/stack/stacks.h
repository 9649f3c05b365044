/*
 * stacks.h - the service that reads stacks (stacks.c); its messages are format/stack_msg.h's
 */
#ifndef UBPFFS_FS_AGENT_SERVICE_STACK_STACKS_H
#define UBPFFS_FS_AGENT_SERVICE_STACK_STACKS_H

#include "fs/agent/agent.h"

agent_service_fn stacks_service;

#endif
