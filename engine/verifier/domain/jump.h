/*
 * jump.h - what a conditional jump says about two scalars: pure functions of registers
 */
#ifndef UBPFFS_VERIFIER_JUMP_H
#define UBPFFS_VERIFIER_JUMP_H

#include "verifier/domain/reg_state.h"

/* 1: always taken, 0: never, -1: not known. */
int is_scalar_branch_taken(const struct bpf_reg_state *reg1, const struct bpf_reg_state *reg2,
			   u8 opcode, bool is_jmp32);
/*
 * Refine the copies for the branch taken (true_*) and not taken (false_*). 64-bit or, with
 * is_jmp32, 32-bit comparison. reg2 copies hold the constant for immediates.
 */
void reg_set_min_max(struct bpf_reg_state *true_reg1, struct bpf_reg_state *true_reg2,
		     struct bpf_reg_state *false_reg1, struct bpf_reg_state *false_reg2, u8 opcode,
		     bool is_jmp32);

#endif
