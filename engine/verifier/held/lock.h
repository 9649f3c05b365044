/*
 * lock.h - the struct bpf_spin_lock in map values
 */
#ifndef UBPFFS_VERIFIER_LOCK_H
#define UBPFFS_VERIFIER_LOCK_H

#include "util/types.h"

struct bpf_verifier_env;
struct bpf_reg_state;
struct bpf_insn;

bool reg_may_point_to_spin_lock(const struct bpf_reg_state *reg);
int check_lock_untouched(struct bpf_verifier_env *env, const struct bpf_reg_state *reg, int off,
			 int size);
int check_call_allowed(struct bpf_verifier_env *env, const struct bpf_insn *insn);
int check_global_call_lock(struct bpf_verifier_env *env);
int process_spin_lock(struct bpf_verifier_env *env, u32 regno, bool is_lock);

#endif
