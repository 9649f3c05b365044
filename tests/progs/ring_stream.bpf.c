/* Numbered records into a ring buffer, as fast as there is room. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct record {
	__u64 seq;
	__u64 check; /* seq * 7 + 1 */
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} stream SEC(".maps");

__u64 seq;

/* 64 records; every 16th is followed by a discarded one. Returns how many there was room for. */
SEC("tc")
int stream_records(struct __sk_buff *skb)
{
	for (int i = 0; i < 64; i++) {
		struct record *r = bpf_ringbuf_reserve(&stream, sizeof(*r), 0);

		if (!r)
			return i;
		r->seq = seq;
		r->check = seq * 7 + 1;
		seq++;
		bpf_ringbuf_submit(r, 0);
		if (seq % 16)
			continue;
		r = bpf_ringbuf_reserve(&stream, sizeof(*r), 0);
		if (r)
			bpf_ringbuf_discard(r, 0);
	}
	return 64;
}

/* One record, with the flags in the packet's first byte. Returns the bytes that wait. */
SEC("tc")
int stream_one(struct __sk_buff *skb)
{
	struct record r = {.seq = seq, .check = seq * 7 + 1};
	__u8 flags = 0;

	bpf_skb_load_bytes(skb, 0, &flags, 1);
	if (bpf_ringbuf_output(&stream, &r, sizeof(r), flags & 3))
		return -1;
	seq++;
	return bpf_ringbuf_query(&stream, BPF_RB_AVAIL_DATA);
}

char _license[] SEC("license") = "GPL";
