/*
 * skb_helpers.c - helpers that read and change a packet behind a __sk_buff
 *
 * The buffer stays where it is; growing uses the room around the packet. What Linux refuses is
 * refused with its errno, as the value the program sees.
 */
#include <arpa/inet.h>
#include <limits.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/random.h>
#include "prog_type/skb/csum.h"
#include "prog_type/skb/packet_proto.h"
#include "prog_type/skb/skb_helpers.h"

static bool in_packet(const struct bpf_skb *skb, u64 off, u64 len)
{
	u64 have =
		(u64)(skb->data_end - skb->data); /* md.len of a packet from a queue may be more */

	return off <= have && len <= have - off;
}

/* ---- reading and writing */

BPF_HELPER(skb_load_bytes)
{
	const struct bpf_skb *skb = PTR(r1);
	u32 off = (u32)r2, len = (u32)r4;

	if (off > INT_MAX || !in_packet(skb, off, len)) {
		memset(PTR(r3), 0, len);
		return (u64)-EFAULT;
	}
	memcpy(PTR(r3), skb->data + off, len);
	return 0;
}
PACKET_PROTO(skb_load_bytes, false, ARG_PTR_TO_CTX, ARG_ANYTHING, ARG_PTR_TO_UNINIT_MEM,
	     ARG_CONST_SIZE);

BPF_HELPER(skb_load_bytes_relative)
{
	const struct bpf_skb *skb = PTR(r1);
	u32 off = (u32)r2, len = (u32)r4;
	const u8 *start = NULL;

	if ((u32)r5 == BPF_HDR_START_MAC)
		start = skb->mac;
	else if ((u32)r5 == BPF_HDR_START_NET)
		start = skb->network;
	if (off > 0xffff || !start || skb->data_end - start < (s64)off + len) {
		memset(PTR(r3), 0, len);
		return (u64)-EFAULT;
	}
	memcpy(PTR(r3), start + off, len);
	return 0;
}
PACKET_PROTO(skb_load_bytes_relative, false, ARG_PTR_TO_CTX, ARG_ANYTHING, ARG_PTR_TO_UNINIT_MEM,
	     ARG_CONST_SIZE, ARG_ANYTHING);

BPF_HELPER(skb_store_bytes)
{
	struct bpf_skb *skb = PTR(r1);
	u32 off = (u32)r2, len = (u32)r4;

	if (r5 & ~(u64)(BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH))
		return (u64)-EINVAL;
	if (off > INT_MAX || !in_packet(skb, off, len))
		return (u64)-EFAULT;
	memcpy(skb->data + off, PTR(r3), len);
	if (r5 & BPF_F_INVALIDATE_HASH)
		skb->md.hash = 0;
	return 0;
}
PACKET_PROTO(skb_store_bytes, true, ARG_PTR_TO_CTX, ARG_ANYTHING, ARG_PTR_TO_MEM | MEM_RDONLY,
	     ARG_CONST_SIZE, ARG_ANYTHING);

BPF_HELPER(skb_pull_data)
{
	const struct bpf_skb *skb = PTR(r1);

	return (u32)r2 > skb->md.len ? (u64)-ENOMEM : 0;
}
PACKET_PROTO(skb_pull_data, true, ARG_PTR_TO_CTX, ARG_ANYTHING);

/* ---- size */

BPF_HELPER(skb_change_tail)
{
	struct bpf_skb *skb = PTR(r1);
	u32 new_len = (u32)r2;
	u32 min_len = skb->network > skb->data ? (u32)(skb->network - skb->data) : 0;

	if (r3 || new_len > BPF_SKB_MAX_LEN || new_len < min_len)
		return (u64)-EINVAL;
	if (skb->encapsulated)
		return (u64)-KERNEL_ENOTSUPP;
	if (new_len > (u32)(skb->end - skb->data))
		return (u64)-ENOMEM;
	if (new_len > skb->md.len)
		memset(skb->data_end, 0, new_len - skb->md.len);
	skb->data_end = skb->data + new_len;
	skb->md.len = new_len;
	skb->md.gso_size = skb->md.gso_segs = 0;
	return 0;
}
PACKET_PROTO(skb_change_tail, true, ARG_PTR_TO_CTX, ARG_ANYTHING, ARG_ANYTHING);

BPF_HELPER(skb_change_head)
{
	struct bpf_skb *skb = PTR(r1);
	u32 room = (u32)r2, new_len = skb->md.len + room;

	if (r3 || room > INT_MAX || (!skb->md.gso_size && new_len > BPF_SKB_MAX_LEN) ||
	    new_len < skb->md.len)
		return (u64)-EINVAL;
	if (room > (u32)(skb->data - skb->head))
		return (u64)-ENOMEM;
	bpf_skb_push(skb, room);
	memset(skb->data, 0, room);
	skb->mac = skb->data;
	return 0;
}
PACKET_PROTO(skb_change_head, true, ARG_PTR_TO_CTX, ARG_ANYTHING, ARG_ANYTHING);

BPF_HELPER(skb_change_type)
{
	struct bpf_skb *skb = PTR(r1);
	u32 type = (u32)r2;

	if (skb->md.pkt_type > PACKET_OTHERHOST || type > PACKET_OTHERHOST)
		return (u64)-EINVAL;
	skb->md.pkt_type = type;
	return 0;
}
PACKET_PROTO(skb_change_type, false, ARG_PTR_TO_CTX, ARG_ANYTHING);

/* ---- checksums */

static u32 unfold(u16 sum)
{
	return sum;
}

/* RFC 1624: the checksum after a field went from `from` to `to`. */
static u16 csum_replace4(u16 sum, u32 from, u32 to)
{
	return csum_fold(csum_add(csum_sub(~unfold(sum), from), to));
}

static u16 csum_replace2(u16 sum, u16 from, u16 to)
{
	u32 s = (u32)(u16)~sum + (u16)~from;

	s = (s & 0xffff) + (s >> 16);
	s += to;
	s = (s & 0xffff) + (s >> 16);
	return (u16)~s;
}

static u16 csum_replace_by_diff(u16 sum, u32 diff)
{
	return csum_fold(csum_add(diff, ~unfold(sum)));
}

/* The new checksum to *sum for a field of `width` bytes; -EINVAL for a width that there is not. */
static int csum_replace(u16 *sum, u64 from, u64 to, u64 width)
{
	switch (width) {
	case 0:
		if (from)
			return -EINVAL;
		*sum = csum_replace_by_diff(*sum, (u32)to);
		return 0;
	case 2:
		*sum = csum_replace2(*sum, (u16)from, (u16)to);
		return 0;
	case 4:
		*sum = csum_replace4(*sum, (u32)from, (u32)to);
		return 0;
	}
	return -EINVAL;
}

BPF_HELPER(l3_csum_replace)
{
	struct bpf_skb *skb = PTR(r1);
	u32 off = (u32)r2;
	u16 sum;
	int err;

	if (r5 & ~(u64)BPF_F_HDR_FIELD_MASK)
		return (u64)-EINVAL;
	if (off > 0xffff || (off & 1) || !in_packet(skb, off, 2))
		return (u64)-EFAULT;
	memcpy(&sum, skb->data + off, 2);
	err = csum_replace(&sum, r3, r4, r5 & BPF_F_HDR_FIELD_MASK);
	if (!err)
		memcpy(skb->data + off, &sum, 2);
	return (u64)err;
}
PACKET_PROTO(l3_csum_replace, true, ARG_PTR_TO_CTX, ARG_ANYTHING, ARG_ANYTHING, ARG_ANYTHING,
	     ARG_ANYTHING);

#ifndef BPF_F_IPV6
#define BPF_F_IPV6 (1ULL << 7)
#endif

BPF_HELPER(l4_csum_replace)
{
	const u64 known = BPF_F_MARK_MANGLED_0 | BPF_F_MARK_ENFORCE | BPF_F_PSEUDO_HDR |
			  BPF_F_HDR_FIELD_MASK | BPF_F_IPV6;
	struct bpf_skb *skb = PTR(r1);
	u32 off = (u32)r2;
	u16 sum;
	int err;

	if (r5 & ~known)
		return (u64)-EINVAL;
	if (off > 0xffff || (off & 1) || !in_packet(skb, off, 2))
		return (u64)-EFAULT;
	memcpy(&sum, skb->data + off, 2);
	/* UDP: 0 means that there is no checksum, and a computed 0 is written as all ones. */
	if ((r5 & BPF_F_MARK_MANGLED_0) && !(r5 & BPF_F_MARK_ENFORCE) && !sum)
		return 0;
	err = csum_replace(&sum, r3, r4, r5 & BPF_F_HDR_FIELD_MASK);
	if (err)
		return (u64)err;
	if ((r5 & BPF_F_MARK_MANGLED_0) && !sum)
		sum = 0xffff;
	memcpy(skb->data + off, &sum, 2);
	return 0;
}
PACKET_PROTO(l4_csum_replace, true, ARG_PTR_TO_CTX, ARG_ANYTHING, ARG_ANYTHING, ARG_ANYTHING,
	     ARG_ANYTHING);

/*
 * There is no device checksum (CHECKSUM_COMPLETE) to update here, and Linux says this when there is
 * none.
 */
BPF_HELPER(csum_update)
{
	return (u64)-KERNEL_ENOTSUPP;
}
PACKET_PROTO(csum_update, false, ARG_PTR_TO_CTX, ARG_ANYTHING);

BPF_HELPER(csum_level)
{
	switch (r2) {
	case BPF_CSUM_LEVEL_QUERY:
		return (u64)-EACCES; /* the packet's checksum was not checked by a device */
	case BPF_CSUM_LEVEL_INC:
	case BPF_CSUM_LEVEL_DEC:
	case BPF_CSUM_LEVEL_RESET:
		return 0;
	}
	return (u64)-EINVAL;
}
PACKET_PROTO(csum_level, false, ARG_PTR_TO_CTX, ARG_ANYTHING);

/* ---- hash */

/* What tells flows apart: addresses, protocol and ports of IPv4 and IPv6. Returns its length. */
static u32 flow_key(const struct bpf_skb *skb, u8 key[40])
{
	const u8 *ip = skb->network;
	size_t len = (size_t)(skb->data_end - ip);
	u32 n, l4;

	if (skb->md.protocol == htons(ETH_P_IP) && len >= 20) {
		memcpy(key, ip + 12, 8);
		key[8] = ip[9];
		n = 9;
		l4 = (ip[0] & 15) * 4u;
		if ((ip[6] & 0x3f) || ip[7])
			return n; /* a fragment: ports are not in each of them */
	} else if (skb->md.protocol == htons(ETH_P_IPV6) && len >= 40) {
		memcpy(key, ip + 8, 32);
		key[32] = ip[6];
		n = 33;
		l4 = 40;
	} else {
		return 0;
	}
	if ((key[n - 1] == 6 || key[n - 1] == 17) && len >= l4 + 4) {
		memcpy(key + n, ip + l4, 4);
		n += 4;
	}
	return n;
}

BPF_HELPER(get_hash_recalc)
{
	static u32 seed;
	struct bpf_skb *skb = PTR(r1);
	u8 key[40];
	u32 len, hash;

	if (skb->md.hash)
		return skb->md.hash;
	len = flow_key(skb, key);
	if (!len)
		return 0;
	hash = __atomic_load_n(&seed, __ATOMIC_RELAXED);
	if (!hash) {
		/* As in Linux: nobody may guess which flows collide. */
		if (getrandom(&hash, sizeof(hash), GRND_NONBLOCK) != sizeof(hash) || !hash)
			hash = 0x9e3779b9;
		__atomic_store_n(&seed, hash, __ATOMIC_RELAXED);
	}
	for (u32 i = 0; i < len; i++)
		hash = (hash ^ key[i]) * 0x01000193;
	hash ^= hash >> 16;
	skb->md.hash = hash ? hash : 1;
	return skb->md.hash;
}
PACKET_PROTO(get_hash_recalc, false, ARG_PTR_TO_CTX);

BPF_HELPER(set_hash_invalid)
{
	struct bpf_skb *skb = PTR(r1);

	skb->md.hash = 0;
	return 0;
}
PACKET_PROTO(set_hash_invalid, false, ARG_PTR_TO_CTX);

BPF_HELPER(set_hash)
{
	struct bpf_skb *skb = PTR(r1);

	skb->md.hash = (u32)r2;
	return 0;
}
PACKET_PROTO(set_hash, false, ARG_PTR_TO_CTX, ARG_ANYTHING);
