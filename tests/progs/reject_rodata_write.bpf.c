/* Writes into .rodata: must be rejected. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

const volatile __u32 constant = 7;

SEC("socket")
int reject_rodata_write(struct __sk_buff *skb)
{
	*(volatile __u32 *)&constant = skb->len;
	return constant;
}

char _license[] SEC("license") = "GPL";
