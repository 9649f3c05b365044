/*
 * callback.c - bpf_loop and bpf_for_each_map_elem
 *
 * The rewriter makes a loop of most calls of bpf_loop (rewrite/rewrite.c); what it does must agree
 * with this.
 */
#include "run/callback.h"
#include "core/map.h"

/*
 * bpf_loop(u32 nr_loops, callback, ctx, flags): callback(u64 index, ctx) until it returns other
 * than 0
 */
static u64 bpf_loop(u64 r1, u64 callback, u64 ctx, u64 flags, u64 r5)
{
	u32 nr_loops = (u32)r1;

	if (flags)
		return (u64)-EINVAL;
	if (nr_loops > BPF_MAX_LOOPS)
		return (u64)-E2BIG;
	for (u32 i = 0; i < nr_loops; i++)
		if (bpf_callback_call(callback, i, ctx, 0, 0))
			return i + 1;
	return nr_loops;
}

const struct bpf_func_proto bpf_loop_proto = {
	.name = "bpf_loop",
	.id = BPF_FUNC_loop,
	.func = bpf_loop,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_ANYTHING, ARG_PTR_TO_FUNC, ARG_PTR_TO_STACK | PTR_MAYBE_NULL,
		     ARG_ANYTHING},
};

/* The verifier lets only maps come here that have the operation. */
static u64 bpf_for_each_map_elem(u64 r1, u64 callback, u64 ctx, u64 flags, u64 r5)
{
	struct bpf_map *map = (struct bpf_map *)(uintptr_t)r1;

	if (flags || !map->ops->map_for_each_callback)
		return (u64)-EINVAL;
	return (u64)map->ops->map_for_each_callback(map, callback, ctx);
}

const struct bpf_func_proto bpf_for_each_map_elem_proto = {
	.name = "bpf_for_each_map_elem",
	.id = BPF_FUNC_for_each_map_elem,
	.func = bpf_for_each_map_elem,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_CONST_MAP_PTR, ARG_PTR_TO_FUNC, ARG_PTR_TO_STACK | PTR_MAYBE_NULL,
		     ARG_ANYTHING},
};
