/* Static functions, global functions in .text, calls of calls, and two programs that share them. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define __noinline __attribute__((noinline))

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u64));
	__uint(max_entries, 4);
} calls SEC(".maps");

static __noinline int bump(__u32 slot, __u64 by)
{
	__u64 *value = bpf_map_lookup_elem(&calls, &slot);

	if (!value)
		return -1;
	__sync_fetch_and_add(value, by);
	return 0;
}

static __noinline __u64 square(__u64 x)
{
	bump(1, 1);
	return x * x;
}

__noinline int twice(int x)
{
	bump(2, 1);
	return x * 2;
}

/* Hidden: checked with what its callers pass, as if it were static. */
__hidden __noinline __u64 sum_of_squares(__u64 a, __u64 b)
{
	return square(a) + square(b);
}

SEC("socket")
int first(struct __sk_buff *skb)
{
	bump(0, 1);
	return sum_of_squares(3, 4) + twice(skb->len & 0xff);
}

SEC("socket")
int second(struct __sk_buff *skb)
{
	return twice(21);
}

SEC("xdp")
int third(struct xdp_md *ctx)
{
	bump(3, 1);
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
