/*
 * One function from many places, with more to tell apart each time: what was seen in it for another
 * call must neither end a path nor keep one from being remembered.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static __attribute__((noinline)) __u32 fold(const __u8 *p, const __u8 *end, __u32 len, __u32 sum)
{
	__u32 odd = sum * 17;

	for (; len > 8; len -= 8, p += 8) {
		if (p + 8 > end)
			return 0;
		sum += *(const __u32 *)p;
		odd ^= *(const __u32 *)(p + 4) + sum;
		sum = sum << 5 | sum >> 27;
	}
	if (p + 8 > end)
		return odd;
	switch (len) {
	case 8:
		odd += p[7];
	case 7:
		odd ^= p[6] << 4;
	case 6:
		sum += p[5];
	case 5:
		sum ^= p[4] << 3;
	case 4:
		odd += p[3];
	case 3:
		odd ^= p[2] << 2;
	case 2:
		sum += p[1];
	case 1:
		sum ^= p[0];
	}
	return sum ^ odd;
}

SEC("tc")
int many_calls(struct __sk_buff *skb)
{
	const __u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 sum = 0;

	if (data + 40 > end)
		return 0;
#pragma clang loop unroll(full)
	for (int i = 0; i < 24; i++) {
		sum = fold(data + 4, end, i, sum);
		skb->tc_index = sum;
	}
	return sum & 3;
}

char _license[] SEC("license") = "GPL";
