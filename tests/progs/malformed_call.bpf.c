/* A call into the middle of a function: must be refused (EINVAL). */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("socket")
int malformed_call(struct __sk_buff *skb)
{
	asm volatile(".byte 0x85, 0x10, 0, 0, 0, 0, 0, 0" ::: "r0", "r1", "r2", "r3", "r4", "r5");
	return 0;
}

char _license[] SEC("license") = "GPL";
