/*
 * program.h - questions about the program of a run
 */
#ifndef UBPFFS_VERIFIER_PROGRAM_H
#define UBPFFS_VERIFIER_PROGRAM_H

#include "verifier/state/env.h"

/* What BTF says of a function that is global. */
struct bpf_subprog_arg {
	u32 type; /* SCALAR_VALUE, PTR_TO_CTX, CONST_PTR_TO_DYNPTR, PTR_TO_MEM | PTR_MAYBE_NULL */
	u32 mem_size;
};
struct bpf_subprog_global {
	bool is_global; /* and simple enough to be checked by itself */
	bool called, verified;
	bool changes_pkt_data;
	u32 arg_cnt;
	struct bpf_subprog_arg args[5];
};

/* The function that begins at `off`: its number or -ENOENT. */
int find_subprog(const struct bpf_verifier_env *env, int off);
int get_helper_proto(const struct bpf_verifier_env *env, int func_id,
		     const struct bpf_func_proto **proto); /* -ERANGE, -EINVAL */
/* Its holder may only read it, and so may the program (bpf_prog_load_attr.maps_rdonly). */
bool map_is_lent_rdonly(const struct bpf_verifier_env *env, const struct bpf_map *map);

#endif
