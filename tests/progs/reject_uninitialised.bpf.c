/* Reads a register that nothing has written: must be rejected. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("socket")
int reject_uninitialised(struct __sk_buff *skb)
{
	__u64 v;

	asm volatile("%0 = r7" : "=r"(v));
	return v;
}

char _license[] SEC("license") = "GPL";
