/* Records into a ring buffer, by copy and in place; a queue and a stack beside it. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct event {
	__u32 len;
	__u32 seq;
	__u64 bytes[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__type(value, __u32);
	__uint(max_entries, 4);
} lengths SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__type(value, __u32);
	__uint(max_entries, 4);
} newest SEC(".maps");

__u32 seq;

SEC("tc")
int reserve_submit(struct __sk_buff *skb)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return 0;
	event->len = skb->len;
	event->seq = seq++;
	if (bpf_skb_load_bytes(skb, 0, event->bytes, sizeof(event->bytes)) < 0) {
		bpf_ringbuf_discard(event, 0);
		return 1;
	}
	bpf_ringbuf_submit(event, 0);
	return 2;
}

SEC("tc")
int output(struct __sk_buff *skb)
{
	__u32 pair[2] = {skb->len, 77};

	if (bpf_ringbuf_output(&events, pair, sizeof(pair), BPF_RB_FORCE_WAKEUP))
		return 0;
	return (int)bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);
}

/* Returns the length of three packets ago, once there were so many. */
SEC("tc")
int delay_line(struct __sk_buff *skb)
{
	__u32 len = skb->len, old = 0;

	bpf_map_push_elem(&newest, &len, BPF_EXIST);
	if (!bpf_map_push_elem(&lengths, &len, 0))
		return 0;
	bpf_map_pop_elem(&lengths, &old);
	bpf_map_push_elem(&lengths, &len, 0);
	bpf_map_peek_elem(&newest, &len);
	return (int)(old * 1000 + len);
}

char _license[] SEC("license") = "GPL";
