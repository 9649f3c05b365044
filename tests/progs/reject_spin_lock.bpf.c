/* A lock that is not given back on one way, under a call of a global function. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct value {
	struct bpf_spin_lock lock;
	__u32 n;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct value);
	__uint(max_entries, 1);
} one SEC(".maps");

__noinline int twice(int n)
{
	return 2 * n + (n >> 3);
}

SEC("tc")
int calls_global(struct __sk_buff *skb)
{
	__u32 key = 0;
	struct value *v = bpf_map_lookup_elem(&one, &key);

	if (!v)
		return 0;
	bpf_spin_lock(&v->lock);
	v->n = twice(v->n);
	bpf_spin_unlock(&v->lock);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
