/*
 * ringbuf.c - the ring buffer map (see ringbuf.h)
 *
 * Producers reserve under `lock`, write without it, and commit by clearing a bit of the header.
 * Positions only rise; a place is its position modulo the size. The one word that a consumer may
 * write, its position, is believed nowhere: where it cannot be true it counts as "all consumed".
 * Lengths are checked before they move anything all the same, and a record's ring is found by its
 * address.
 *
 * Consumers in this process and one that maps the ring may follow each other. We move the position
 * by compare-and-exchange only, so it never goes back under a consumer that is at work; but two at
 * once may both see a record.
 *
 * Guarantees
 *   A. Records are given in the order of reservation; one that is not committed holds back those
 *      behind it.
 *   B. A reservation that would overwrite what is not consumed, or what is not committed, fails.
 *   C. The consumer is woken (bpf_map_notify) when a record is committed that it has caught up
 *      with, unless BPF_RB_NO_WAKEUP; always with BPF_RB_FORCE_WAKEUP. Not before the record can be
 *      seen.
 *   D. After a crash every committed record that was not consumed is there; a reserved one is
 *      discarded.
 *   E. Whatever a client writes into the files, nothing outside of the ring is read or written,
 *      producers go on, and consumers in this process get records again after at most one -EBADMSG.
 * Lock order: `lock` and `read_lock` are leaves.
 * Tests: tests/unit/test_ringbuf.c.
 */
#include <pthread.h>
#include <sys/mman.h>
#include "util/lock.h"
#include "map/map.h"
#include "map/ring/ringbuf.h"

#define HDR_SIZE      BPF_RINGBUF_HDR_SZ
#define MAX_RECORD_SZ (UINT32_MAX / 4)
#define LEN_FLAGS     (BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT)
#define RINGBUF_FLAGS BPF_F_NUMA_NODE
#define WAKEUP_FLAGS  (BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP)
#define MAX_LOST      1000 /* compare-and-exchanges: more, and who maps the ring is playing */

struct ringbuf_hdr {
	u32 len;
	u32 pg_off;
};

struct bpf_ringbuf {
	struct bpf_map map;
	char *data; /* twice, one behind the other */
	u64 size, mask;
	u64 *consumer_pos; /* a client writes it */
	u64 *producer_pos; /* a client reads it */

	struct bpf_lock lock; /* reserving */
	u64 pending_pos; /* all before it is committed */
	struct bpf_lock read_lock; /* consumers in this process */
};

static struct bpf_ringbuf *ringbuf(const struct bpf_map *map)
{
	return container_of(map, struct bpf_ringbuf, map);
}

/* ---- which ring an address is in: a sorted table, replaced as a whole */

struct ring_table {
	struct rcu_head rcu;
	u32 nr;
	struct bpf_ringbuf *rings[];
};

static pthread_mutex_t rings_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ring_table *rings;

static void table_free(struct rcu_head *head)
{
	free(container_of(head, struct ring_table, rcu));
}

/* Enter or leave. -ENOMEM. */
static int rings_change(struct bpf_ringbuf *rb, bool enter)
{
	struct ring_table *old, *table;
	u32 nr, i = 0;

	pthread_mutex_lock(&rings_lock);
	old = rings;
	nr = old ? old->nr : 0;
	table = malloc(sizeof(*table) + (nr + 1) * sizeof(table->rings[0]));
	if (!table && enter) {
		pthread_mutex_unlock(&rings_lock);
		return -ENOMEM;
	}
	if (!table) { /* leave in place: nobody asks for an address in a ring that goes */
		for (i = 0; old->rings[i] != rb; i++)
			;
		for (; i + 1 < nr; i++)
			__atomic_store_n(&old->rings[i], old->rings[i + 1], __ATOMIC_RELEASE);
		__atomic_store_n(&old->nr, nr - 1, __ATOMIC_RELEASE);
		pthread_mutex_unlock(&rings_lock);
		return 0;
	}
	table->nr = 0;
	for (; i < nr && old->rings[i]->data < rb->data; i++)
		table->rings[table->nr++] = old->rings[i];
	if (enter)
		table->rings[table->nr++] = rb;
	for (; i < nr; i++)
		if (old->rings[i] != rb)
			table->rings[table->nr++] = old->rings[i];
	bpf_rcu_assign_pointer(rings, table);
	pthread_mutex_unlock(&rings_lock);
	if (old)
		bpf_call_rcu(&old->rcu, table_free);
	return 0;
}

/* Inside an RCU section. The verifier saw to it that the address is in one. */
static struct bpf_ringbuf *ring_of(const void *sample)
{
	const struct ring_table *table = bpf_rcu_dereference(rings);
	u32 low = 0, high = __atomic_load_n(&table->nr, __ATOMIC_ACQUIRE);

	while (high - low > 1) {
		u32 mid = (low + high) / 2;

		if (__atomic_load_n(&table->rings[mid], __ATOMIC_ACQUIRE)->data <=
		    (const char *)sample)
			low = mid;
		else
			high = mid;
	}
	return __atomic_load_n(&table->rings[low], __ATOMIC_ACQUIRE);
}

/* ---- life */

static int ringbuf_alloc_check(const struct bpf_map_spec *spec, const char **why)
{
	int err = bpf_spec_check_sizes(spec, 0, 0, RINGBUF_FLAGS, why);

	if (!err &&
	    (spec->max_entries & (spec->max_entries - 1) || spec->max_entries % BPF_RINGBUF_PAGE))
		err = bpf_spec_refuse(why, EINVAL,
				      "max_entries is its size in bytes: a power of two, and whole "
				      "pages");
	return err;
}

static int ringbuf_layout(const struct bpf_map_spec *spec, u32 nr_slots, u64 *index, u64 *values)
{
	*index = BPF_RINGBUF_PAGE + (u64)spec->max_entries;
	*values = BPF_RINGBUF_PAGE;
	return 0;
}

static int map_twice(struct bpf_ringbuf *rb)
{
	int fd = rb->map.arena->index_fd;
	char *data = mmap(NULL, 2 * rb->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (data == MAP_FAILED)
		return -ENOMEM;
	for (u32 i = 0; i < 2; i++)
		if (mmap(data + i * rb->size, rb->size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, BPF_RINGBUF_DATA_OFF) == MAP_FAILED) {
			munmap(data, 2 * rb->size);
			return -ENOMEM;
		}
	rb->data = data;
	return 0;
}

static int ringbuf_attach(struct bpf_map *map)
{
	struct bpf_ringbuf *rb = ringbuf(map);
	struct bpf_arena *arena = map->arena;
	int err;

	if (!arena->values_in_file || !arena->index_in_file)
		return -EBADMSG;
	rb->size = map->max_entries;
	rb->mask = rb->size - 1;
	rb->consumer_pos = arena->values;
	rb->producer_pos = arena->index;
	err = bpf_arena_reserve(arena, arena->values, arena->values_size);
	if (!err)
		err = bpf_arena_reserve(arena, arena->index,
					BPF_RINGBUF_PAGE + (u64)map->max_entries);
	if (!err)
		err = map_twice(rb);
	if (err)
		return err;
	err = rings_change(rb, true);
	if (err)
		munmap(rb->data, 2 * rb->size);
	return err;
}

static struct ringbuf_hdr *hdr_at(const struct bpf_ringbuf *rb, u64 pos)
{
	return (struct ringbuf_hdr *)(rb->data + (pos & rb->mask));
}

static u64 record_size(u32 len)
{
	return round_up((u64)(len & ~LEN_FLAGS) + HDR_SIZE, (u64)8);
}

static bool can_be(const struct bpf_ringbuf *rb, u64 consumer, u64 producer)
{
	return consumer % 8 == 0 && producer - consumer <= rb->size;
}

/* The consumer's word, as far as it can be true. */
static u64 consumer_pos(const struct bpf_ringbuf *rb, u64 producer)
{
	u64 pos = __atomic_load_n(rb->consumer_pos, __ATOMIC_ACQUIRE);

	return can_be(rb, pos, producer) ? pos : producer;
}

/* False: it is not at `from` any more. */
static bool consumer_move(struct bpf_ringbuf *rb, u64 from, u64 to)
{
	return __atomic_compare_exchange_n(rb->consumer_pos, &from, to, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

/*
 * What was reserved when the last process ended was never written whole. A client that has mapped
 * the ring all the while may be moving its position meanwhile.
 */
static void ringbuf_recover(struct bpf_ringbuf *rb)
{
	u64 found = __atomic_load_n(rb->consumer_pos, __ATOMIC_ACQUIRE);
	u64 producer = *rb->producer_pos & ~7ull;
	u64 start = can_be(rb, found, producer) ? found : producer, pos = start;

	while (pos < producer) {
		struct ringbuf_hdr *hdr = hdr_at(rb, pos);
		u64 size = record_size(hdr->len);

		if (size > producer - pos) {
			start = producer;
			break;
		}
		if (hdr->len & BPF_RINGBUF_BUSY_BIT)
			__atomic_store_n(&hdr->len,
					 (hdr->len & ~LEN_FLAGS) | BPF_RINGBUF_DISCARD_BIT,
					 __ATOMIC_RELEASE);
		pos += size;
	}
	rb->pending_pos = producer;
	__atomic_store_n(rb->producer_pos, producer, __ATOMIC_RELEASE);
	if (start != found)
		consumer_move(rb, found, start);
}

static int ringbuf_open(struct bpf_map *map)
{
	int err = ringbuf_attach(map);

	if (!err)
		ringbuf_recover(ringbuf(map));
	return err;
}

static void ringbuf_free(struct bpf_map *map)
{
	struct bpf_ringbuf *rb = ringbuf(map);

	rings_change(rb, false);
	munmap(rb->data, 2 * rb->size);
}

/* ---- producers */

/* Step over what is committed by now. Caller holds rb->lock. */
static void __advance_pending(struct bpf_ringbuf *rb, u64 producer)
{
	while (rb->pending_pos < producer) {
		u32 len = __atomic_load_n(&hdr_at(rb, rb->pending_pos)->len, __ATOMIC_ACQUIRE);

		if (len & BPF_RINGBUF_BUSY_BIT)
			break;
		rb->pending_pos += min(record_size(len), producer - rb->pending_pos);
	}
}

void *bpf_ringbuf_reserve(struct bpf_map *map, u64 size, u64 flags)
{
	struct bpf_ringbuf *rb = ringbuf(map);
	struct ringbuf_hdr *hdr;
	u64 len, producer, consumer, end;

	if (unlikely(flags || size > MAX_RECORD_SZ))
		return NULL;
	len = round_up(size + HDR_SIZE, (u64)8);
	if (len > rb->size)
		return NULL;
	bpf_lock(&rb->lock);
	producer = *rb->producer_pos;
	consumer = consumer_pos(rb, producer);
	end = producer + len;
	__advance_pending(rb, producer);
	if (end - consumer > rb->mask || end - rb->pending_pos > rb->mask) {
		bpf_unlock(&rb->lock);
		return NULL;
	}
	hdr = hdr_at(rb, producer);
	__atomic_store_n(&hdr->pg_off, (u32)((producer & rb->mask) / BPF_RINGBUF_PAGE + 2),
			 __ATOMIC_RELAXED);
	__atomic_store_n(&hdr->len, (u32)size | BPF_RINGBUF_BUSY_BIT, __ATOMIC_RELAXED);
	__atomic_store_n(rb->producer_pos, end, __ATOMIC_RELEASE);
	bpf_unlock(&rb->lock);
	return hdr + 1;
}

static void commit(struct bpf_ringbuf *rb, void *sample, u64 flags, bool discard)
{
	struct ringbuf_hdr *hdr = (struct ringbuf_hdr *)sample - 1;
	u64 pos = (u64)((char *)hdr - rb->data) & rb->mask;
	u32 len = __atomic_load_n(&hdr->len, __ATOMIC_RELAXED) & ~LEN_FLAGS;

	if (discard)
		len |= BPF_RINGBUF_DISCARD_BIT;
	/* The consumer looks at the header after it moved; so one of the two sees the other. */
	__atomic_exchange_n(&hdr->len, len, __ATOMIC_SEQ_CST);
	bpf_map_count(&rb->map, updates, !discard);
	if (flags & BPF_RB_FORCE_WAKEUP)
		bpf_map_tell(&rb->map);
	else if (!(flags & BPF_RB_NO_WAKEUP) &&
		 (__atomic_load_n(rb->consumer_pos, __ATOMIC_SEQ_CST) & rb->mask) == pos)
		bpf_map_tell(&rb->map);
}

void bpf_ringbuf_commit(void *sample, u64 flags, bool discard)
{
	commit(ring_of(sample), sample, flags, discard);
}

long bpf_ringbuf_output(struct bpf_map *map, const void *data, u64 size, u64 flags)
{
	void *sample;

	if (unlikely(flags & ~(u64)WAKEUP_FLAGS))
		return -EINVAL;
	sample = bpf_ringbuf_reserve(map, size, 0);
	if (!sample) {
		bpf_map_count(map, failed_updates, 1);
		return -EAGAIN;
	}
	bpf_copy_to_arena(sample, data, (u32)size);
	commit(ringbuf(map), sample, flags, false);
	return 0;
}

u64 bpf_ringbuf_query(const struct bpf_map *map, u64 flags)
{
	const struct bpf_ringbuf *rb = ringbuf(map);
	u64 producer = __atomic_load_n(rb->producer_pos, __ATOMIC_ACQUIRE);

	switch (flags) {
	case BPF_RB_AVAIL_DATA:
		return producer - consumer_pos(rb, producer);
	case BPF_RB_RING_SIZE:
		return rb->size;
	case BPF_RB_CONS_POS:
		return __atomic_load_n(rb->consumer_pos, __ATOMIC_ACQUIRE);
	case BPF_RB_PROD_POS:
		return producer;
	default:
		return 0;
	}
}

/* ---- a consumer in this process */

/* Is the record at pos really not committed? Else the position is in the middle of one. */
static bool held_back(struct bpf_ringbuf *rb, u64 pos)
{
	bool held;

	bpf_lock(&rb->lock);
	__advance_pending(rb, *rb->producer_pos);
	held = pos >= rb->pending_pos;
	bpf_unlock(&rb->lock);
	return held;
}

/*
 * The next record's position, over discarded ones. Caller holds rb->read_lock. Its length, or
 * -errno. The consumer's position is read first: an honest one is then never beyond the producers'.
 */
static s64 __next_record(struct bpf_ringbuf *rb, u64 *at)
{
	for (u32 lost = 0; lost < MAX_LOST;) {
		u64 pos = __atomic_load_n(rb->consumer_pos, __ATOMIC_SEQ_CST);
		u64 producer = __atomic_load_n(rb->producer_pos, __ATOMIC_ACQUIRE);
		u32 len;

		if (!can_be(rb, pos, producer)) {
			lost += !consumer_move(rb, pos, producer);
			continue;
		}
		if (pos == producer)
			return -EAGAIN;
		len = __atomic_load_n(&hdr_at(rb, pos)->len, __ATOMIC_SEQ_CST);
		if (len & BPF_RINGBUF_BUSY_BIT && held_back(rb, pos))
			return -EAGAIN;
		/* A record that is being committed right now is busy in the first look only. */
		len = __atomic_load_n(&hdr_at(rb, pos)->len, __ATOMIC_SEQ_CST);
		if (len & BPF_RINGBUF_BUSY_BIT || record_size(len) > producer - pos) {
			if (consumer_move(rb, pos, producer))
				return -EBADMSG;
			lost++;
			continue;
		}
		if (!(len & BPF_RINGBUF_DISCARD_BIT)) {
			*at = pos;
			return len & ~LEN_FLAGS;
		}
		lost += !consumer_move(rb, pos, pos + record_size(len));
	}
	return -EAGAIN;
}

s64 bpf_ringbuf_read(struct bpf_map *map, void **out, size_t *cap)
{
	struct bpf_ringbuf *rb = ringbuf(map);
	u64 pos, next;
	u32 lost = 0;
	s64 len;

	bpf_lock(&rb->read_lock);
	while ((len = __next_record(rb, &pos)) >= 0) {
		if (len > (s64)*cap) {
			void *buf = realloc(*out, (size_t)len);

			if (!buf) {
				len = -ENOMEM;
				break;
			}
			*out = buf;
			*cap = (size_t)len;
		}
		if (len)
			bpf_copy_from_arena(*out, hdr_at(rb, pos) + 1, (u32)len);
		next = pos + record_size((u32)len);
		if (unlikely(bpf_map_noting))
			bpf_map_noting->note(bpf_map_noting, next, *out, (u32)len);
		if (consumer_move(rb, pos, next))
			break;
		if (unlikely(bpf_map_noting))
			bpf_map_noting->note(bpf_map_noting, 0, NULL, 0);
		/*
		 * Somebody else took it meanwhile, and it may have been overwritten under the copy.
		 */
		if (++lost == MAX_LOST) {
			len = -EAGAIN;
			break;
		}
	}
	bpf_unlock(&rb->read_lock);
	return len;
}

/* The position is what a consumer's change moves. */
static bool ringbuf_made(const struct bpf_map *map, u64 mark)
{
	return __atomic_load_n(ringbuf(map)->consumer_pos, __ATOMIC_ACQUIRE) >= mark;
}

bool bpf_ringbuf_readable(const struct bpf_map *map)
{
	struct bpf_ringbuf *rb = ringbuf(map);
	u64 pos;
	s64 len;

	bpf_lock(&rb->read_lock);
	len = __next_record(rb, &pos);
	bpf_unlock(&rb->read_lock);
	return len >= 0;
}

bool bpf_ringbuf_ready(const struct bpf_map *map)
{
	struct bpf_ringbuf *rb = ringbuf(map);
	u64 producer = __atomic_load_n(rb->producer_pos, __ATOMIC_ACQUIRE);
	u64 pos = consumer_pos(rb, producer);

	return pos < producer &&
	       !(__atomic_load_n(&hdr_at(rb, pos)->len, __ATOMIC_SEQ_CST) & BPF_RINGBUF_BUSY_BIT);
}

/* Bytes that wait are the nearest to entries that a ring has. */
static u64 ringbuf_entries(const struct bpf_map *map)
{
	return bpf_ringbuf_query(map, BPF_RB_AVAIL_DATA);
}

const struct bpf_map_ops ringbuf_map_ops = {
	.name = "ringbuf",
	.map_size = sizeof(struct bpf_ringbuf),
	.alloc_check = ringbuf_alloc_check,
	.map_layout = ringbuf_layout,
	.alloc = ringbuf_attach,
	.open = ringbuf_open,
	.free = ringbuf_free,
	.map_entries = ringbuf_entries,
	.map_made = ringbuf_made,
};
