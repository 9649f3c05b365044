/*
 * Programs over a block of memory: their host says what it is.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct event {
	__u32 kind, cnt;
	__u64 sum;
	__u8 bytes[48];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} kinds SEC(".maps");

/* Adds up bytes at an offset that is not known at the load, and counts the kind. */
SEC("raw")
int sum_bytes(struct event *e)
{
	__u64 one = 1, *seen;

	e->sum = 0;
	for (__u32 i = 0; i < sizeof(e->bytes); i++) {
		if (i >= e->cnt)
			break;
		e->sum += e->bytes[i];
	}
	seen = bpf_map_lookup_elem(&kinds, &e->kind);
	if (seen)
		__sync_fetch_and_add(seen, 1);
	else
		bpf_map_update_elem(&kinds, &e->kind, &one, BPF_ANY);
	return e->sum > 100;
}

char _license[] SEC("license") = "BSD";
