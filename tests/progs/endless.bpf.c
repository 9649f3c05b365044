/*
 * Programs that would run for years, each in a way of its own, once `go` holds something: for tests
 * of how a run is cancelled. Without that they return 0 at once.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define MANY (1 << 23) /* the most that bpf_loop takes */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} go SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1 << 16);
} elems SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

static int off(void)
{
	__u32 zero = 0, *value = bpf_map_lookup_elem(&go, &zero);

	return !value || !*value;
}

/*
 * A round that takes a while itself, so that it does not do to look at the flag before the
 * innermost loop.
 */
static int inner(__u32 i, void *ctx)
{
	__u64 sum = i;

	for (int k = 0; k < 5000; k++) {
		sum = sum * 3 + k;
		asm volatile("" : "+r"(sum));
	}
	return sum == 1;
}

static int middle(__u32 i, void *ctx)
{
	bpf_loop(MANY, inner, ctx, 0);
	return 0;
}

static int loop(void)
{
	__u64 x = 0;

	if (off())
		return 0;
	bpf_loop(MANY, middle, &x, 0);
	return 0;
}

SEC("socket")
int endless_loop(struct __sk_buff *skb)
{
	return loop();
}

SEC("cgroup_skb/egress")
int endless_egress(struct __sk_buff *skb)
{
	loop();
	return 1;
}

SEC("perf_event")
int endless_sample(void *ctx)
{
	return loop();
}

/* A record must be given back, however the loop ends. */
SEC("socket")
int endless_record(struct __sk_buff *skb)
{
	__u64 *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record)
		return 0;
	*record = 1;
	loop();
	bpf_ringbuf_submit(record, 0);
	return 0;
}

static long inner_elem(void *map, __u32 *key, __u64 *value, void *ctx)
{
	return inner(*key, ctx);
}

static long middle_elem(void *map, __u32 *key, __u64 *value, void *ctx)
{
	bpf_for_each_map_elem(&elems, inner_elem, ctx, 0);
	return 0;
}

static long outer_elem(void *map, __u32 *key, __u64 *value, void *ctx)
{
	bpf_for_each_map_elem(&elems, middle_elem, ctx, 0);
	return 0;
}

SEC("socket")
int endless_elems(struct __sk_buff *skb)
{
	__u64 x = 0;

	if (!off())
		bpf_for_each_map_elem(&elems, outer_elem, &x, 0);
	return 0;
}

/* Global functions are verified once, however often they are called. */
#define GLOBAL(name, next)                          \
	__attribute__((noinline)) int name(__u64 x) \
	{                                           \
		int sum = 0;                        \
		for (int i = 0; i < 100; i++)       \
			sum += next(x + i);         \
		return sum;                         \
	}

__attribute__((noinline)) int leaf(__u64 x)
{
	asm volatile("" : "+r"(x));
	return x;
}

GLOBAL(global6, leaf)
GLOBAL(global5, global6)
GLOBAL(global4, global5)
GLOBAL(global3, global4)
GLOBAL(global2, global3)
GLOBAL(global1, global2)

SEC("socket")
int endless_calls(struct __sk_buff *skb)
{
	return off() ? 0 : global1(skb->len);
}

char _license[] SEC("license") = "GPL";
