/*
 * perf_output.c - perf_event_output for each kind of context: what the program gives, and so much
 * of the packet as
 * its flags say
 */
#include "map/perf_event_array.h"
#include "prog_type/skb.h"
#include "prog_type/xdp.h"

#define PTR(r) ((void *)(uintptr_t)(r))

#define OUTPUT_PROTO(NAME, FUNC)                                                   \
	const struct bpf_func_proto NAME = {                                       \
		.name = "bpf_perf_event_output",                                   \
		.id = BPF_FUNC_perf_event_output,                                  \
		.func = FUNC,                                                      \
		.gpl_only = true,                                                  \
		.ret_type = RET_INTEGER,                                           \
		.arg_type = {ARG_PTR_TO_CTX, ARG_CONST_MAP_PTR, ARG_ANYTHING,      \
			     ARG_PTR_TO_MEM | MEM_RDONLY, ARG_CONST_SIZE_OR_ZERO}, \
	}

static u64 event_output(u64 ctx, u64 map, u64 flags, u64 data, u64 size)
{
	struct bpf_perf_part part = {PTR(data), size};

	if (flags & ~BPF_F_INDEX_MASK)
		return (u64)-EINVAL;
	return (u64)bpf_perf_output(PTR(map), flags, &part, 1);
}

OUTPUT_PROTO(bpf_perf_event_output_proto, event_output);

static u64 packet_bytes(u64 flags)
{
	return (flags & BPF_F_CTXLEN_MASK) >> 32;
}

static u64 skb_output(u64 ctx, u64 map, u64 flags, u64 data, u64 size)
{
	const struct bpf_skb *skb = PTR(ctx);
	struct bpf_perf_part parts[] = {{PTR(data), size}, {skb->data, packet_bytes(flags)}};

	if (flags & ~(BPF_F_CTXLEN_MASK | BPF_F_INDEX_MASK))
		return (u64)-EINVAL;
	if (parts[1].len > (u64)(skb->data_end - skb->data))
		return (u64)-EFAULT;
	return (u64)bpf_perf_output(PTR(map), flags, parts, 2);
}

OUTPUT_PROTO(bpf_skb_event_output_proto, skb_output);

static u64 xdp_output(u64 ctx, u64 map, u64 flags, u64 data, u64 size)
{
	const struct bpf_xdp *xdp = PTR(ctx);
	u64 bytes = packet_bytes(flags), linear = (u64)(xdp->data_end - xdp->data);
	struct bpf_perf_part parts[] = {{PTR(data), size},
					{xdp->data, min(bytes, linear)},
					{xdp->frags, bytes - min(bytes, linear)}};

	if (flags & ~(BPF_F_CTXLEN_MASK | BPF_F_INDEX_MASK))
		return (u64)-EINVAL;
	if (bytes > linear + xdp->frag_len)
		return (u64)-EFAULT;
	return (u64)bpf_perf_output(PTR(map), flags, parts, 3);
}

OUTPUT_PROTO(bpf_xdp_event_output_proto, xdp_output);
