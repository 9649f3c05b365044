/* A record with the packet's length, and four of its bytes, for who reads. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, 1024);
} events SEC(".maps");

/* Returns 1, or the error with its sign turned and 256 added, cut to 8 bits. */
static __always_inline int result(long err)
{
	return err ? (int)(256 + err) : 1;
}

SEC("tc")
int perf_output(struct __sk_buff *skb)
{
	__u32 len = skb->len;

	return result(bpf_perf_event_output(skb, &events, BPF_F_CURRENT_CPU | 4ULL << 32, &len,
					    sizeof(len)));
}

SEC("tc")
int too_much(struct __sk_buff *skb)
{
	__u32 len = skb->len;

	return result(bpf_perf_event_output(skb, &events, BPF_F_CURRENT_CPU | 1ULL << 40, &len,
					    sizeof(len)));
}

SEC("tc")
int too_far(struct __sk_buff *skb)
{
	__u32 len = skb->len;

	return result(bpf_perf_event_output(skb, &events, 1024, &len, sizeof(len)));
}

SEC("xdp")
int xdp_bytes(struct xdp_md *ctx)
{
	__u64 tag = 0x1122334455667788;

	return result(bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU | 14ULL << 32, &tag,
					    sizeof(tag)));
}

char _license[] SEC("license") = "GPL";
