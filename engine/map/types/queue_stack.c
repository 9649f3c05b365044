/*
 * queue_stack.c - queue and stack: values without keys, first in first out or last in first out
 *
 * A ring of max_entries + 1 rooms of round_up(value_size, 8) bytes; one room is always empty, so
 * that a push onto a full map with BPF_EXIST, which drops the oldest value, is complete before it
 * is seen. Where the ring begins (tail, the oldest value) and ends (head, the next room) is one
 * 64-bit word in the arena.
 *
 * Guarantees
 *   A. A push, a pop, and a push that drops the oldest take effect by one store of that word: after
 *      a crash each has happened as a whole or not at all, and an acknowledged one has happened.
 *   B. Values come out in order: of a queue the oldest first, of a stack the newest.
 *   C. A value is given to one pop only.
 *   D. A full map gives -E2BIG, an empty one -ENOENT and a value of zeroes.
 *   E. A walk gives the values oldest first, those that are there throughout exactly once, and ends
 *      with those that were there when it began.
 *   F. It can be told after a crash whether a change that was noted (bpf_map_noting) was made.
 * Lock order: `lock` is a leaf.
 * Tests: tests/unit/test_queue_stack.c.
 */
#include "util/lock.h"
#include "map/map.h"
#include "map/iter.h"

#define QUEUE_FLAGS (BPF_F_NUMA_NODE | BPF_F_ACCESS_MASK)

#define RESERVE_STEP (1u << 20)

struct queue_arena { /* at the beginning of the index */
	u64 ends; /* tail << 32 | head; equal: empty */
	u64 change; /* the number of the one that was begun last */
	u64 before[2]; /* what `ends` was before the change of an even number, and of an odd one */
};

#define QUEUE_VALUES_OFF 64

struct bpf_queue {
	struct bpf_map map;
	struct bpf_lock lock; /* all below, and the ring */
	struct queue_arena *words;
	char *values;
	u64 rooms;
	u64 reserved; /* bytes of the ring that surely have memory under them */
	u64 first_seq; /* the oldest value's number: rises by one when it goes */
};

static struct bpf_queue *queue_of(const struct bpf_map *map)
{
	return container_of(map, struct bpf_queue, map);
}

static int queue_alloc_check(const struct bpf_map_spec *spec, const char **why)
{
	int err = bpf_spec_check_sizes(spec, 0, BPF_SPEC_ANY, QUEUE_FLAGS, why);

	if (!err && spec->value_size > KMALLOC_MAX_SIZE)
		err = bpf_spec_refuse(why, E2BIG, "value_size is at most 4 MiB");
	return err;
}

static int queue_layout(const struct bpf_map_spec *spec, u32 nr_slots, u64 *index, u64 *values)
{
	*values = 0;
	*index = QUEUE_VALUES_OFF + ((u64)spec->max_entries + 1) * round_up(spec->value_size, 8);
	return *index > BPF_ARENA_MAX_SIZE ? -ENOMEM : 0;
}

static int queue_attach(struct bpf_map *map)
{
	struct bpf_queue *q = queue_of(map);

	map->elem_size = round_up(map->value_size, 8);
	q->words = map->arena->index;
	q->values = (char *)map->arena->index + QUEUE_VALUES_OFF;
	q->rooms = (u64)map->max_entries + 1;
	q->first_seq = 1;
	return bpf_arena_reserve(map->arena, q->words, QUEUE_VALUES_OFF);
}

/* The word is all there is to recover; it comes from a file. */
static int queue_open(struct bpf_map *map)
{
	struct bpf_queue *q = queue_of(map);
	int err = queue_attach(map);

	if (err)
		return err;
	if ((u32)q->words->ends >= q->rooms || q->words->ends >> 32 >= q->rooms)
		return -EBADMSG;
	return 0;
}

static void queue_free(struct bpf_map *map)
{
}

static u64 ring_next(const struct bpf_queue *q, u64 room)
{
	return room + 1 == q->rooms ? 0 : room + 1;
}

static u64 ring_prev(const struct bpf_queue *q, u64 room)
{
	return room ? room - 1 : q->rooms - 1;
}

static u64 ring_count(const struct bpf_queue *q, u64 tail, u64 head)
{
	return head >= tail ? head - tail : head + q->rooms - tail;
}

static void ends_load(const struct bpf_queue *q, u64 *tail, u64 *head)
{
	u64 ends = __atomic_load_n(&q->words->ends, __ATOMIC_RELAXED);

	*tail = ends >> 32;
	*head = (u32)ends;
}

/*
 * A change, which takes effect by the last store. Release: who finds the word after a crash finds
 * the value that it covers. Changes come one after the other, so one whose number is not the last
 * was made; the last one was when the word is another than before it, and every change makes it
 * another. Caller holds q->lock.
 */
static void __change(struct bpf_queue *q, u64 tail, u64 head, const void *taken)
{
	struct queue_arena *words = q->words;
	u64 number = words->change + 1;

	if (unlikely(bpf_map_noting))
		bpf_map_noting->note(bpf_map_noting, number, taken, taken ? q->map.value_size : 0);
	__atomic_store_n(&words->before[number & 1], words->ends, __ATOMIC_RELEASE);
	__atomic_store_n(&words->change, number, __ATOMIC_RELEASE);
	__atomic_store_n(&words->ends, tail << 32 | head, __ATOMIC_RELEASE);
}

static bool queue_made(const struct bpf_map *map, u64 mark)
{
	const struct queue_arena *words = queue_of(map)->words;

	return words->change > mark ||
	       (words->change == mark && words->ends != words->before[mark & 1]);
}

static char *ring_value(const struct bpf_queue *q, u64 room)
{
	return q->values + room * q->map.elem_size;
}

/* A room of a file that the filesystem may not have memory for. Caller holds q->lock. */
static int __ring_reserve(struct bpf_queue *q, u64 room)
{
	u64 need = (room + 1) * q->map.elem_size, to;
	int err;

	if (likely(need <= q->reserved))
		return 0;
	to = min(max(need, q->reserved + RESERVE_STEP), q->rooms * q->map.elem_size);
	err = bpf_arena_reserve(q->map.arena, q->values + q->reserved, to - q->reserved);
	if (!err)
		q->reserved = to;
	return err;
}

/* Caller holds q->lock. */
static int __push(struct bpf_queue *q, const void *value, bool replace)
{
	u64 tail, head, next;
	int err;

	ends_load(q, &tail, &head);
	next = ring_next(q, head);
	if (next == tail && !replace)
		return -E2BIG;
	err = __ring_reserve(q, head);
	if (err)
		return err;
	bpf_copy_to_arena(ring_value(q, head), value, q->map.value_size);
	if (next == tail) {
		tail = ring_next(q, tail);
		q->first_seq++;
	}
	__change(q, tail, next, NULL);
	return 0;
}

static long queue_push_elem(struct bpf_map *map, const void *value, u64 flags)
{
	struct bpf_queue *q = queue_of(map);
	long err = -EINVAL;

	if (!(flags & BPF_NOEXIST) && flags <= BPF_EXIST) {
		bpf_lock(&q->lock);
		err = __push(q, value, flags & BPF_EXIST);
		bpf_unlock(&q->lock);
	}
	if (err) {
		bpf_map_count(map, failed_updates, 1);
		return err;
	}
	bpf_map_count(map, updates, 1);
	bpf_map_tell(map);
	return 0;
}

static long take(struct bpf_map *map, void *value, bool newest, bool remove)
{
	struct bpf_queue *q = queue_of(map);
	u64 tail, head, room;

	bpf_lock(&q->lock);
	ends_load(q, &tail, &head);
	if (tail == head) {
		bpf_unlock(&q->lock);
		memset(value, 0, map->value_size);
		return -ENOENT;
	}
	room = newest ? ring_prev(q, head) : tail;
	bpf_copy_from_arena(value, ring_value(q, room), map->value_size);
	if (remove && newest) {
		__change(q, tail, room, value);
	} else if (remove) {
		q->first_seq++;
		__change(q, ring_next(q, tail), head, value);
	}
	bpf_unlock(&q->lock);
	if (remove)
		bpf_map_count(map, deletes, 1);
	return 0;
}

static long queue_pop_elem(struct bpf_map *map, void *value)
{
	return take(map, value, false, true);
}

static long queue_peek_elem(struct bpf_map *map, void *value)
{
	return take(map, value, false, false);
}

static long stack_pop_elem(struct bpf_map *map, void *value)
{
	return take(map, value, true, true);
}

static long stack_peek_elem(struct bpf_map *map, void *value)
{
	return take(map, value, true, false);
}

/* There are no keys. */
static long queue_delete_elem(struct bpf_map *map, const void *key)
{
	return -EINVAL;
}

static int queue_get_next_key(struct bpf_map *map, const void *key, void *next_key)
{
	return -EINVAL;
}

/*
 * it->pos and it->end are numbers of values. A stack gives a number again after a pop, but a value
 * that stays keeps its own.
 */
static int queue_iter(struct bpf_map_iter *it)
{
	struct bpf_map *map = it->map;
	struct bpf_queue *q = queue_of(map);
	u32 room = map->value_size > 4096 ? 1 : 64, nr = 0;
	u64 tail, head, last;

	if (bpf_map_iter_reserve(it, room))
		return -ENOMEM;
	bpf_lock(&q->lock);
	ends_load(q, &tail, &head);
	last = q->first_seq + ring_count(q, tail, head);
	if (!it->end)
		it->end = last;
	it->pos = max(it->pos, q->first_seq);
	for (; nr < room && it->pos < min(it->end, last); nr++, it->pos++) {
		u64 at = (tail + (it->pos - q->first_seq)) % q->rooms;

		if (!it->keys_only)
			bpf_copy_from_arena(bpf_map_iter_value(it, nr), ring_value(q, at),
					    map->value_size);
	}
	bpf_unlock(&q->lock);
	return (int)nr;
}

static u64 queue_entries(const struct bpf_map *map)
{
	const struct bpf_queue *q = queue_of(map);
	u64 tail, head;

	ends_load(q, &tail, &head);
	return ring_count(q, tail, head);
}

const struct bpf_map_ops queue_map_ops = {
	.name = "queue",
	.map_size = sizeof(struct bpf_queue),
	.alloc_check = queue_alloc_check,
	.map_layout = queue_layout,
	.alloc = queue_attach,
	.open = queue_open,
	.free = queue_free,
	.map_delete_elem = queue_delete_elem,
	.map_get_next_key = queue_get_next_key,
	.map_push_elem = queue_push_elem,
	.map_pop_elem = queue_pop_elem,
	.map_peek_elem = queue_peek_elem,
	.map_made = queue_made,
	.map_iter = queue_iter,
	.map_entries = queue_entries,
};

const struct bpf_map_ops stack_map_ops = {
	.name = "stack",
	.map_size = sizeof(struct bpf_queue),
	.alloc_check = queue_alloc_check,
	.map_layout = queue_layout,
	.alloc = queue_attach,
	.open = queue_open,
	.free = queue_free,
	.map_delete_elem = queue_delete_elem,
	.map_get_next_key = queue_get_next_key,
	.map_push_elem = queue_push_elem,
	.map_pop_elem = stack_pop_elem,
	.map_peek_elem = stack_peek_elem,
	.map_made = queue_made,
	.map_iter = queue_iter,
	.map_entries = queue_entries,
};
