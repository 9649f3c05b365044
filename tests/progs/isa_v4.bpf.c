/* What ISA v4 adds: sdiv, smod, sign-extending moves and loads, byte swaps. */
/* ubpffs-cflags: -mcpu=v4 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __s64);
	__uint(max_entries, 8);
} results SEC(".maps");

static void put(__u32 slot, __s64 v)
{
	bpf_map_update_elem(&results, &slot, &v, BPF_ANY);
}

SEC("xdp")
int isa_v4(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct {
		__s8 b;
		__s8 pad;
		__s16 h;
		__s32 w;
		__s64 d;
	} __attribute__((packed)) *in = data;

	if ((void *)(in + 1) > end)
		return XDP_ABORTED;
	put(0, in->b);
	put(1, in->h);
	put(2, in->w);
	put(3, in->w / (in->b | 1));
	put(4, in->d % (in->h | 1));
	put(5, __builtin_bswap64(in->d));
	put(6, __builtin_bswap32(in->w) + __builtin_bswap16(in->h));
	put(7, (__s16)in->d + (__s8)in->w);
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
