/* SEC("?...") programs are not loaded, even those that nothing could load. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int loaded(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("?xdp")
int skipped(struct xdp_md *ctx)
{
	return *(int *)(long)ctx->data;
}

SEC("?kprobe/nothing")
int skipped_too(void *ctx)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
