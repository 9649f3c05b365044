/* Ingress and egress filters of a cgroup: block ports, count what passed. No link header. */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u16);
	__type(value, __u8);
	__uint(max_entries, 64);
} blocked SEC(".maps");

__u64 passed, dropped;

static __always_inline int filter(struct __sk_buff *skb)
{
	struct iphdr *ip = (void *)(long)skb->data;
	struct udphdr *udp = (void *)(ip + 1);
	__u16 port;

	if ((void *)(udp + 1) > (void *)(long)skb->data_end)
		return 1;
	if (ip->version != 4 || ip->ihl != 5 || ip->protocol != IPPROTO_UDP)
		return 1;
	port = bpf_ntohs(udp->dest);
	if (bpf_map_lookup_elem(&blocked, &port)) {
		__sync_fetch_and_add(&dropped, 1);
		return 0;
	}
	__sync_fetch_and_add(&passed, 1);
	return 1;
}

SEC("cgroup_skb/ingress")
int filter_in(struct __sk_buff *skb)
{
	return filter(skb);
}

SEC("cgroup_skb/egress")
int filter_out(struct __sk_buff *skb)
{
	return filter(skb);
}

char _license[] SEC("license") = "GPL";
