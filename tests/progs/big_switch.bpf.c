/* A large switch: a tree of comparisons, or a table in .rodata, as the compiler likes. */
/* ubpffs-cflags: -fno-jump-tables */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static const __u16 table[64] = {
	1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597,
	[32] = 7, [63] = 9,
};

static __attribute__((noinline)) int dispatch(__u32 op, __u32 x)
{
	switch (op) {
	case 0: return x + 17;
	case 1: return x * 3;
	case 2: return x ^ 0x55;
	case 3: return x << 3;
	case 4: return x >> 2;
	case 5: return x - 99;
	case 6: return x | 0x100;
	case 7: return x & 0xf0;
	case 8: return x % 10;
	case 9: return x / 7;
	case 10: return ~x;
	case 11: return -x;
	case 40: return x * x;
	case 41: return x + (x << 4);
	case 100: return 100;
	case 1000: return x ? 1 : 2;
	case 10000: return 0;
	default: return op;
	}
}

SEC("xdp")
int big_switch(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 op;

	if (data + 4 > end)
		return -1;
	op = data[0] | data[1] << 8;
	return dispatch(op, data[2]) + table[data[3] & 63];
}

char _license[] SEC("license") = "GPL";
