/*
 * cgroup_context.bpf.c - what a program sees of a packet of a process: one record a protocol and
 * direction
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct seen {
	__u32 len, protocol, ifindex, mark, family;
	__u32 local_ip4, remote_ip4, local_port, remote_port, first;
	__u32 local_ip6[4], remote_ip6[4];
	__u64 cgroup, root;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct seen);
	__uint(max_entries, 4);
} records SEC(".maps"); /* 0, 1: out IPv4, IPv6; 2, 3: in */

static __always_inline int record(struct __sk_buff *skb, __u32 key)
{
	__u8 *data = (void *)(long)skb->data;
	struct seen *s;

	key += skb->family == 10;
	s = bpf_map_lookup_elem(&records, &key);
	if (!s || data + 1 > (__u8 *)(long)skb->data_end)
		return 0;
	s->len = skb->len;
	s->protocol = skb->protocol;
	s->ifindex = skb->ifindex;
	s->mark = skb->mark;
	s->family = skb->family;
	s->local_ip4 = skb->local_ip4;
	s->remote_ip4 = skb->remote_ip4;
	s->local_port = skb->local_port;
	s->remote_port = skb->remote_port;
	s->first = data[0];
	s->local_ip6[3] = skb->local_ip6[3];
	s->remote_ip6[3] = skb->remote_ip6[3];
	s->cgroup = bpf_skb_cgroup_id(skb);
	s->root = bpf_skb_ancestor_cgroup_id(skb, 0);
	return 1;
}

SEC("cgroup_skb/egress")
int see_out(struct __sk_buff *skb)
{
	return record(skb, 0);
}

SEC("cgroup_skb/ingress")
int see_in(struct __sk_buff *skb)
{
	return record(skb, 2);
}

char _license[] SEC("license") = "Dual BSD/GPL";
