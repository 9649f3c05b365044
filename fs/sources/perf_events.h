/*
 * perf_events.h - perf_event_open(2)'s events by name, and its records
 *
 * Records come from the kernel through shared memory, and are parsed as if they did not: nothing is
 * read outside [record, record + size). Pure functions.
 */
#ifndef UBPFFS_FS_SOURCES_PERF_EVENTS_H
#define UBPFFS_FS_SOURCES_PERF_EVENTS_H

#include <linux/perf_event.h>
#include "run/sample.h"

extern const char *const perf_event_names[];
extern const u32 perf_event_names_nr;
/* Fills attr->type and attr->config; false: there is no such event. */
bool perf_event_by_name(const char *name, struct perf_event_attr *attr);

struct perf_regs { /* values of the bits of attr->sample_regs_*, ascending */
	u64 abi; /* PERF_SAMPLE_REGS_ABI_NONE: there are none */
	const u64 *v;
};

struct perf_sample {
	u64 ip, time, addr, period;
	u32 pid, tid;
	bool has_counter;
	u64 counter, enabled, running;
	const u64 *chain;
	u64 chain_nr;
	struct perf_regs user, intr;
	const void *stack; /* the user's, from its stack pointer up */
	u64 stack_size;
};

/*
 * perf_sample_parse - read a PERF_RECORD_SAMPLE
 * `body` is what follows the header, `size` its bytes, 8-byte aligned. 0, or -EBADMSG when it is
 * cut off.
 */
int perf_sample_parse(const struct perf_event_attr *attr, const void *body, size_t size,
		      struct perf_sample *out);

/*
 * perf_chain_split - the kernel's and the user's part of a call chain
 * Each array has room for BPF_MAX_STACK_DEPTH; what is more is left out.
 */
void perf_chain_split(const u64 *chain, u64 nr, u64 *kernel, u32 *kernel_nr, u64 *user,
		      u32 *user_nr);

#endif
