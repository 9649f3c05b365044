/*
 * perf_output.c - perf_event_output for contexts that are no packets, and for sockets' packets
 *
 * A record is what the program gives and so much of the packet as its flags say.
 */
#include "prog_type/perf_output.h"
#include "prog_type/skb/skb.h"

static u64 event_output(u64 ctx, u64 map, u64 flags, u64 data, u64 size)
{
	struct bpf_perf_part part = {PTR(data), size};

	if (flags & ~BPF_F_INDEX_MASK)
		return (u64)-EINVAL;
	return (u64)bpf_perf_output(PTR(map), flags, &part, 1);
}

PERF_OUTPUT_PROTO(bpf_perf_event_output_proto, event_output);

static u64 skb_output(u64 ctx, u64 map, u64 flags, u64 data, u64 size)
{
	const struct bpf_skb *skb = PTR(ctx);
	struct bpf_perf_part parts[] = {{PTR(data), size}, {skb->data, perf_output_packet(flags)}};

	if (flags & ~(BPF_F_CTXLEN_MASK | BPF_F_INDEX_MASK))
		return (u64)-EINVAL;
	if (parts[1].len > (u64)(skb->data_end - skb->data))
		return (u64)-EFAULT;
	return (u64)bpf_perf_output(PTR(map), flags, parts, 2);
}

PERF_OUTPUT_PROTO(bpf_skb_event_output_proto, skb_output);
