/* Takes the verifier a while (many iterations of a bounded loop), and is accepted. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("socket")
int slow_verify(struct __sk_buff *skb)
{
	__u64 sum = 0;
	__u32 i;

	for (i = 0; i < 90000; i++) {
		sum += skb->len ^ i;
		sum = sum << 1 | sum >> 63;
		asm volatile("" : "+r"(sum));
	}
	return sum;
}

char _license[] SEC("license") = "GPL";
