/* Stores the address of its context in a map, which a strict program may not. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} addresses SEC(".maps");

SEC("socket")
int leaks(struct __sk_buff *skb)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&addresses, &key);

	if (value)
		*value = (unsigned long)skb;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
