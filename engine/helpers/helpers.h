/*
 * helpers.h - the helpers that every program type has
 */
#ifndef UBPFFS_HELPERS_HELPERS_H
#define UBPFFS_HELPERS_HELPERS_H

#include "insn/func.h"

struct bpf_prog;

/* Helpers that every program type has. NULL when this is none of them. */
const struct bpf_func_proto *bpf_base_func_proto(enum bpf_func_id id, const struct bpf_prog *prog);

/* bpf_func_find() in what a program type has of its own, then in what every type has. */
const struct bpf_func_proto *bpf_type_func_proto(enum bpf_func_id id, const struct bpf_prog *prog,
						 const struct bpf_func_proto *const *have,
						 size_t have_cnt, const u8 *missing,
						 size_t missing_cnt);

#endif
