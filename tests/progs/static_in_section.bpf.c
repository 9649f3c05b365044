/* A static function beside a program, in its section: a call without a relocation. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static __attribute__((noinline, section("xdp"))) int verdict(__u32 n)
{
	return n & 1 ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int static_in_section(struct xdp_md *ctx)
{
	return verdict(ctx->data_end - ctx->data);
}

char _license[] SEC("license") = "GPL";
