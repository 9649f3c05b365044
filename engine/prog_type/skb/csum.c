/*
 * csum.c - the Internet checksum (RFC 1071) and bpf_csum_diff
 */
#include "prog_type/skb/csum.h"

u32 csum_add(u32 a, u32 b)
{
	u32 sum = a + b;

	return sum + (sum < b);
}

u32 csum_sub(u32 a, u32 b)
{
	return csum_add(a, ~b);
}

u16 csum_fold(u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (u16)~sum;
}

static u32 csum_partial(const void *buf, size_t len, u32 sum)
{
	const u8 *p = buf;
	u64 wide = sum;
	u32 word;

	for (; len >= 4; len -= 4, p += 4) {
		memcpy(&word, p, 4);
		wide += word;
	}
	word = 0;
	memcpy(&word, p, len);
	wide += word;
	wide = (wide & 0xffffffff) + (wide >> 32);
	wide = (wide & 0xffffffff) + (wide >> 32);
	return (u32)wide;
}

static u16 csum_from32to16(u32 sum)
{
	return (u16)~csum_fold(sum);
}

static u64 bpf_csum_diff(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
{
	const void *from = (const void *)(uintptr_t)r1, *to = (const void *)(uintptr_t)r3;
	u32 from_size = (u32)r2, to_size = (u32)r4, seed = (u32)r5;

	if (from_size && to_size)
		return csum_from32to16(csum_sub(csum_partial(to, to_size, seed),
						csum_partial(from, from_size, 0)));
	if (to_size)
		return csum_from32to16(csum_partial(to, to_size, seed));
	if (from_size)
		return csum_from32to16(~csum_partial(from, from_size, ~seed));
	return csum_from32to16(seed);
}

const struct bpf_func_proto bpf_csum_diff_proto = {
	.name = "bpf_csum_diff",
	.id = BPF_FUNC_csum_diff,
	.func = bpf_csum_diff,
	.pkt_access = true,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_PTR_TO_MEM_OR_NULL | MEM_RDONLY, ARG_CONST_SIZE_OR_ZERO,
		     ARG_PTR_TO_MEM_OR_NULL | MEM_RDONLY, ARG_CONST_SIZE_OR_ZERO, ARG_ANYTHING},
};
