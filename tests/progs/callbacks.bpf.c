/*
 * bpf_loop and bpf_for_each_map_elem over each type of map that has it. Each program puts in what
 * it goes through, so that its result does not depend on the programs before it, nor on the CPU;
 * what it found goes to `results`.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define KEYS 8

#define MAP(NAME, TYPE)                            \
	struct {                                   \
		__uint(type, BPF_MAP_TYPE_##TYPE); \
		__type(key, __u32);                \
		__type(value, __u64);              \
		__uint(max_entries, 64);           \
	} NAME SEC(".maps")

MAP(hash, HASH);
MAP(percpu_hash, PERCPU_HASH);
MAP(lru_hash, LRU_HASH);
MAP(lru_percpu_hash, LRU_PERCPU_HASH);
MAP(array, ARRAY);
MAP(percpu_array, PERCPU_ARRAY);
MAP(results, ARRAY);

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

static __attribute__((noinline)) void store(__u32 slot, __u64 value)
{
	bpf_map_update_elem(&results, &slot, &value, BPF_ANY);
}

/* ---- elements */

struct seen {
	__u64 keys, values;
	__u32 stop_at, visits;
};

static long look(void *map, __u32 *key, __u64 *value, struct seen *seen)
{
	seen->keys += *key;
	seen->values += *value;
	seen->visits++;
	*value = *value * 2 + *key;
	return seen->visits == seen->stop_at;
}

/* An update moves the element of a hash; it is still visited once. */
static long update(void *map, __u32 *key, __u64 *value, struct seen *seen)
{
	__u32 k = *key;
	__u64 v = *value + 1;

	seen->visits++;
	seen->keys += k;
	seen->values += bpf_map_update_elem(map, &k, &v, BPF_EXIST);
	return 0;
}

static long delete (void *map, __u32 *key, __u64 *value, struct seen *seen)
{
	__u32 k = *key;

	seen->visits++;
	seen->values += *value;
	if (k % 2)
		return 0;
	seen->keys += !bpf_map_delete_elem(map, &k);
	return 0;
}

static long count(void *map, __u32 *key, __u64 *value, void *ctx)
{
	return 0;
}

#define FILL(NAME, LEN)                                            \
	for (__u32 i = 0; i < KEYS; i++) {                         \
		__u32 key = i;                                     \
		__u64 value = i * i + ((LEN)&15);                  \
                                                                   \
		bpf_map_update_elem(&NAME, &key, &value, BPF_ANY); \
	}

#define EACH(NAME)                                                               \
	SEC("tc") int each_##NAME(struct __sk_buff *skb)                         \
	{                                                                        \
		struct seen all = {}, some = {.stop_at = 3}, upd = {}, del = {}; \
		long n;                                                          \
                                                                                 \
		FILL(NAME, skb->len)                                             \
		n = bpf_for_each_map_elem(&NAME, look, &all, 0);                 \
		n = n * 100 + bpf_for_each_map_elem(&NAME, look, &some, 0);      \
		FILL(NAME, skb->len)                                             \
		n = n * 100 + bpf_for_each_map_elem(&NAME, update, &upd, 0);     \
		n = n * 100 + bpf_for_each_map_elem(&NAME, delete, &del, 0);     \
		n = n * 100 + bpf_for_each_map_elem(&NAME, count, 0, 0);         \
		store(0, all.keys);                                              \
		store(1, all.values);                                            \
		store(2, some.visits);                                           \
		store(3, upd.keys * 1000 + upd.values);                          \
		store(4, del.values * 1000 + del.keys);                          \
		store(5, bpf_for_each_map_elem(&NAME, count, 0, 1));             \
		return n + all.visits;                                           \
	}

EACH(hash)
EACH(percpu_hash)
EACH(lru_hash)
EACH(lru_percpu_hash)
EACH(array)
EACH(percpu_array)

/* ---- numbers */

struct table {
	__u64 sum;
	__u32 rows, cols, row;
	char seen[16];
};

static long cell(__u32 col, struct table *t)
{
	t->sum = t->sum * 3 + t->row * 10 + col;
	t->seen[col & 15]++;
	return t->row == 4 && col == 2;
}

static long row(__u32 i, struct table *t)
{
	t->row = i;
	return bpf_loop(t->cols & 7, cell, t, 0) == 99;
}

SEC("tc") int nested(struct __sk_buff *skb)
{
	struct table t = {.rows = skb->len, .cols = skb->len >> 2};
	long n = bpf_loop(t.rows & 15, row, &t, 0);

	store(0, t.sum);
	store(1, t.seen[1] * 256 + t.seen[2]);
	return n * 16 + t.row;
}

SEC("tc") int limits(struct __sk_buff *skb)
{
	struct table t = {};

	/* As an int: Linux forgets the upper half where it makes a loop of the call. */
	store(0, (int)bpf_loop((1 << 23) + 1, cell, &t, 0));
	store(1, bpf_loop(3, cell, &t, skb->len | 1));
	store(2, bpf_loop(0, cell, &t, 0));
	store(3, bpf_loop(skb->len, cell, &t, 0));
	return t.sum;
}

/* ---- one in the other, and what is held for one turn */

static long inner(void *map, __u32 *key, __u64 *value, struct table *t)
{
	t->sum += *key * t->row;
	return *key == t->row;
}

static long outer(__u32 i, struct table *t)
{
	t->row = i;
	t->cols += bpf_for_each_map_elem(&array, inner, t, 0);
	return 0;
}

SEC("tc") int loop_of_each(struct __sk_buff *skb)
{
	struct table t = {};

	bpf_loop(skb->len & 15, outer, &t, 0);
	store(0, t.cols);
	return t.sum;
}

static long record(__u32 i, struct table *t)
{
	__u64 *r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);

	if (!r)
		return 1;
	*r = i;
	t->sum += *r;
	if (i % 2)
		bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
	else
		bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("tc") int records(struct __sk_buff *skb)
{
	struct table t = {};

	bpf_loop(8, record, &t, 0);
	return t.sum;
}

char _license[] SEC("license") = "GPL";
