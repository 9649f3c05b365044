/*
 * ringbuf.h - the ring buffer map: records from programs to one consumer, in the order of their reservation
 *
 * The values file is what a consumer maps, page by page as Linux lays it out: the consumer's page (its position,
 * which it writes), the producers' page (their position), the data. A consumer maps the data twice, one copy
 * behind the other, so that no record is ever in two pieces; of a file that takes two calls of mmap(2).
 *
 * A record is 8 bytes of header (u32 length with the bits below, u32 page offset) and its data, padded to 8.
 */
#ifndef UBPFFS_MAP_RINGBUF_H
#define UBPFFS_MAP_RINGBUF_H

#include "core/map.h"

#define BPF_RINGBUF_PAGE     4096u
#define BPF_RINGBUF_DATA_OFF (2 * BPF_RINGBUF_PAGE) /* in the values file */

/* What helpers do. reserve: NULL when there is no room now, or never. */
void *bpf_ringbuf_reserve(struct bpf_map *map, u64 size, u64 flags);
void bpf_ringbuf_commit(void *sample, u64 flags, bool discard);
long bpf_ringbuf_output(struct bpf_map *map, const void *data, u64 size, u64 flags);
u64 bpf_ringbuf_query(const struct bpf_map *map, u64 flags);

/*
 * bpf_ringbuf_read - the next record, for a consumer in this process
 *
 * Returns its length and copies it to *out, which is grown as needed (malloc; *cap is its size); the
 * record is then consumed. -EAGAIN: none is complete; -ENOMEM; -EBADMSG: who else maps the ring wrote nonsense, and
 * all that waited is dropped. Two consumers get each record once between them.
 */
s64 bpf_ringbuf_read(struct bpf_map *map, void **out, size_t *cap);
bool bpf_ringbuf_readable(const struct bpf_map *map);

#endif
