/*
 * perf_output.h - perf_event_output, by context; that of frames is in xdp.c
 */
#ifndef UBPFFS_PROG_TYPE_PERF_OUTPUT_H
#define UBPFFS_PROG_TYPE_PERF_OUTPUT_H

#include "insn/func.h"
#include "map/ring/perf_event_array.h"

#define PERF_OUTPUT_PROTO(NAME, FUNC)                                              \
	const struct bpf_func_proto NAME = {                                       \
		.name = "bpf_perf_event_output",                                   \
		.id = BPF_FUNC_perf_event_output,                                  \
		.func = FUNC,                                                      \
		.gpl_only = true,                                                  \
		.ret_type = RET_INTEGER,                                           \
		.arg_type = {ARG_PTR_TO_CTX, ARG_CONST_MAP_PTR, ARG_ANYTHING,      \
			     ARG_PTR_TO_MEM | MEM_RDONLY, ARG_CONST_SIZE_OR_ZERO}, \
	}

/* How many bytes of the packet the flags ask for. */
static inline u64 perf_output_packet(u64 flags)
{
	return (flags & BPF_F_CTXLEN_MASK) >> 32;
}

extern const struct bpf_func_proto bpf_perf_event_output_proto;
extern const struct bpf_func_proto bpf_skb_event_output_proto;

#endif
