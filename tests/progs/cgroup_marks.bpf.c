/*
 * cgroup_marks.bpf.c - a packet of a cgroup goes on with another mark and priority
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("cgroup_skb/egress")
int set_mark(struct __sk_buff *skb)
{
	skb->mark = 55;
	skb->priority = 0x10002;
	return 1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
