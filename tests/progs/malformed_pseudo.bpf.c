/*
 * A 64-bit load that claims to be a map reference, without a relocation: must be refused (EINVAL).
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("socket")
int malformed_pseudo(struct __sk_buff *skb)
{
	asm volatile(".byte 0x18, 0x51, 0, 0, 0, 0, 0, 0\n"
		     ".byte 0, 0, 0, 0, 0, 0, 0, 0" ::: "r1");
	return 0;
}

char _license[] SEC("license") = "GPL";
