/*
 * perf_event.h - an event that programs output to: a ring in memory that its consumer maps
 *
 * The page that comes first, and the records, are laid out as perf_event_open(2) has them for
 * PERF_COUNT_SW_BPF_OUTPUT, so that consumers of the kernel's events read these. An event is its
 * CPU's (slot's), and goes into an element of a perf_event_array.
 *
 * Guarantees
 *   A. A record is whole before data_head passes it. What a consumer writes into the memory moves
 *   nothing of ours but the tail, and that is believed only as far as it can be true.
 *   B. Output never waits: what does not fit is -ENOSPC, and the next record that fits comes after
 *   one that tells how many were lost.
 *   C. The memory neither grows nor shrinks once there is a ring, and all of it is there.
 * Lock: one an event, a leaf.
 */
#ifndef UBPFFS_MAP_RING_PERF_EVENT_H
#define UBPFFS_MAP_RING_PERF_EVENT_H

#include "util/types.h"

struct bpf_perf_event;

struct bpf_perf_event_attr {
	u32 cpu;
	u32 wakeup; /* records, or bytes, until a consumer is told; 0: one */
	u64 sample_type; /* PERF_SAMPLE_RAW and, if asked for, TIME and CPU */
	bool watermark; /* wakeup is of bytes */
	bool disabled; /* until it is enabled */
	u32 uid; /* whose it is, for who keeps it */
};

/*
 * -EINVAL: another sample_type; -ENOMEM, -EMFILE. memfd: taken over, empty; the ring's memory will
 * be in it.
 */
int bpf_perf_event_new(const struct bpf_perf_event_attr *attr, int memfd,
		       struct bpf_perf_event **out);
void bpf_perf_event_get(struct bpf_perf_event *event);
void bpf_perf_event_put(struct bpf_perf_event *event);
/* By its id, with a reference; NULL: none. */
struct bpf_perf_event *bpf_perf_event_by_id(u32 id);
u32 bpf_perf_event_id(const struct bpf_perf_event *event);
u32 bpf_perf_event_uid(const struct bpf_perf_event *event);

/* A page and `len` - a page of records, a power of two of pages: so many bytes. -EINVAL else. */
int bpf_perf_event_check(u64 len);
/* Make the ring, of which there is one: -EINVAL for another size than it has; -ENOMEM. */
int bpf_perf_event_ring(struct bpf_perf_event *event, u64 len);
void bpf_perf_event_enable(struct bpf_perf_event *event, bool on);
/* Is there something that the consumer is to be told of? */
bool bpf_perf_event_ready(struct bpf_perf_event *event);

struct bpf_perf_part {
	const void *data;
	u64 len;
};

/*
 * What a program puts out, in all `len` bytes: -EOPNOTSUPP: another CPU's, or not enabled; -ENOSPC:
 * no ring, or no room in it. *tell: its consumer is to be told.
 */
long bpf_perf_event_output(struct bpf_perf_event *event, u32 cpu, const struct bpf_perf_part *parts,
			   u32 nr, u32 len, bool *tell);

#endif
