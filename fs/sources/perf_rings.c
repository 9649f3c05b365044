/*
 * perf_rings.c - see perf_rings.h
 */
#include <sys/mman.h>
#include <unistd.h>
#include "fs/sources/perf_rings.h"

#define SAMPLE_TIME 24 /* after the header, the address and the thread */

int perf_rings_add(struct perf_rings *rings, int fd, u32 pages)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct perf_ring *ring;
	void *p = MAP_FAILED;

	if (rings->nr == rings->cap) {
		u32 cap = rings->cap * 2 + 8;

		ring = realloc(rings->v, cap * sizeof(*ring));
		if (!ring)
			return -ENOMEM;
		rings->v = ring;
		rings->cap = cap;
	}
	for (; pages; pages /= 2) {
		p = mmap(NULL, (pages + 1) * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (p != MAP_FAILED || (errno != EPERM && errno != ENOMEM))
			break;
	}
	if (p == MAP_FAILED)
		return -errno;
	ring = &rings->v[rings->nr++];
	*ring = (struct perf_ring){
		.meta = p, .data = (const u8 *)p + page, .size = pages * page, .fd = fd};
	return 0;
}

void perf_rings_free(struct perf_rings *rings)
{
	for (u32 i = 0; i < rings->nr; i++)
		munmap(rings->v[i].meta, rings->v[i].size + (size_t)sysconf(_SC_PAGESIZE));
	free(rings->v);
	rings->v = NULL;
	rings->nr = rings->cap = 0;
}

/* Records are 8-byte aligned, so neither a header nor a word goes over the end. */
static void ring_word(const struct perf_ring *ring, u64 at, void *word)
{
	memcpy(word, ring->data + at % ring->size, 8);
}

static void release(struct perf_ring *ring)
{
	__atomic_store_n(&ring->meta->data_tail, ring->tail, __ATOMIC_RELEASE);
}

static bool header_ok(const struct perf_ring *ring, const struct perf_event_header *header)
{
	size_t least = header->type == PERF_RECORD_SAMPLE ? SAMPLE_TIME + 8 : sizeof(*header) + 8;

	return header->size >= least && header->size % 8 == 0 &&
	       header->size <= ring->head - ring->tail;
}

/* B. The record at ring->tail, if there is one. */
static void peek(struct perf_rings *rings, struct perf_ring *ring)
{
	struct perf_event_header header;

	if (ring->tail == ring->head)
		return;
	ring_word(ring, ring->tail, &header);
	if (header_ok(ring, &header)) {
		ring_word(ring,
			  ring->tail + (header.type == PERF_RECORD_SAMPLE ? SAMPLE_TIME
									  : header.size - 8u),
			  &ring->time);
		return;
	}
	rings->bad++;
	ring->tail = ring->head;
	release(ring);
}

static struct perf_ring *earliest(const struct perf_rings *rings, u64 until)
{
	struct perf_ring *first = NULL;

	for (u32 i = 0; i < rings->nr; i++) {
		struct perf_ring *ring = &rings->v[i];

		if (ring->tail != ring->head && ring->time <= until &&
		    (!first || ring->time < first->time))
			first = ring;
	}
	return first;
}

static void done(struct perf_rings *rings)
{
	if (rings->taken)
		release(rings->taken);
	rings->taken = NULL;
}

bool perf_rings_look(struct perf_rings *rings, u64 until)
{
	done(rings);
	for (u32 i = 0; i < rings->nr; i++) {
		struct perf_ring *ring = &rings->v[i];
		bool none = ring->tail == ring->head;

		ring->head = __atomic_load_n(&ring->meta->data_head, __ATOMIC_ACQUIRE);
		if (none)
			peek(rings, ring);
	}
	return earliest(rings, until);
}

/* What goes over the end is put together; also, the kernel may not change what we check. */
static const u8 *in_one_piece(struct perf_rings *rings, const struct perf_ring *ring, size_t len)
{
	size_t off = ring->tail % ring->size, first = min(len, (size_t)(ring->size - off));

	if (first == len)
		return ring->data + off;
	memcpy(rings->bounce, ring->data + off, first);
	memcpy((u8 *)rings->bounce + first, ring->data, len - first);
	return (const u8 *)rings->bounce;
}

bool perf_rings_take(struct perf_rings *rings, u64 until, struct perf_record *out)
{
	struct perf_ring *ring;

	done(rings);
	ring = earliest(rings, until);
	if (!ring)
		return false;
	ring_word(ring, ring->tail, &out->header);
	out->body = in_one_piece(rings, ring, out->header.size) + sizeof(out->header);
	out->size = out->header.size - sizeof(out->header);
	ring->tail += out->header.size;
	rings->taken = ring;
	peek(rings, ring);
	return true;
}
