/*
 * What make bench times, one thing a program. Each repeats it in a loop, so that entering the program
 * is a small part, and returns a number that depends on all of it. The comparison with the kernel runs them, too.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define LOOP _Pragma("clang loop unroll(disable)")

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1024);
} array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1024);
} hash SEC(".maps");

struct locked_value {
	struct bpf_spin_lock lock;
	__u32 events;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct locked_value);
	__uint(max_entries, 1);
} locked SEC(".maps");

int tail_call(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(max_entries, 1);
	__array(values, int(struct __sk_buff *));
} self SEC(".maps") = {
	.values = {(void *)&tail_call},
};

SEC("tc") int empty(struct __sk_buff *skb)
{
	return 0;
}

SEC("tc") int alu(struct __sk_buff *skb)
{
	__u64 x = skb->len;

	LOOP for (int i = 0; i < 500; i++) {
		x = x * 31 + i;
		x ^= x >> 13;
		x += x << 5;
		x = (__u32)x - (x >> 40);
	}
	return x;
}

SEC("tc") int division(struct __sk_buff *skb)
{
	__u64 x = skb->len, y = 0;

	LOOP for (int i = 1; i < 200; i++) {
		y += (x + i * 1000003ULL) / (x + i);
		y += (__u32)y % (__u32)(x + 7);
		y += y / 10;
	}
	return y;
}

SEC("tc") int byteswap(struct __sk_buff *skb)
{
	__u64 x = skb->len | 0x0102030405060708ULL;

	LOOP for (int i = 0; i < 500; i++) {
		x = __builtin_bswap64(x) + i;
		x ^= __builtin_bswap32((__u32)x);
		x += bpf_htons((__u16)x);
	}
	return x;
}

SEC("tc") int stack(struct __sk_buff *skb)
{
	__u64 slots[32], x = skb->len;

	LOOP for (int i = 0; i < 32; i++)
		slots[i] = x + i;
	LOOP for (int i = 0; i < 300; i++) {
		__u64 *a = &slots[x & 31];

		x += *a;
		*a = x ^ i;
		x += slots[i & 31];
	}
	return x;
}

SEC("tc") int branches(struct __sk_buff *skb)
{
	__u32 x = skb->len, n = 0;

	LOOP for (int i = 0; i < 400; i++) {
		x = x * 1664525 + 1013904223;
		if (x & 0x10000)
			n += 3;
		else
			n ^= 5;
		if (x > 0x80000000)
			n += i;
		if ((__s32)x < -1000000000)
			n = ~n;
	}
	return n;
}

static __always_inline int parse_once(struct __sk_buff *skb, __u32 salt)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);
	struct tcphdr *tcp;

	if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return 1;
	if (ip->version != 4 || ip->ihl < 5 || ip->protocol != IPPROTO_TCP)
		return 2;
	tcp = (void *)ip + ip->ihl * 4;
	if ((void *)(tcp + 1) > end)
		return 3;
	return (ip->saddr ^ ip->daddr ^ salt) + bpf_ntohs(tcp->dest) + tcp->syn;
}

SEC("tc") int parse(struct __sk_buff *skb)
{
	__u32 n = 0;

	LOOP for (int i = 0; i < 100; i++)
		n = n * 3 + parse_once(skb, i);
	return n;
}

SEC("tc") int checksum(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u64 sum = 0;

	if (data + 1024 > end)
		return -1;
	LOOP for (int i = 0; i < 1024; i += 4)
		sum += *(__u32 *)(data + i);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

SEC("tc") int array_lookup(struct __sk_buff *skb)
{
	__u32 key = skb->len & 1023;
	__u64 sum = 0, *value;

	LOOP for (int i = 0; i < 200; i++) {
		value = bpf_map_lookup_elem(&array, &key);
		if (value)
			sum += *value + 1;
		key = (key * 5 + 1) & 1023;
	}
	return sum;
}

SEC("tc") int hash_lookup(struct __sk_buff *skb)
{
	__u32 key = skb->len & 511;
	__u64 sum = 0, *value;

	LOOP for (int i = 0; i < 100; i++) {
		value = bpf_map_lookup_elem(&hash, &key);
		if (value)
			sum += *value + 1;
		key = (key * 5 + 1) & 511;
	}
	return sum;
}

SEC("tc") int hash_update(struct __sk_buff *skb)
{
	__u32 key = skb->len & 511;
	__u64 value = 1, failed = 0;

	LOOP for (int i = 0; i < 100; i++) {
		failed += bpf_map_update_elem(&hash, &key, &value, BPF_ANY) != 0;
		key = (key * 5 + 1) & 511;
		value += i;
	}
	return failed;
}

SEC("tc") int hash_insert_delete(struct __sk_buff *skb)
{
	__u32 key = 512 + (skb->len & 511);
	__u64 value = 1, failed = 0;

	LOOP for (int i = 0; i < 50; i++) {
		failed += bpf_map_update_elem(&hash, &key, &value, BPF_NOEXIST) != 0;
		failed += bpf_map_delete_elem(&hash, &key) != 0;
		key += 7;
	}
	return failed;
}

static __noinline __u64 mix(__u64 a, __u32 b)
{
	return (a ^ b) * 3 + 1;
}

SEC("tc") int call(struct __sk_buff *skb)
{
	__u64 x = skb->len;

	LOOP for (int i = 0; i < 300; i++)
		x = mix(x, i);
	return x;
}

/* 33 tail calls a run: the last one falls through. */
SEC("tc") int tail_call(struct __sk_buff *skb)
{
	skb->mark++;
	bpf_tail_call(skb, &self, 0);
	return 7;
}

SEC("tc") int atomic(struct __sk_buff *skb)
{
	__u32 key = 1000;
	__u64 *value = bpf_map_lookup_elem(&array, &key);

	if (!value)
		return -1;
	LOOP for (int i = 0; i < 200; i++)
		__sync_fetch_and_add(value, i);
	return 0;
}

SEC("tc") int spin_lock(struct __sk_buff *skb)
{
	__u32 key = 0;
	struct locked_value *value = bpf_map_lookup_elem(&locked, &key);

	if (!value)
		return -1;
	LOOP for (int i = 0; i < 200; i++) {
		bpf_spin_lock(&value->lock);
		value->events++;
		value->bytes += i;
		bpf_spin_unlock(&value->lock);
	}
	return 0;
}

struct loop_ctx {
	__u64 x;
};

static long turn(__u32 i, struct loop_ctx *ctx)
{
	ctx->x = ctx->x * 31 + i;
	ctx->x ^= ctx->x >> 13;
	return 0;
}

SEC("tc") int bpf_loop_call(struct __sk_buff *skb)
{
	struct loop_ctx ctx = {skb->len};

	bpf_loop(500, turn, &ctx, 0);
	return ctx.x;
}

static long add_elem(void *map, __u32 *key, __u64 *value, struct loop_ctx *ctx)
{
	ctx->x += *value ^ *key;
	return 0;
}

SEC("tc") int for_each_array(struct __sk_buff *skb)
{
	struct loop_ctx ctx = {};

	/* The sum is of what other programs of this file wrote. */
	return bpf_for_each_map_elem(&array, add_elem, &ctx, 0);
}

SEC("tc") int for_each_hash(struct __sk_buff *skb)
{
	struct loop_ctx ctx = {};

	/* The sum is of what other programs of this file wrote. */
	return bpf_for_each_map_elem(&hash, add_elem, &ctx, 0);
}

char _license[] SEC("license") = "GPL";
