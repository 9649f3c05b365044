/* Records of a size that only the run knows, through dynptrs; a map value looked at through one. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct head {
	__u32 len;
	__u32 seq;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u8[256]);
	__uint(max_entries, 2);
} values SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} slow_events SEC(".maps");

__u32 seq;

#define CHUNK 8

/* The packet, in pieces, behind what was written already: checked once for any dynptr. */
__noinline int copy_packet(struct __sk_buff *skb, const struct bpf_dynptr *ptr, __u32 at)
{
	__u8 bytes[CHUNK];

	for (__u32 off = 0; off < 64; off += CHUNK) {
		if (off + CHUNK > skb->len)
			return off;
		if (bpf_skb_load_bytes(skb, off, bytes, CHUNK) < 0)
			return -1;
		if (bpf_dynptr_write(ptr, at + off, bytes, CHUNK, 0))
			return -2;
	}
	return 64;
}

/* A header and up to 64 bytes of the packet, as long as the packet is. */
SEC("tc")
int packet_record(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	struct head *head;
	__u32 len = skb->len < 64 ? skb->len & ~(CHUNK - 1) : 64;
	int ret = 0;

	if (bpf_ringbuf_reserve_dynptr(&events, sizeof(*head) + len, 0, &ptr))
		goto discard;
	head = bpf_dynptr_data(&ptr, 0, sizeof(*head));
	if (!head)
		goto discard;
	head->len = skb->len;
	head->seq = seq++;
	ret = copy_packet(skb, &ptr, sizeof(*head));
	if (ret < 0)
		goto discard;
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	return ret;
discard:
	bpf_ringbuf_discard_dynptr(&ptr, 0); /* also when there is none */
	return ret;
}

/* What a ring cannot hold is not reserved, and is given back all the same. */
SEC("tc")
int too_much(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	int ret = bpf_ringbuf_reserve_dynptr(&events, 1 << 20, 0, &ptr);

	bpf_ringbuf_submit_dynptr(&ptr, 0);
	return -ret;
}

/* Two windows of one value: what is written through one is read through the other. */
SEC("tc")
int windows(struct __sk_buff *skb)
{
	struct bpf_dynptr all, part;
	__u32 key = 0, sum = 0, word = 0;
	__u8 *value = bpf_map_lookup_elem(&values, &key), *byte;

	if (!value)
		return 1;
	if (bpf_dynptr_from_mem(value, 256, 0, &all) ||
	    bpf_dynptr_from_mem(value + 16, 64, 0, &part))
		return 2;
	for (__u32 i = 0; i < 20; i++) {
		word = skb->len * (i + 1);
		if (bpf_dynptr_write(&part, i * 4, &word, sizeof(word), 0) && i < 16)
			return 3;
	}
	for (__u32 i = 0; i < 16; i++) {
		if (bpf_dynptr_read(&word, sizeof(word), &all, 16 + i * 4, 0))
			return 4;
		sum = sum * 31 + word;
	}
	byte = bpf_dynptr_data(&all, 255, 1);
	if (byte)
		*byte = sum;
	if (bpf_dynptr_data(&all, 255, 2))
		return 5;
	return (int)sum;
}

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} rounds SEC(".maps");

static long tick(__u32 i, void *ctx)
{
	*(__u64 *)ctx += i;
	return 0;
}

static long round(__u32 i, void *ctx)
{
	bpf_loop(1 << 16, tick, ctx, 0);
	return 0;
}

/* As long as `rounds` says, between reserving a record and submitting it. */
SEC("tc")
int slow_record(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	__u32 key = 0, *nr = bpf_map_lookup_elem(&rounds, &key);
	__u64 sum = 0;

	bpf_ringbuf_output(&slow_events, "begin", 5, 0);
	if (!bpf_ringbuf_reserve_dynptr(&slow_events, 8, 0, &ptr)) {
		bpf_loop(nr ? *nr & 0xffff : 0, round, &sum, 0);
		bpf_dynptr_write(&ptr, 0, &sum, sizeof(sum), 0);
	}
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	return (int)sum;
}

char _license[] SEC("license") = "GPL";
