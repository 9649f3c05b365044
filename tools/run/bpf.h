/*
 * bpf.h - bpf(2) answered
 */
#ifndef UBPFFS_TOOLS_RUN_BPF_H
#define UBPFFS_TOOLS_RUN_BPF_H

#include "tools/run/caller/caller.h"

void run_bpf(struct caller *c);

#endif
