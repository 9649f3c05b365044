/*
 * mmap.h - shared mappings of maps, where their own file cannot be mapped
 *
 * A root server's arrays are mapped by the kernel (passthrough). The rest is files of ids/:
 * constants (ids/mem), a user's arrays (the same), and ring buffers (ids/consumer, ids/ring), which
 * one call of the caller maps in pieces.
 */
#ifndef UBPFFS_TOOLS_RUN_COMMANDS_MMAP_H
#define UBPFFS_TOOLS_RUN_COMMANDS_MMAP_H

#include "tools/run/caller/caller.h"

void run_mmap(struct caller *c);

#endif
