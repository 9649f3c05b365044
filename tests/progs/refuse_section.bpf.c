/*
 * refuse_section.bpf.c - a SEC() that says no type beside one that does: the load states it
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("filter")
int free_filter(struct __sk_buff *skb)
{
	return skb->len > 100;
}

SEC("xdp")
int named(struct xdp_md *xdp)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
