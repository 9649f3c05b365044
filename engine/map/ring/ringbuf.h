/*
 * ringbuf.h - the ring buffer map: records from programs to one consumer, in the order of their
 * reservation
 *
 * Two files, so that a consumer can be given what it may write and nothing else:
 *
 *	the values file	one page: the consumer's position, which a client may map writable
 *	the index file	the arena's header, then Linux's pages: the producers' page (their position)
 *			and at BPF_RINGBUF_DATA_OFF the data. A client may map it, read-only
 *
 * A consumer maps the data twice, one copy behind the other, so that no record is ever in two
 * pieces; of a file that takes two calls of mmap(2).
 *
 * A record is 8 bytes of header (u32 length with the bits below, u32 page offset) and its data,
 * padded to 8.
 *
 *	 consumed   |  committed, or not yet (BUSY)  |   free
 *	------------+-----------+---------+----------+---------------
 *	            ^           ^                    ^
 *	    consumer position   first BUSY record    producers' position
 *
 *	 31     30        29                   0
 *	+------+---------+----------------------+-------------+--------------
 *	| BUSY | DISCARD | length of the data   | page offset | data, padded
 *	+------+---------+----------------------+-------------+--------------
 *
 * Definitions
 *   reserve   take room behind the last record; it is BUSY and nobody's but the program's.
 *   commit    clear BUSY, and to discard set DISCARD: from then on the record does not change.
 *   read      the oldest record not yet consumed, when it is committed; a discarded one is passed.
 *
 * What holds stands by letter in ringbuf.c.
 *
 * Progress
 *   Reserving takes a lock for a few instructions; writing and committing take none. A program that
 *   is stopped between reserve and commit holds back the records behind its own from being read
 *   (A). Neither it nor a consumer that is stopped holds back a producer until the ring is full.
 *
 * References
 *   L. Lamport, "Specifying Concurrent Program Modules", ACM TOPLAS 5(2), 1983: one ring, two
 *   positions. Linux, Documentation/bpf/ringbuf.rst: the layout, and why there is one ring for all
 *   CPUs.
 */
#ifndef UBPFFS_MAP_RING_RINGBUF_H
#define UBPFFS_MAP_RING_RINGBUF_H

#include "core/map.h"

#define BPF_RINGBUF_PAGE     4096u
#define BPF_RINGBUF_DATA_OFF (2 * BPF_RINGBUF_PAGE) /* in the index file */

/* What helpers do. reserve: NULL when there is no room now, or never. */
void *bpf_ringbuf_reserve(struct bpf_map *map, u64 size, u64 flags);
void bpf_ringbuf_commit(void *sample, u64 flags, bool discard);
long bpf_ringbuf_output(struct bpf_map *map, const void *data, u64 size, u64 flags);
u64 bpf_ringbuf_query(const struct bpf_map *map, u64 flags);

/*
 * bpf_ringbuf_read - the next record, for a consumer in this process
 *
 * Returns its length and copies it to *out, which is grown as needed (malloc; *cap is its size);
 * the record is then consumed. -EAGAIN: none is complete; -ENOMEM; -EBADMSG: who else maps the ring
 * wrote nonsense, and all that waited is dropped. Two callers get each record once between them.
 */
s64 bpf_ringbuf_read(struct bpf_map *map, void **out, size_t *cap);
bool bpf_ringbuf_readable(const struct bpf_map *map);

/*
 * For a consumer that maps the ring. Should it look (a record is committed, or discarded)? Moves
 * nothing.
 */
bool bpf_ringbuf_ready(const struct bpf_map *map);

#endif
