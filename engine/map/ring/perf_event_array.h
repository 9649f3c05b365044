/*
 * perf_event_array.h - records from programs, a ring a slot, while somebody reads
 *
 * The elements are perf events that a consumer opened, one a CPU (perf_event.h). Where an element
 * has none, the first reader here opens them all: as long as there is none, output is -ENOENT.
 * Records of one slot come in order; one that does not fit is counted as lost.
 */
#ifndef UBPFFS_MAP_RING_PERF_EVENT_ARRAY_H
#define UBPFFS_MAP_RING_PERF_EVENT_ARRAY_H

#include "core/map.h"
#include "map/ring/perf_event.h"

/* What the rings take, in memory, while there is a reader. */
u64 bpf_perf_bytes(const struct bpf_map *map);
/* Each open is undone by a close; the rings go with the last. 0 or -ENOMEM. */
int bpf_perf_open(struct bpf_map *map);
void bpf_perf_close(struct bpf_map *map);

struct bpf_perf_record {
	void *data; /* malloc()ed and grown by the reader */
	size_t cap, len;
	u32 cpu;
	u64 lost; /* records of this CPU that did not fit before this one */
};

/*
 * The next record of any slot: 0, -EAGAIN (there is none), -ENOMEM. Only losses, no record: len 0
 * and lost.
 */
int bpf_perf_read(struct bpf_map *map, struct bpf_perf_record *record);
bool bpf_perf_readable(struct bpf_map *map);

/*
 * What the helpers do: the parts one behind the other become a record. flags: BPF_F_INDEX_MASK's.
 */
long bpf_perf_output(struct bpf_map *map, u64 flags, const struct bpf_perf_part *parts, u32 nr);

/*
 * The element `index` of the map: the event with a reference of its own, which `owner` may take
 * out.
 */
int bpf_perf_array_put(struct bpf_map *map, u32 index, struct bpf_perf_event *event,
		       const void *owner);
void bpf_perf_array_release(struct bpf_map *map, const void *owner);

#endif
