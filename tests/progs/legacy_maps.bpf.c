/* The older `maps` section, without BTF; its struct is longer than needed, and the tail is zero. */
/* ubpffs-cflags: -mcpu=v2 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct legacy_map_def {
	unsigned int type, key_size, value_size, max_entries, map_flags;
	unsigned int inner_map_idx, numa_node;
};

struct legacy_map_def SEC("maps") lengths = {
	.type = BPF_MAP_TYPE_HASH,
	.key_size = sizeof(__u32),
	.value_size = sizeof(__u64),
	.max_entries = 16,
};

struct legacy_map_def SEC("maps") total = {
	.type = BPF_MAP_TYPE_ARRAY,
	.key_size = sizeof(__u32),
	.value_size = sizeof(__u64),
	.max_entries = 1,
};

SEC("socket1")
int legacy(struct __sk_buff *skb)
{
	__u32 key = 0, len = skb->len;
	__u64 one = 1, *value;

	value = bpf_map_lookup_elem(&total, &key);
	if (value)
		__sync_fetch_and_add(value, len);
	value = bpf_map_lookup_elem(&lengths, &len);
	if (value)
		*value += 1;
	else
		bpf_map_update_elem(&lengths, &len, &one, BPF_NOEXIST);
	return 0;
}

char _license[] SEC("license") = "GPL";
