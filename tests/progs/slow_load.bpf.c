/* Takes long to load: many programs of which each takes the verifier a while. All are accepted. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define SLOW(n)                                                                                    \
	SEC("socket") int slow_load##n(struct __sk_buff *skb)                                      \
	{                                                                                          \
		__u64 sum = n;                                                                     \
		__u32 i;                                                                           \
												   \
		for (i = 0; i < 90000; i++) {                                                      \
			sum += skb->len ^ i;                                                       \
			sum = sum << 1 | sum >> 63;                                                \
			asm volatile("" : "+r"(sum));                                              \
		}                                                                                  \
		return sum;                                                                        \
	}
SLOW(0) SLOW(1) SLOW(2) SLOW(3) SLOW(4) SLOW(5) SLOW(6) SLOW(7)

char _license[] SEC("license") = "GPL";
