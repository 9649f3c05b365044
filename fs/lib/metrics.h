/*
 * metrics.h - what the server counts about itself, for M/metrics; relaxed counters
 */
#ifndef UBPFFS_FS_LIB_METRICS_H
#define UBPFFS_FS_LIB_METRICS_H

#include "util/types.h"

struct fs_metrics {
	u64 requests, errors; /* FUSE requests; answered with an errno */
	u64 loads, rejects; /* objects that were loaded; that were refused */
	u64 runs; /* test runs */
	u64 opens; /* open file descriptions, now */
	u64 parked; /* requests that wait, now */
	u64 handed_on; /* requests that took turns (fuse/turns.h) */
};

extern struct fs_metrics fs_metrics;

#define fs_count(field)	  __atomic_fetch_add(&fs_metrics.field, 1, __ATOMIC_RELAXED)
#define fs_uncount(field) __atomic_fetch_sub(&fs_metrics.field, 1, __ATOMIC_RELAXED)
#define fs_counted(field) __atomic_load_n(&fs_metrics.field, __ATOMIC_RELAXED)

#endif
