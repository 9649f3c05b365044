/* Packets counted in the cgroup that the program is attached to. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct counts {
	__u64 packets, bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, struct counts);
} by_direction SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE);
	__type(key, __u64);
	__type(value, __u64);
} by_cgroup SEC(".maps");

static __always_inline int count(struct __sk_buff *skb)
{
	struct counts *c = bpf_get_local_storage(&by_direction, 0);
	__u64 *n = bpf_get_local_storage(&by_cgroup, 0);

	__sync_fetch_and_add(&c->packets, 1);
	__sync_fetch_and_add(&c->bytes, skb->len);
	*n += 1;
	return c->packets & 1;
}

SEC("cgroup_skb/ingress")
int count_in(struct __sk_buff *skb)
{
	count(skb);
	return 1;
}

SEC("cgroup_skb/egress")
int count_out(struct __sk_buff *skb)
{
	count(skb);
	return 1;
}

/* The second packet of a cgroup passes, the third does not, and so on. */
SEC("cgroup_skb/ingress")
int every_other(struct __sk_buff *skb)
{
	return !count(skb);
}

char _license[] SEC("license") = "GPL";
