/*
 * cgroup_verdicts.bpf.c - programs for cgroups whose verdict is their name
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("cgroup/skb")
int allow(struct __sk_buff *skb)
{
	return 1;
}

SEC("cgroup/skb")
int allow2(struct __sk_buff *skb)
{
	return 1;
}

SEC("cgroup/skb")
int deny(struct __sk_buff *skb)
{
	return 0;
}

SEC("cgroup/skb")
int deny2(struct __sk_buff *skb)
{
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
