/*
 * map_helpers.c - helpers of the map types that are more than a table
 *
 * What the verifier checked holds when a helper runs: the map is of a type that has the operation.
 */
#include "core/func.h"
#include "map/map.h"

#define PTR(r) ((void *)(uintptr_t)(r))

#define BPF_HELPER(name) static u64 bpf_##name(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)

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
