/* A loop without an end: must be rejected. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("socket")
int reject_endless_loop(struct __sk_buff *skb)
{
	volatile __u32 n = skb->len;

	while (n != 1)
		n = n & 1 ? 3 * n + 1 : n / 2;
	return n;
}

char _license[] SEC("license") = "GPL";
