/*
 * perf.h - perf_event_open(2), where it is about output of programs
 */
#ifndef UBPFFS_TOOLS_RUN_PERF_H
#define UBPFFS_TOOLS_RUN_PERF_H

#include "tools/run/caller/caller.h"

/*
 * An event of PERF_COUNT_SW_BPF_OUTPUT of one CPU and no process is one of the mount's; others are
 * the kernel's.
 */
void run_perf_event_open(struct caller *c);

#endif
