/*
 * What a libbpf skeleton has: global data of each kind, a hash, an array that is mapped, a ring
 * buffer, and a program that is attached to a cgroup.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct event {
	__u32 number, len;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} by_len SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} mapped SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

const volatile __u32 step = 1;
__u32 seen;
__u64 total = 1000;

SEC("cgroup_skb/egress")
int count(struct __sk_buff *skb)
{
	__u32 len = skb->len, slot = seen & 3;
	struct event *e;
	__u64 *n, one = 1;

	seen += step;
	total += len;
	n = bpf_map_lookup_elem(&by_len, &len);
	if (n)
		*n += 1;
	else
		bpf_map_update_elem(&by_len, &len, &one, BPF_ANY);
	n = bpf_map_lookup_elem(&mapped, &slot);
	if (n)
		*n += len;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return 1;
	e->number = seen;
	e->len = len;
	bpf_ringbuf_submit(e, 0);
	return 1;
}

char _license[] SEC("license") = "GPL";
