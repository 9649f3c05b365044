/*
 * perf.h - perf_event_open(2), where it is about programs: what they output, and what they run on
 */
#ifndef UBPFFS_TOOLS_RUN_PERF_H
#define UBPFFS_TOOLS_RUN_PERF_H

#include "tools/run/caller/caller.h"

/*
 * An event of PERF_COUNT_SW_BPF_OUTPUT of one CPU and no process is one of the mount's, and so is
 * one that samples and records nothing, which only a program can use; others are the kernel's.
 */
void run_perf_event_open(struct caller *c);
/* PERF_EVENT_IOC_SET_BPF, of an event of the mount's. */
void run_ioctl(struct caller *c);

#endif
