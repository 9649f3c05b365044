/*
 * Two counters that belong together, under a lock: in a hash, in an array (the lock in a struct
 * inside the value), and in global data.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

struct flow {
	__u32 seen;
	struct bpf_spin_lock lock;
	__u64 packets;
	__u64 bytes;
};

struct guarded {
	__u64 packets;
	struct bpf_spin_lock lock;
};

struct total {
	struct guarded in;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, struct flow);
	__uint(max_entries, 64);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct total);
	__uint(max_entries, 4);
} totals SEC(".maps");

struct bpf_spin_lock all_lock __attribute__((visibility("hidden"), aligned(8))) SEC(".data.all");
__u64 all_packets __attribute__((visibility("hidden"))) SEC(".data.all") = 0;
__u64 all_bytes __attribute__((visibility("hidden"))) SEC(".data.all") = 0;

static __noinline int add(struct total *t, __u32 len)
{
	bpf_spin_lock(&t->in.lock);
	t->in.packets++;
	t->bytes += len;
	bpf_spin_unlock(&t->in.lock);
	return 0;
}

SEC("tc")
int count(struct __sk_buff *skb)
{
	struct flow first = {.packets = 1, .bytes = skb->len}, *flow;
	__u32 key = skb->len, zero = 0;
	struct total *total;

	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow) {
		if (bpf_map_update_elem(&flows, &key, &first, BPF_F_LOCK | BPF_NOEXIST))
			return TC_ACT_SHOT;
	} else {
		flow->seen = 1;
		bpf_spin_lock(&flow->lock);
		flow->packets++;
		flow->bytes += skb->len;
		bpf_spin_unlock(&flow->lock);
	}
	total = bpf_map_lookup_elem(&totals, &zero);
	if (total)
		add(total, skb->len);
	bpf_spin_lock(&all_lock);
	all_packets++;
	all_bytes += skb->len;
	bpf_spin_unlock(&all_lock);
	return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
