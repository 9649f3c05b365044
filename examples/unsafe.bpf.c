/*
 * unsafe.bpf.c - a program that the verifier must not let through
 *
 * It reads the packet's protocol without asking whether the packet is that long.
 *
 *	cat build/examples/unsafe.bpf.o > M/progs/new	fails: Permission denied
 *	cat M/progs/log					says why, with the line below
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int unsafe(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);

	if ((void *)(eth + 1) > end)
		return XDP_DROP;
	return ip->protocol == 6 ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
