/*
 * batch.h - commands on many elements
 */
#ifndef UBPFFS_TOOLS_RUN_COMMANDS_BATCH_H
#define UBPFFS_TOOLS_RUN_COMMANDS_BATCH_H

#include "tools/run/commands/call.h"

long run_map_batch(struct bpf_call *call);

#endif
