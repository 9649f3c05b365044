/*
 * perf_event_array.c - see perf_event_array.h
 *
 * Guarantees
 *   A. A record is whole; records of one slot come in the order of output; each goes to one reader.
 *   B. Output never waits for a reader: a full ring counts a loss, which the slot's next read
 *      tells.
 *   C. Without a reader output is -ENOENT and costs two loads.
 *   D. Nothing of it is kept over a restart: records are for who listens.
 * The rings are published by RCU. Lock order: `open_lock`, then a ring's lock.
 * Tests: tests/unit/test_perf_event_array.c.
 */
#include <pthread.h>
#include <sys/mman.h>
#include "util/lock.h"
#include "map/map.h"
#include "map/ring/perf_event_array.h"

#define PERF_RING_SIZE	(256u << 10)
#define PERF_MAX_RECORD (64u << 10) /* Linux: a perf record's size has 16 bits */
#define PERF_FLAGS	(BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_PRESERVE_ELEMS)

struct perf_ring {
	struct bpf_lock lock;
	u64 head, tail; /* bytes written and read, ever */
	u64 lost;
	u8 *data; /* u32 length and data, padded to 8 bytes; wraps anywhere */
};

struct perf_rings {
	struct rcu_head rcu;
	u32 nr;
	struct perf_ring ring[];
};

/* The elements that somebody has put something into: all of them, once there is one. */
struct perf_elem {
	struct bpf_perf_event *event;
	const void *owner;
};

struct bpf_perf_array {
	struct bpf_map map;
	struct perf_rings *rings; /* NULL: nobody reads */
	struct perf_elem *elems; /* NULL: nobody put an event in */
	pthread_mutex_t open_lock; /* readers and rings, and changes of elements */
	u32 readers;
	u32 turn; /* the slot to look at first */
};

static struct bpf_perf_array *perf_array(const struct bpf_map *map)
{
	return container_of(map, struct bpf_perf_array, map);
}

static int perf_alloc_check(const struct bpf_map_spec *spec, const char **why)
{
	return bpf_spec_check_sizes(spec, 4, 4, PERF_FLAGS, why);
}

static int perf_layout(const struct bpf_map_spec *spec, u32 nr_slots, u64 *index, u64 *values)
{
	*index = *values = 0;
	return 0;
}

static int perf_attach(struct bpf_map *map)
{
	pthread_mutex_init(&perf_array(map)->open_lock, NULL);
	return 0;
}

static void rings_free(struct rcu_head *head)
{
	struct perf_rings *rings = container_of(head, struct perf_rings, rcu);

	for (u32 i = 0; i < rings->nr; i++)
		munmap(rings->ring[i].data, PERF_RING_SIZE);
	free(rings);
}

static void perf_free(struct bpf_map *map)
{
	struct bpf_perf_array *array = perf_array(map);

	bpf_perf_array_release(map, NULL);
	free(array->elems);
	pthread_mutex_destroy(&array->open_lock);
}

/* ---- readers come and go */

static struct perf_rings *rings_new(u32 nr)
{
	size_t size =
		round_up(sizeof(struct perf_rings) + nr * sizeof(struct perf_ring), (size_t)64);
	struct perf_rings *rings = aligned_alloc(64, size);

	if (!rings)
		return NULL;
	memset(rings, 0, size);
	for (; rings->nr < nr; rings->nr++) {
		void *data = mmap(NULL, PERF_RING_SIZE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (data == MAP_FAILED) {
			rings_free(&rings->rcu);
			return NULL;
		}
		rings->ring[rings->nr].data = data;
	}
	return rings;
}

static u32 nr_rings(const struct bpf_map *map)
{
	return min(map->max_entries, bpf_nr_slots());
}

u64 bpf_perf_bytes(const struct bpf_map *map)
{
	return (u64)nr_rings(map) * PERF_RING_SIZE;
}

int bpf_perf_open(struct bpf_map *map)
{
	struct bpf_perf_array *array = perf_array(map);
	int err = 0;

	pthread_mutex_lock(&array->open_lock);
	if (!array->readers) {
		struct perf_rings *rings = rings_new(nr_rings(map));

		if (rings)
			bpf_rcu_assign_pointer(array->rings, rings);
		else
			err = -ENOMEM;
	}
	array->readers += !err;
	pthread_mutex_unlock(&array->open_lock);
	return err;
}

void bpf_perf_close(struct bpf_map *map)
{
	struct bpf_perf_array *array = perf_array(map);
	struct perf_rings *rings = NULL;

	pthread_mutex_lock(&array->open_lock);
	if (!--array->readers)
		rings = bpf_rcu_xchg_pointer(array->rings, NULL);
	pthread_mutex_unlock(&array->open_lock);
	if (rings)
		bpf_call_rcu(&rings->rcu, rings_free);
}

/* ---- events in elements */

#define MAX_ELEMS (1u << 20)

int bpf_perf_array_put(struct bpf_map *map, u32 index, struct bpf_perf_event *event,
		       const void *owner)
{
	struct bpf_perf_array *array = perf_array(map);
	struct bpf_perf_event *old = event;
	int err = 0;

	if (index >= map->max_entries)
		return -E2BIG;
	if (index >= MAX_ELEMS)
		return -ENOMEM;
	pthread_mutex_lock(&array->open_lock);
	if (!array->elems) {
		struct perf_elem *elems =
			calloc(min(map->max_entries, MAX_ELEMS), sizeof(*array->elems));

		if (elems)
			bpf_rcu_assign_pointer(array->elems, elems);
		else
			err = -ENOMEM;
	}
	if (!err) {
		bpf_perf_event_get(event);
		old = bpf_rcu_xchg_pointer(array->elems[index].event, event);
		array->elems[index].owner = owner;
	}
	pthread_mutex_unlock(&array->open_lock);
	if (!err)
		bpf_perf_event_put(old);
	return err;
}

static struct bpf_perf_event *__take_out(struct bpf_perf_array *array, u32 index)
{
	array->elems[index].owner = NULL;
	return bpf_rcu_xchg_pointer(array->elems[index].event, NULL);
}

void bpf_perf_array_release(struct bpf_map *map, const void *owner)
{
	struct bpf_perf_array *array = perf_array(map);
	u32 nr = min(map->max_entries, MAX_ELEMS);

	if (owner && map->map_flags & BPF_F_PRESERVE_ELEMS)
		return;
	pthread_mutex_lock(&array->open_lock);
	for (u32 i = 0; array->elems && i < nr; i++)
		if (!owner || array->elems[i].owner == owner)
			bpf_perf_event_put(__take_out(array, i));
	pthread_mutex_unlock(&array->open_lock);
}

/* ---- bytes in and out of a ring, whose lock is held */

static void __ring_put(struct perf_ring *ring, u64 pos, const void *data, u64 len)
{
	u64 at = pos % PERF_RING_SIZE, first = min(len, PERF_RING_SIZE - at);

	if (first)
		memcpy(ring->data + at, data, first);
	if (len - first)
		memcpy(ring->data, (const u8 *)data + first, len - first);
}

static void __ring_get(const struct perf_ring *ring, u64 pos, void *data, u64 len)
{
	u64 at = pos % PERF_RING_SIZE, first = min(len, PERF_RING_SIZE - at);

	if (first)
		memcpy(data, ring->data + at, first);
	if (len - first)
		memcpy((u8 *)data + first, ring->data, len - first);
}

static u64 record_room(u32 len)
{
	return round_up((u64)len + sizeof(u32), (u64)8);
}

/* ---- output */

static bool ring_write(struct perf_ring *ring, const struct bpf_perf_part *parts, u32 nr, u32 len)
{
	bool fits;
	u64 pos;

	bpf_lock(&ring->lock);
	pos = ring->head;
	fits = pos + record_room(len) - ring->tail <= PERF_RING_SIZE;
	if (fits) {
		__ring_put(ring, pos, &len, sizeof(len));
		pos += sizeof(len);
		for (u32 i = 0; i < nr; pos += parts[i++].len)
			__ring_put(ring, pos, parts[i].data, parts[i].len);
		ring->head += record_room(len);
	} else {
		ring->lost++;
	}
	bpf_unlock(&ring->lock);
	return fits;
}

/* Did the element have an event? Then *ret is what it said. */
static bool event_output(struct bpf_map *map, u32 index, u32 slot,
			 const struct bpf_perf_part *parts, u32 nr, u64 len, long *ret)
{
	struct perf_elem *elems = bpf_rcu_dereference(perf_array(map)->elems);
	struct bpf_perf_event *event = NULL;
	bool tell = false;

	if (elems && index < MAX_ELEMS)
		event = bpf_rcu_dereference(elems[index].event);
	if (!event)
		return false;
	*ret = -E2BIG;
	if (len < PERF_MAX_RECORD)
		*ret = bpf_perf_event_output(event, slot, parts, nr, (u32)len, &tell);
	if (*ret)
		bpf_map_count(map, failed_updates, 1);
	else
		bpf_map_count(map, updates, 1);
	if (tell)
		bpf_map_tell(map);
	return true;
}

long bpf_perf_output(struct bpf_map *map, u64 flags, const struct bpf_perf_part *parts, u32 nr)
{
	struct perf_rings *rings;
	long ret;
	u64 index = flags & BPF_F_INDEX_MASK, len = 0;
	u32 slot = bpf_map_slot();

	if (index == BPF_F_CURRENT_CPU)
		index = slot;
	if (index >= map->max_entries)
		return -E2BIG;
	for (u32 i = 0; i < nr; i++)
		len += parts[i].len;
	if (event_output(map, (u32)index, slot, parts, nr, len, &ret))
		return ret;
	rings = bpf_rcu_dereference(perf_array(map)->rings);
	if (!rings || index >= rings->nr)
		return -ENOENT;
	if (index != slot) /* an event is its own CPU's */
		return -EOPNOTSUPP;
	if (len >= PERF_MAX_RECORD)
		return -E2BIG;
	if (ring_write(&rings->ring[index], parts, nr, (u32)len))
		bpf_map_count(map, updates, 1);
	else
		bpf_map_count(map, failed_updates, 1);
	bpf_map_tell(map);
	return 0;
}

/* ---- reading */

/* 0, -EAGAIN, -ENOMEM */
static int ring_read(struct perf_ring *ring, struct bpf_perf_record *record)
{
	int err = -EAGAIN;
	u32 len;

	bpf_lock(&ring->lock);
	record->lost = ring->lost;
	record->len = 0;
	if (ring->head != ring->tail) {
		__ring_get(ring, ring->tail, &len, sizeof(len));
		err = 0;
		if (len > record->cap) {
			void *data = realloc(record->data, len);

			if (data) {
				record->data = data;
				record->cap = len;
			} else {
				err = -ENOMEM;
			}
		}
		if (!err) {
			__ring_get(ring, ring->tail + sizeof(len), record->data, len);
			record->len = len;
			ring->tail += record_room(len);
		}
	} else if (ring->lost) {
		err = 0;
	}
	if (!err)
		ring->lost = 0;
	bpf_unlock(&ring->lock);
	return err;
}

int bpf_perf_read(struct bpf_map *map, struct bpf_perf_record *record)
{
	struct bpf_perf_array *array = perf_array(map);
	struct perf_rings *rings;
	int err = -EAGAIN;
	u32 turn;

	bpf_rcu_read_lock();
	rings = bpf_rcu_dereference(array->rings);
	turn = __atomic_fetch_add(&array->turn, 1, __ATOMIC_RELAXED);
	for (u32 i = 0; rings && i < rings->nr && err == -EAGAIN; i++) {
		record->cpu = (turn + i) % rings->nr;
		err = ring_read(&rings->ring[record->cpu], record);
	}
	bpf_rcu_read_unlock();
	return err;
}

bool bpf_perf_readable(struct bpf_map *map)
{
	struct perf_rings *rings;
	bool any = false;

	bpf_rcu_read_lock();
	rings = bpf_rcu_dereference(perf_array(map)->rings);
	for (u32 i = 0; rings && i < rings->nr && !any; i++) {
		struct perf_ring *ring = &rings->ring[i];

		bpf_lock(&ring->lock);
		any = ring->head != ring->tail || ring->lost;
		bpf_unlock(&ring->lock);
	}
	bpf_rcu_read_unlock();
	return any;
}

/* ---- from outside: events are put in by bpf_perf_array_put() */

static long perf_sys_lookup_elem(struct bpf_map *map, const void *key, void *value)
{
	return -EOPNOTSUPP;
}

static long perf_sys_update_elem(struct bpf_map *map, const void *key, const void *value, u64 flags)
{
	u32 index;

	memcpy(&index, key, sizeof(index));
	if (flags != BPF_ANY)
		return -EINVAL;
	return index >= map->max_entries ? -E2BIG : -EOPNOTSUPP;
}

static long perf_delete_elem(struct bpf_map *map, const void *key)
{
	struct bpf_perf_array *array = perf_array(map);
	struct bpf_perf_event *old = NULL;
	u32 index;

	memcpy(&index, key, sizeof(index));
	if (index >= map->max_entries)
		return -E2BIG;
	pthread_mutex_lock(&array->open_lock);
	if (array->elems && index < MAX_ELEMS)
		old = __take_out(array, index);
	pthread_mutex_unlock(&array->open_lock);
	bpf_perf_event_put(old);
	return old ? 0 : -ENOENT;
}

static int perf_get_next_key(struct bpf_map *map, const void *key, void *next_key)
{
	return bpf_array_get_next_key(map, key, next_key);
}

const struct bpf_map_ops perf_event_array_map_ops = {
	.name = "perf_event_array",
	.map_size = sizeof(struct bpf_perf_array),
	.alloc_check = perf_alloc_check,
	.map_layout = perf_layout,
	.alloc = perf_attach,
	.open = perf_attach,
	.free = perf_free,
	.map_delete_elem = perf_delete_elem,
	.map_get_next_key = perf_get_next_key,
	.sys_lookup_elem = perf_sys_lookup_elem,
	.sys_update_elem = perf_sys_update_elem,
};
