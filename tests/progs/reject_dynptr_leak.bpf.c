/* Refused: a dynptr that may have failed to be made is not given back. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

SEC("tc")
int leaks(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;

	if (bpf_ringbuf_reserve_dynptr(&events, 16, 0, &ptr))
		return 0;
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	return 1;
}

char _license[] SEC("license") = "GPL";
