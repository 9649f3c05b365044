/*
 * map_helpers.c - helpers of the map types that are more than a table
 *
 * What the verifier checked holds when a helper runs: the map is of a type that has the operation.
 */
#include "helpers/map_helpers.h"
#include "insn/func.h"
#include "map/map.h"
#include "map/ring/ringbuf.h"

/* ---- queues, stacks, bloom filters */

BPF_HELPER(map_push_elem)
{
	struct bpf_map *map = PTR(r1);

	return (u64)map->ops->map_push_elem(map, PTR(r2), r3);
}

BPF_HELPER(map_pop_elem)
{
	struct bpf_map *map = PTR(r1);

	return (u64)map->ops->map_pop_elem(map, PTR(r2));
}

BPF_HELPER(map_peek_elem)
{
	struct bpf_map *map = PTR(r1);

	return (u64)map->ops->map_peek_elem(map, PTR(r2));
}

const struct bpf_func_proto bpf_map_push_elem_proto = {
	.name = "bpf_map_push_elem",
	.id = BPF_FUNC_map_push_elem,
	.func = bpf_map_push_elem,
	.pkt_access = true,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_CONST_MAP_PTR, ARG_PTR_TO_MAP_VALUE, ARG_ANYTHING},
};

const struct bpf_func_proto bpf_map_pop_elem_proto = {
	.name = "bpf_map_pop_elem",
	.id = BPF_FUNC_map_pop_elem,
	.func = bpf_map_pop_elem,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_CONST_MAP_PTR, ARG_PTR_TO_MAP_VALUE | MEM_UNINIT | MEM_WRITE},
};

const struct bpf_func_proto bpf_map_peek_elem_proto = {
	.name = "bpf_map_peek_elem",
	.id = BPF_FUNC_map_peek_elem,
	.func = bpf_map_peek_elem,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_CONST_MAP_PTR, ARG_PTR_TO_MAP_VALUE | MEM_UNINIT | MEM_WRITE},
};

/* ---- ring buffers */

static u64 bpf_ringbuf_output_call(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
{
	return (u64)bpf_ringbuf_output(PTR(r1), PTR(r2), r3, r4);
}

BPF_HELPER(ringbuf_reserve_call)
{
	return (uintptr_t)bpf_ringbuf_reserve(PTR(r1), r2, r3);
}

BPF_HELPER(ringbuf_submit)
{
	bpf_ringbuf_commit(PTR(r1), r2, false);
	return 0;
}

BPF_HELPER(ringbuf_discard)
{
	bpf_ringbuf_commit(PTR(r1), r2, true);
	return 0;
}

BPF_HELPER(ringbuf_query_call)
{
	return bpf_ringbuf_query(PTR(r1), r2);
}

const struct bpf_func_proto bpf_ringbuf_output_proto = {
	.name = "bpf_ringbuf_output",
	.id = BPF_FUNC_ringbuf_output,
	.func = bpf_ringbuf_output_call,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_CONST_MAP_PTR, ARG_PTR_TO_MEM | MEM_RDONLY, ARG_CONST_SIZE_OR_ZERO,
		     ARG_ANYTHING},
};

const struct bpf_func_proto bpf_ringbuf_reserve_proto = {
	.name = "bpf_ringbuf_reserve",
	.id = BPF_FUNC_ringbuf_reserve,
	.func = bpf_ringbuf_reserve_call,
	.ret_type = RET_PTR_TO_RINGBUF_MEM_OR_NULL,
	.arg_type = {ARG_CONST_MAP_PTR, ARG_CONST_ALLOC_SIZE_OR_ZERO, ARG_ANYTHING},
};

const struct bpf_func_proto bpf_ringbuf_submit_proto = {
	.name = "bpf_ringbuf_submit",
	.id = BPF_FUNC_ringbuf_submit,
	.func = bpf_ringbuf_submit,
	.ret_type = RET_VOID,
	.arg_type = {ARG_PTR_TO_RINGBUF_MEM | OBJ_RELEASE, ARG_ANYTHING},
};

const struct bpf_func_proto bpf_ringbuf_discard_proto = {
	.name = "bpf_ringbuf_discard",
	.id = BPF_FUNC_ringbuf_discard,
	.func = bpf_ringbuf_discard,
	.ret_type = RET_VOID,
	.arg_type = {ARG_PTR_TO_RINGBUF_MEM | OBJ_RELEASE, ARG_ANYTHING},
};

const struct bpf_func_proto bpf_ringbuf_query_proto = {
	.name = "bpf_ringbuf_query",
	.id = BPF_FUNC_ringbuf_query,
	.func = bpf_ringbuf_query_call,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_CONST_MAP_PTR, ARG_ANYTHING},
};
