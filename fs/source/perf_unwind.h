/*
 * perf_unwind.h - user stacks of code without frame pointers, from a sample's registers and a copy of its stack
 *
 * By the call frame information of the process's own files (libdw). Used by one thread.
 */
#ifndef UBPFFS_FS_SOURCE_PERF_UNWIND_H
#define UBPFFS_FS_SOURCE_PERF_UNWIND_H

#include "fs/source/perf_events.h"

struct perf_unwind;

/* Files and /proc are read with this user's rights. */
struct perf_unwind *perf_unwind_new(uid_t uid, gid_t gid);
void perf_unwind_free(struct perf_unwind *u);

/*
 * Return addresses, innermost first (the sampled address itself is the first), into ips. sample->user holds the
 * registers of `mask`. How many, or -errno when the process cannot be read.
 */
int perf_unwind(struct perf_unwind *u, const struct perf_sample *sample, u64 mask, u64 *ips,
		u32 max);

#endif
