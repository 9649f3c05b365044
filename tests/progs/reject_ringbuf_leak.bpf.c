/* A record that is reserved and, for short packets, never given back. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

SEC("tc")
int leak(struct __sk_buff *skb)
{
	__u64 *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return 0;
	if (skb->len < 64)
		return 1;
	*event = skb->len;
	bpf_ringbuf_submit(event, 0);
	return 2;
}

char _license[] SEC("license") = "GPL";
