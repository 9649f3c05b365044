/*
 * dynptr.h - the stack slots of dynptrs
 */
#ifndef UBPFFS_VERIFIER_DYNPTR_H
#define UBPFFS_VERIFIER_DYNPTR_H

#include "verifier/state/env.h"

#define DYNPTR_NR_SLOTS 2

void mark_dynptr_reg(struct bpf_reg_state *reg, enum bpf_dynptr_type type, bool first_slot, u32 id);
int destroy_if_dynptr_stack_slot(struct bpf_verifier_env *env, struct bpf_func_state *func,
				 u32 spi);
/*
 * The first slot of the dynptr that a stack pointer means, -EINVAL, or -ERANGE: nothing was there
 * yet.
 */
int dynptr_get_spi(struct bpf_verifier_env *env, const struct bpf_reg_state *reg);
int mark_stack_slots_dynptr(struct bpf_verifier_env *env, const struct bpf_reg_state *reg,
			    enum bpf_dynptr_type type, int insn_idx);
int unmark_stack_slots_dynptr(struct bpf_verifier_env *env, u32 regno);
int check_no_dynptr(struct bpf_verifier_env *env, const struct bpf_func_state *func, int off,
		    int size);

#endif
