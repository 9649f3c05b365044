/* Reads the packet one byte past what it compared with data_end: must be rejected. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int reject_packet_bounds(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (data + 14 > end)
		return XDP_DROP;
	return data[14] ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
