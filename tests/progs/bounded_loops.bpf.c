/* Loops whose bound the verifier must find: constant, from packet data, and nested. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int sum_bytes(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 sum = 0;

#pragma clang loop unroll(disable)
	for (int i = 0; i < 64; i++) {
		if (data + i + 1 > end)
			break;
		sum += data[i];
	}
	return sum;
}

SEC("xdp")
int data_bound(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 n, acc = 1;

	if (data + 1 > end)
		return 0;
	n = data[0] & 31;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < n; i++)
		acc = acc * 3 + i;
	return acc;
}

SEC("socket")
int nested(struct __sk_buff *skb)
{
	volatile __u32 total = 0;

#pragma clang loop unroll(disable)
	for (int i = 0; i < 8; i++) {
#pragma clang loop unroll(disable)
		for (int j = 0; j <= i; j++)
			total += i * j;
	}
	return total;
}

char _license[] SEC("license") = "GPL";
