/*
 * dynptr_arg.h - dynptrs as arguments
 */
#ifndef UBPFFS_VERIFIER_DYNPTR_ARG_H
#define UBPFFS_VERIFIER_DYNPTR_ARG_H

#include "util/types.h"

struct bpf_verifier_env;
struct bpf_call_arg_meta;

int process_dynptr_func(struct bpf_verifier_env *env, u32 regno, int insn_idx, u32 arg_type);
int check_dynptr_release(struct bpf_verifier_env *env, u32 regno);
int note_dynptr_slice(struct bpf_verifier_env *env, struct bpf_call_arg_meta *meta);
int check_dynptr_from_mem(struct bpf_verifier_env *env);

#endif
