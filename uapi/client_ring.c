/*
 * client_ring.c - the consumer's side of a ring buffer, on memory that it shares with the producers
 *
 * The data is mapped twice, one copy behind the other, so that a record that wraps lies in one
 * piece. A record's header is its length and two bits: BUSY until it is committed, DISCARD when
 * nobody wants it. The position moves by compare-and-exchange: a reader of the map's `records` file
 * may have taken a record meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "uapi/client_mount.h"
#include "uapi/ubpffs_client.h"

#define RING_PAGE   4096u
#define RECORD_BITS (BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT)

struct ubpfc_ring {
	int fd; /* of the map, for poll */
	uint64_t size;
	uint64_t *consumer;
	char *shared; /* producers' page, data, data again */
};

static void *map_part(const char *dir, unsigned int id, int flags, void *at, size_t len, off_t off)
{
	int prot = flags == O_RDWR ? PROT_READ | PROT_WRITE : PROT_READ, saved, fd;
	char path[64];
	void *p;

	snprintf(path, sizeof(path), "ids/%s/%u", dir, id);
	fd = client_mount_open(path, flags, 0);
	if (fd < 0)
		return MAP_FAILED;
	p = mmap(at, len, prot, MAP_SHARED | (at ? MAP_FIXED : 0), fd, off);
	saved = errno;
	close(fd);
	errno = saved;
	return p;
}

static int map_ring(struct ubpfc_ring *ring, unsigned int id)
{
	size_t whole = RING_PAGE + 2 * ring->size;
	char *p;

	ring->consumer = map_part("consumer", id, O_RDWR, NULL, RING_PAGE, 0);
	if (ring->consumer == MAP_FAILED)
		return -1;
	p = mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return -1;
	ring->shared = p;
	if (map_part("ring", id, O_RDONLY, p, RING_PAGE + ring->size, RING_PAGE) == MAP_FAILED ||
	    map_part("ring", id, O_RDONLY, p + RING_PAGE + ring->size, ring->size, 2 * RING_PAGE) ==
		    MAP_FAILED)
		return -1;
	return 0;
}

EXPORT struct ubpfc_ring *ubpfc_ring_open(int map_fd)
{
	struct bpf_map_info info = {0};
	unsigned int len = sizeof(info);
	struct ubpfc_ring *ring;
	int saved;

	if (ubpfc_obj_get_info_by_fd(map_fd, &info, &len) < 0)
		return NULL;
	if (info.type != BPF_MAP_TYPE_RINGBUF) {
		errno = EINVAL;
		return NULL;
	}
	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return NULL;
	ring->size = info.max_entries;
	ring->consumer = MAP_FAILED;
	ring->fd = fcntl(map_fd, F_DUPFD_CLOEXEC, 0);
	if (ring->fd >= 0 && !map_ring(ring, info.id))
		return ring;
	saved = errno;
	ubpfc_ring_close(ring);
	errno = saved;
	return NULL;
}

EXPORT void ubpfc_ring_close(struct ubpfc_ring *ring)
{
	if (!ring)
		return;
	if (ring->consumer != MAP_FAILED)
		munmap(ring->consumer, RING_PAGE);
	if (ring->shared)
		munmap(ring->shared, RING_PAGE + 2 * ring->size);
	if (ring->fd >= 0)
		close(ring->fd);
	free(ring);
}

EXPORT int ubpfc_ring_fd(const struct ubpfc_ring *ring)
{
	return ring->fd;
}

EXPORT long ubpfc_ring_consume(struct ubpfc_ring *ring, ubpfc_ring_fn fn, void *ctx)
{
	uint64_t pos = __atomic_load_n(ring->consumer, __ATOMIC_ACQUIRE);
	const char *data = ring->shared + RING_PAGE;
	long count = 0;
	int stop = 0;

	while (!stop) {
		uint64_t producer = __atomic_load_n((uint64_t *)ring->shared, __ATOMIC_ACQUIRE);
		const char *record = data + (pos & (ring->size - 1));
		uint32_t len, size;

		if (pos >= producer)
			break;
		len = __atomic_load_n((const uint32_t *)record, __ATOMIC_ACQUIRE);
		if (len & BPF_RINGBUF_BUSY_BIT)
			break;
		size = ((len & ~RECORD_BITS) + BPF_RINGBUF_HDR_SZ + 7) & ~7u;
		/* Another consumer set the position to what is no record, or not any more. */
		if (producer - pos > ring->size || size > producer - pos) {
			errno = EBADMSG;
			return -1;
		}
		if (!(len & BPF_RINGBUF_DISCARD_BIT)) {
			stop = fn(ctx, record + BPF_RINGBUF_HDR_SZ, len);
			count++;
		}
		if (__atomic_compare_exchange_n(ring->consumer, &pos, pos + size, 0,
						__ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE))
			pos += size;
	}
	return count;
}

EXPORT int ubpfc_ring_wait(const struct ubpfc_ring *ring, int timeout_ms)
{
	struct pollfd p = {.fd = ring->fd, .events = POLLIN};
	int ret = poll(&p, 1, timeout_ms);

	if (ret > 0 && !(p.revents & POLLIN)) {
		errno = ENOTCONN; /* the server is gone */
		return -1;
	}
	return ret;
}
