/* Uses the result of a lookup without asking whether there is one: must be rejected. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 4);
} values SEC(".maps");

SEC("socket")
int reject_null_check(struct __sk_buff *skb)
{
	__u32 key = skb->len;
	__u64 *value = bpf_map_lookup_elem(&values, &key);

	*value += 1;
	return 0;
}

char _license[] SEC("license") = "GPL";
