/*
 * callback.h - functions of the program that a helper calls
 */
#ifndef UBPFFS_VERIFIER_CALLBACK_H
#define UBPFFS_VERIFIER_CALLBACK_H

struct bpf_verifier_env;
struct bpf_insn;
struct bpf_call_arg_meta;

int check_ld_func(struct bpf_verifier_env *env, const struct bpf_insn *insn);
int check_callback_call(struct bpf_verifier_env *env, int func_id, int insn_idx,
			const struct bpf_call_arg_meta *meta);
int check_callback_return(struct bpf_verifier_env *env);
int widen_callback_scalars(struct bpf_verifier_env *env, int insn_idx);

#endif
