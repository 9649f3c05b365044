/*
 * What make bench times, one thing a program. Each repeats it in a loop, so that entering the
 * program is a small part, and returns a number that depends on all of it. The comparison with the
 * kernel runs them, too.
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

	LOOP for (int i = 0; i < 500; i++)
	{
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

	LOOP for (int i = 1; i < 200; i++)
	{
		y += (x + i * 1000003ULL) / (x + i);
		y += (__u32)y % (__u32)(x + 7);
		y += y / 10;
	}
	return y;
}

SEC("tc") int byteswap(struct __sk_buff *skb)
{
	__u64 x = skb->len | 0x0102030405060708ULL;

	LOOP for (int i = 0; i < 500; i++)
	{
		x = __builtin_bswap64(x) + i;
		x ^= __builtin_bswap32((__u32)x);
		x += bpf_htons((__u16)x);
	}
	return x;
}

SEC("tc") int stack(struct __sk_buff *skb)
{
	__u64 slots[32], x = skb->len;

	LOOP for (int i = 0; i < 32; i++) slots[i] = x + i;
	LOOP for (int i = 0; i < 300; i++)
	{
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

	LOOP for (int i = 0; i < 400; i++)
	{
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

	LOOP for (int i = 0; i < 100; i++) n = n * 3 + parse_once(skb, i);
	return n;
}

SEC("tc") int checksum(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u64 sum = 0;

	if (data + 1024 > end)
		return -1;
	LOOP for (int i = 0; i < 1024; i += 4) sum += *(__u32 *)(data + i);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

/* 16 bits at a time, with a look at the packet's end: compilers make no vectors of this. */
SEC("tc") int csum16(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 sum = 0;

	LOOP for (int i = 0; i < 512; i++)
	{
		__u16 *p = data + i * 2;

		if ((void *)(p + 1) > end)
			break;
		sum += *p;
	}
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16) ~(sum + (sum >> 16));
}

SEC("tc") int array_lookup(struct __sk_buff *skb)
{
	__u32 key = skb->len & 1023;
	__u64 sum = 0, *value;

	LOOP for (int i = 0; i < 200; i++)
	{
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

	LOOP for (int i = 0; i < 100; i++)
	{
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

	LOOP for (int i = 0; i < 100; i++)
	{
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

	LOOP for (int i = 0; i < 50; i++)
	{
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

	LOOP for (int i = 0; i < 300; i++) x = mix(x, i);
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
	LOOP for (int i = 0; i < 200; i++) __sync_fetch_and_add(value, i);
	return 0;
}

SEC("tc") int spin_lock(struct __sk_buff *skb)
{
	__u32 key = 0;
	struct locked_value *value = bpf_map_lookup_elem(&locked, &key);

	if (!value)
		return -1;
	LOOP for (int i = 0; i < 200; i++)
	{
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

/* What is left over by a division that was needed, too; and a chain of remainders. */
SEC("tc") int modulo(struct __sk_buff *skb)
{
	__u32 n = 0;

	LOOP for (__u32 i = 1; i <= 50; i++)
	{
		__u32 a = skb->len * 2654435761u + i * 40503, b = i * 7919 | 1, digits = a;

		LOOP for (int k = 0; k < 6; k++)
		{
			n += digits % 10;
			digits /= 10;
		}
		n += a / b + a % b * 3;
	}
	return n;
}

/* The smaller, the larger, the distance, the sign: what a compiler makes without branches. */
SEC("tc") int selects(struct __sk_buff *skb)
{
	__u32 x = skb->len, low = -1, high = 0;
	__u64 sum = 0;

	LOOP for (int i = 0; i < 400; i++)
	{
		__u32 y = x * 1664525 + 1013904223;

		low = y < low ? y : low;
		high = y > high ? y : high;
		sum += y > x ? y - x : x - y;
		x = y & 1 ? y >> 1 ^ 0xedb88320 : y + 7;
	}
	return sum ^ low ^ high;
}

#define ETH_P_VLAN 0x8100

struct vlan {
	__be16 tci, proto;
};

/* Once a run, as a filter does. */
SEC("tc") int headers(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	struct vlan *vlan = data + sizeof(*eth);
	struct iphdr *ip = data + sizeof(*eth);
	struct tcphdr *tcp;
	__u16 proto;

	if ((void *)(eth + 1) > end)
		return 1;
	proto = eth->h_proto;
	if (proto == bpf_htons(ETH_P_VLAN)) {
		if ((void *)(vlan + 1) > end)
			return 2;
		proto = vlan->proto;
		ip = (void *)(vlan + 1);
	}
	if (proto != bpf_htons(ETH_P_IP) || (void *)(ip + 1) > end)
		return 3;
	if (ip->frag_off & bpf_htons(0x3fff) || ip->ttl <= 1)
		return 4;
	if ((ip->saddr & bpf_htonl(0xff000000)) != bpf_htonl(0x0a000000))
		return 5;
	tcp = (void *)ip + (ip->ihl & 15) * 4;
	if ((void *)(tcp + 1) > end)
		return 6;
	switch (ip->protocol) {
	case IPPROTO_UDP:
		return bpf_ntohs(tcp->source);
	case IPPROTO_TCP:
		if (tcp->rst || tcp->doff < 5)
			return 7;
		return bpf_ntohl(ip->saddr) + bpf_ntohs(tcp->source) * 3 + bpf_ntohs(tcp->dest) +
		       bpf_ntohl(tcp->seq) + ip->tot_len;
	default:
		return 8;
	}
}

static __u32 counts[64];

/* Counters in global variables. */
SEC("tc") int counters(struct __sk_buff *skb)
{
	__u32 x = skb->len;

	LOOP for (int i = 0; i < 400; i++)
	{
		x = x * 1664525 + 1013904223;
		counts[x >> 26]++;
		counts[x >> 20 & 63] += i;
	}
	return x;
}

/* How often each value of six bits is in a packet. */
SEC("tc") int histogram(struct __sk_buff *skb)
{
	__u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 bins[64] = {}, n = 0;

	if (data + 1024 > end)
		return -1;
	LOOP for (int i = 0; i < 1024; i++) bins[(data[i] + i) & 63]++;
	LOOP for (int i = 0; i < 64; i++) n = n * 31 + bins[i];
	return n;
}

/* Rules over five numbers, and more results than a program has registers. */
SEC("tc") int classify(struct __sk_buff *skb)
{
	__u32 x = skb->len, web = 0, dns = 0, mail = 0, local = 0, large = 0, other = 0, last = 0;
	__u64 bytes = 0;

	LOOP for (int i = 0; i < 200; i++)
	{
		__u32 saddr, daddr, sport, dport, proto, class;

		x = x * 1664525 + 1013904223;
		saddr = x ^ x >> 7;
		daddr = x * 31;
		sport = x >> 9 & 0xffff;
		dport = x >> 14 & 127;
		proto = x & 0x300 ? 6 : 17;
		if (proto == 6 && (dport == 80 || dport == 43 || dport == 88)) {
			web++;
			class = 1;
		} else if (proto == 17 && dport == 53) {
			dns++;
			class = 2;
		} else if (proto == 6 && (dport == 25 || dport == 110 || dport == 119)) {
			mail++;
			class = 3;
		} else if (saddr >> 24 == 10 || daddr >> 24 == 10) {
			local += sport < 1024;
			class = 4;
		} else {
			other++;
			class = saddr > daddr ? 5 : 6;
		}
		if (sport > 60000 && class != last)
			large++;
		bytes += (sport >> 5) * class;
		last = class;
	}
	return bytes + web * 3 + dns * 5 + mail * 7 + local * 11 + large * 13 + other;
}

static __always_inline __u32 rol32(__u32 x, int n)
{
	return x << n | x >> (32 - n);
}

SEC("tc") int jhash(struct __sk_buff *skb)
{
	__u32 a = skb->len, b = a + 0xdeadbeef, c = b;

	LOOP for (int i = 0; i < 100; i++)
	{
		a += i;
		c ^= b;
		c -= rol32(b, 14);
		a ^= c;
		a -= rol32(c, 11);
		b ^= a;
		b -= rol32(a, 25);
		c ^= b;
		c -= rol32(b, 16);
		a ^= c;
		a -= rol32(c, 4);
		b ^= a;
		b -= rol32(a, 14);
		c ^= b;
		c -= rol32(b, 24);
	}
	return c;
}

/* A bit at a time, over 64 bytes of packet. */
SEC("tc") int crc(struct __sk_buff *skb)
{
	__u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 sum = -1;

	if (data + 64 > end)
		return -1;
	LOOP for (int i = 0; i < 64; i++)
	{
		sum ^= data[i];
		LOOP for (int k = 0; k < 8; k++) sum = sum >> 1 ^ (0xedb88320 & -(sum & 1));
	}
	return ~sum;
}

/* Insertion into a sorted array on the stack. */
SEC("tc") int sort(struct __sk_buff *skb)
{
	__u32 a[32], x = skb->len, n = 0;

	LOOP for (int i = 0; i < 32; i++)
	{
		x = x * 1664525 + 1013904223;
		a[i] = x >> 8;
	}
	LOOP for (int i = 0; i < 31; i++) LOOP for (int k = 0; k < 31; k++) if (a[k] > a[k + 1])
	{
		__u32 t = a[k];

		a[k] = a[k + 1];
		a[k + 1] = t;
	}
	LOOP for (int i = 0; i < 32; i++) n = n * 31 + a[i];
	return n;
}

struct record {
	__u64 time;
	__u32 saddr, daddr;
	__u16 sport, dport;
	__u8 proto, flags, tos, ttl;
	__u32 len, hash;
};

static __noinline __u32 digest(struct record *r)
{
	return (r->saddr ^ r->daddr) * 31 + r->sport + r->dport + r->len + r->flags + r->ttl +
	       (__u32)r->time;
}

/* A structure that is filled and given to a function. */
SEC("tc") int records(struct __sk_buff *skb)
{
	__u32 n = skb->len;

	LOOP for (int i = 0; i < 200; i++)
	{
		struct record r = {.time = i, .proto = 6, .len = n & 1023};

		r.saddr = n;
		r.dport = 443;
		r.flags = 2;
		r.sport = i;
		n += digest(&r);
	}
	return n;
}

char _license[] SEC("license") = "GPL";
