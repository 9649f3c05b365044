/*
 * call.h - into functions of the program and out of them; the exit; legacy packet loads
 */
#ifndef UBPFFS_VERIFIER_CALL_H
#define UBPFFS_VERIFIER_CALL_H

#include "util/types.h"

struct bpf_verifier_env;
struct bpf_insn;

int check_func_call(struct bpf_verifier_env *env, const struct bpf_insn *insn, int *insn_idx);
int prepare_func_exit(struct bpf_verifier_env *env, int *insn_idx);
int check_early_exit(struct bpf_verifier_env *env, bool known_zero);
int check_return_code(struct bpf_verifier_env *env);
int check_ld_abs(struct bpf_verifier_env *env, const struct bpf_insn *insn);

#endif
