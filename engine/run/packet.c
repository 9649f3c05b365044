/*
 * packet.c - LD_ABS and LD_IND: a program's packet, read at an offset of classic filters
 */
#include <linux/filter.h>
#include "run/packet.h"

/*
 * Where a classic offset points: from data, or for the negative ranges from a header. NULL:
 * nowhere.
 */
static const u8 *classic_pointer(const struct bpf_skb_head *skb, s32 off, u32 size)
{
	const u8 *base = NULL;
	s64 at = off;

	if (off >= 0) {
		base = skb->data;
	} else if (off >= SKF_NET_OFF) {
		base = skb->network;
		at = (s64)off - SKF_NET_OFF;
	} else if (off >= SKF_LL_OFF) {
		base = skb->mac;
		at = (s64)off - SKF_LL_OFF;
	}
	if (!base || at > skb->data_end - base || skb->data_end - base - at < (s64)size)
		return NULL;
	return base + at;
}

int bpf_skb_load(const void *ctx, s32 off, u32 size, u64 *out)
{
	const u8 *p = classic_pointer(ctx, off, size);

	if (!p)
		return -EFAULT;
	switch (size) {
	case 1:
		*out = p[0];
		return 0;
	case 2:
		*out = (u64)p[0] << 8 | p[1];
		return 0;
	default:
		*out = (u64)p[0] << 24 | (u64)p[1] << 16 | (u64)p[2] << 8 | p[3];
		return 0;
	}
}
