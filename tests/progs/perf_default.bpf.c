/*
 * Event arrays without max_entries, as most people write them: as many elements as there are CPUs.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct events {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} events SEC(".maps");

SEC("xdp")
int perf_default(struct xdp_md *ctx)
{
	__u32 len = ctx->data_end - ctx->data;

	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &len, sizeof(len));
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
