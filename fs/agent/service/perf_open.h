/*
 * perf_open.h - what perf.c asks of the process that opens perf events as the owner (AGENT_PERF),
 * and its answers
 *
 * The request is answered by a status, then one PERF_EVENT with a descriptor for each event;
 * PERF_AGAIN takes back all of them; PERF_DONE is the end.
 */
#ifndef UBPFFS_FS_AGENT_SERVICE_PERF_OPEN_H
#define UBPFFS_FS_AGENT_SERVICE_PERF_OPEN_H

#include <linux/perf_event.h>
#include "fs/agent/agent.h"

#define PERF_MAX_EVENTS 8192

struct perf_request {
	struct perf_event_attr attr;
	pid_t pid; /* -1: all */
	u64 began; /* when that process did; another one is -ESRCH. 0: any */
	u32 first_cpu, nr_cpus; /* from the one on, below the other */
};

struct perf_answer {
	enum { PERF_EVENT, PERF_AGAIN, PERF_DONE } kind;
	u32 cpu; /* PERF_EVENT */
	s32 err; /* PERF_DONE: why there is no event, -errno */
	u64 began; /* PERF_DONE: when the process did (process.h) */
	u64 sample_type; /* PERF_DONE: what of the request's the kernel can do */
};

agent_service_fn perf_service;

#endif
