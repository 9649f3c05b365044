/*
 * arm64_alu.h - moves, arithmetic, shifts, conversions between registers
 */
#ifndef UBPFFS_JIT_ARM64_ARM64_ALU_H
#define UBPFFS_JIT_ARM64_ARM64_ALU_H

#include "jit/arm64/arm64_asm.h"

/* The machine register of a BPF register as a value; R10 is computed into tmp. */
u8 arm64_value(struct jit_code *c, u8 bpf_reg, u8 tmp);

/* All of them: the instruction that the operation names, of the class of insn->code. */
void arm64_alu(struct jit_code *c, const struct bpf_insn *insn);
void arm64_movsx(struct jit_code *c, const struct bpf_insn *insn);
void arm64_end(struct jit_code *c, const struct bpf_insn *insn);

/* rd = rd op rm, and rd = rd op imm, for add, sub, and, or, xor; CONST_TMP is used. */
void arm64_op_reg(struct jit_code *c, u32 sf, u8 op, u8 rd, u8 rm);
void arm64_op_imm(struct jit_code *c, u32 sf, u8 op, u8 rd, s32 imm);

/* dst /= src, and register imm, which held the same, is the remainder. */
void arm64_divmod(struct jit_code *c, const struct bpf_insn *insn);
void arm64_rotate(struct jit_code *c, const struct bpf_insn *insn);

/* The flags of a comparison, or (JSET) of an and. */
void arm64_compare(struct jit_code *c, const struct bpf_insn *insn);

#endif
