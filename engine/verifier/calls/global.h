/*
 * global.h - global functions: checked once for any arguments of their types
 */
#ifndef UBPFFS_VERIFIER_GLOBAL_H
#define UBPFFS_VERIFIER_GLOBAL_H

#include "util/types.h"

struct bpf_verifier_env;
struct bpf_reg_state;

int find_global_funcs(struct bpf_verifier_env *env);
int check_global_call(struct bpf_verifier_env *env, u32 subprog);
/* What a global function is walked with: nothing is known of its arguments but their types. */
void set_global_args(struct bpf_verifier_env *env, u32 subprog, struct bpf_reg_state *regs);

#endif
