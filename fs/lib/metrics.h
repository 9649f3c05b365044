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

/* How long requests took, by kind. Those that wait for something to come are not counted. */
enum fs_latency_kind {
	KIND_LOOK,
	KIND_OPEN,
	KIND_READ,
	KIND_WRITE,
	KIND_CLOSE,
	KIND_IOCTL,
	KIND_CHANGE,
	KINDS
};
#define LATENCY_BUCKETS 13 /* the last one has no bound */

struct fs_latency {
	u64 buckets[LATENCY_BUCKETS], sum_ns; /* each bucket alone, not the sum of those below */
};

const char *fs_latency_name(enum fs_latency_kind kind);
/* The upper bound of a bucket in seconds, as text. */
const char *fs_latency_bound(u32 bucket);
/* op: as struct fs_req has it, NULL: a lookup or stat. began: monotonic_ns(), 0: not counted. */
void fs_count_latency(const char *op, u64 began);
void fs_latency_read(enum fs_latency_kind kind, struct fs_latency *out);

#define fs_count(field)	  __atomic_fetch_add(&fs_metrics.field, 1, __ATOMIC_RELAXED)
#define fs_uncount(field) __atomic_fetch_sub(&fs_metrics.field, 1, __ATOMIC_RELAXED)
#define fs_counted(field) __atomic_load_n(&fs_metrics.field, __ATOMIC_RELAXED)

#endif
