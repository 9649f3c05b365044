/* Two maps of one kind of cgroup storage. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, __u64);
} one SEC(".maps"), two SEC(".maps");

SEC("cgroup_skb/ingress")
int both(struct __sk_buff *skb)
{
	__u64 *a = bpf_get_local_storage(&one, 0), *b = bpf_get_local_storage(&two, 0);

	return (*a + *b) & 1;
}

char _license[] SEC("license") = "GPL";
