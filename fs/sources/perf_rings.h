/*
 * perf_rings.h - the kernel's records of all CPUs, in the order of their time
 *
 * Each CPU has a ring. A process is sampled on one CPU and executes another program on the next, so
 * what a sample means follows from the records before it in any ring.
 *
 * Guarantees
 *   A. Records come by their time, those of one ring in its order. What the kernel was just
 *	writing is waited for: only records up to `until` come, and who asks leaves the kernel
 *	PERF_SETTLE_NS.
 *   B. What the kernel wrote is believed only as far as it lies in the ring; a record is in one
 *	piece, and stays as it is until the next is taken.
 * The events must have sample_id_all, and a sample's time as its third word.
 * Used by the source's thread.
 */
#ifndef UBPFFS_FS_SOURCES_PERF_RINGS_H
#define UBPFFS_FS_SOURCES_PERF_RINGS_H

#include <linux/perf_event.h>
#include "util/types.h"

#define PERF_SETTLE_NS 1000000
#define PERF_CLOCK     CLOCK_MONOTONIC

struct perf_ring {
	struct perf_event_mmap_page *meta;
	const u8 *data;
	u64 size;
	int fd;
	u64 head, tail; /* what is to be taken */
	u64 time; /* of the record at tail */
};

struct perf_rings {
	struct perf_ring *v;
	u32 nr, cap;
	struct perf_ring *taken; /* the last record is still in it */
	u64 bad; /* rings that were damaged, and were emptied */
	u64 bounce[65536 / 8];
};

struct perf_record {
	struct perf_event_header header;
	const u8 *body;
	size_t size; /* of the body */
};

/* With `pages` of data (a power of two), or fewer if that is not allowed. -errno. */
int perf_rings_add(struct perf_rings *rings, int fd, u32 pages);
void perf_rings_free(struct perf_rings *rings); /* what it holds */

/* What is there now. False: nothing up to `until`. */
bool perf_rings_look(struct perf_rings *rings, u64 until);
bool perf_rings_take(struct perf_rings *rings, u64 until, struct perf_record *out);

#endif
