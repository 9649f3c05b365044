/*
 * program.c - questions about the program of a run
 */
#include "verifier/state/program.h"

/* instructions looked at over all chains of calls */

int find_subprog(const struct bpf_verifier_env *env, int off)
{
	u32 lo = 0, hi = env->subprog_cnt;

	while (lo < hi) {
		u32 mid = (lo + hi) / 2;

		if ((int)env->subprogs[mid].start == off)
			return mid;
		if ((int)env->subprogs[mid].start < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return -ENOENT;
}

int get_helper_proto(const struct bpf_verifier_env *env, int func_id,
		     const struct bpf_func_proto **proto)
{
	bool of_host = (u32)func_id >= BPF_FUNC_HOST_FIRST && env->prog->host_funcs;

	if (func_id <= 0 || (func_id >= BPF_FUNC_MAX && !env->prog->classic_len && !of_host))
		return -ERANGE;
	*proto = bpf_prog_func_proto(env->prog, (u32)func_id);
	return *proto ? 0 : -EINVAL;
}

/*
 * The program was given the map by who may only read it: through every one of its references, or
 * (an inner map) through every map that it may come from. What else it can do by a map is then
 * refused as writing is.
 */
bool map_is_lent_rdonly(const struct bpf_verifier_env *env, const struct bpf_map *map)
{
	const struct bpf_prog *prog = env->prog;

	if (map->ops && map->ops->lookup_only)
		return true;
	if (!prog->used_maps_rdonly)
		return false;
	for (u32 i = 0; i < bpf_prog_nr_maps(prog); i++)
		if ((prog->used_maps[i] == map || prog->used_maps[i]->inner_map_meta == map) &&
		    !prog->used_maps_rdonly[i])
			return false;
	return true;
}
