/*
 * Programs for processes of their own: on arrays and globals, which they can share, and on what
 * they cannot.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct request {
	__u64 add;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} sums SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

const volatile __u64 factor = 2;
__u64 runs = 0;

static void add_to(__u32 which, __u64 n)
{
	__u64 *sum = bpf_map_lookup_elem(&sums, &which);

	if (sum)
		__sync_fetch_and_add(sum, n);
}

SEC("raw")
int add(struct request *r)
{
	__sync_fetch_and_add(&runs, 1);
	add_to(0, r->add * factor);
	return 1;
}

SEC("raw")
int add_other(struct request *r)
{
	add_to(1, r->add);
	return 2;
}

SEC("raw")
int in_table(struct request *r)
{
	__u32 key = 1;

	return bpf_map_lookup_elem(&table, &key) != 0;
}

SEC("raw")
int to_table(struct request *r)
{
	__u32 key = 1;

	return bpf_map_update_elem(&table, &key, &r->add, BPF_ANY) != 0;
}

SEC("raw")
int count_in_table(struct request *r)
{
	__u32 key = 1;
	__u64 *value = bpf_map_lookup_elem(&table, &key);

	if (value)
		__sync_fetch_and_add(value, 1);
	return 0;
}

SEC("raw")
int to_ring(struct request *r)
{
	return bpf_ringbuf_output(&ring, r, sizeof(*r), 0) != 0;
}

char _license[] SEC("license") = "GPL";
