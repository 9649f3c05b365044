/* The address of a static function, for bpf_loop(). */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static long add(__u32 i, void *ctx)
{
	*(__u64 *)ctx += i;
	return 0;
}

SEC("socket")
int callback(struct __sk_buff *skb)
{
	__u64 sum = 0;

	bpf_loop(10, add, &sum, 0);
	return sum;
}

char _license[] SEC("license") = "GPL";
