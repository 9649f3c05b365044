/* A callback says 0 or 1: this one says how much there is. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static long total(__u32 i, __u64 *ctx)
{
	*ctx += i;
	return *ctx;
}

SEC("tc")
int reject_callback(struct __sk_buff *skb)
{
	__u64 sum = 0;

	bpf_loop(10, total, &sum, 0);
	return sum;
}

char _license[] SEC("license") = "GPL";
