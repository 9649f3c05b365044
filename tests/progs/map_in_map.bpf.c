/* An array of maps with a template and an initialiser. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1);
} inner_a SEC(".maps"), inner_b SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(key_size, sizeof(__u32));
	__uint(max_entries, 4);
	__array(values, struct inner);
} outer SEC(".maps") = {
	.values = { [0] = &inner_a, [2] = &inner_b },
};

SEC("socket")
int map_in_map(struct __sk_buff *skb)
{
	__u32 slot = skb->len & 3, zero = 0;
	__u64 *value;
	void *map = bpf_map_lookup_elem(&outer, &slot);

	if (!map)
		return 0;
	value = bpf_map_lookup_elem(map, &zero);
	if (value)
		__sync_fetch_and_add(value, 1);
	return 1;
}

char _license[] SEC("license") = "GPL";
