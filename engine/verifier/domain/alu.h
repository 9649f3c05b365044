/*
 * alu.h - what an ALU instruction makes of two scalars: pure functions of registers
 */
#ifndef UBPFFS_VERIFIER_ALU_H
#define UBPFFS_VERIFIER_ALU_H

#include "insn/insn.h"
#include "verifier/domain/reg_state.h"

/*
 * dst = dst op src on scalars, 64 or 32 bits wide as the opcode says (all of ALU, ALU64, END,
 * NEG, signed division). `src` holds the operand also for immediates and is a copy. What a precise
 * result is unknown for becomes unknown: never an error. Division and modulo by a possible zero
 * follow RFC 9669 (0, and the dividend).
 */
void adjust_scalar_min_max_vals(const struct bpf_insn *insn, struct bpf_reg_state *dst,
				struct bpf_reg_state src);

#endif
