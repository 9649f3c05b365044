/*
 * x86_64_alu.h - what computes in registers
 */
#ifndef UBPFFS_JIT_X86_64_X86_64_ALU_H
#define UBPFFS_JIT_X86_64_X86_64_ALU_H

#include "jit/x86_64/x86_64_asm.h"

/* ext is the operation's number in its group of opcodes. */
void x86_mov(struct jit_code *c, const struct bpf_insn *insn);
void x86_group(struct jit_code *c, const struct bpf_insn *insn, u8 ext); /* add or and sub xor */
void x86_mul(struct jit_code *c, const struct bpf_insn *insn);
void x86_shift(struct jit_code *c, const struct bpf_insn *insn, u8 ext);
void x86_movsx(struct jit_code *c, const struct bpf_insn *insn);
void x86_bswap(struct jit_code *c, u8 reg, int bits);
void x86_rotate(struct jit_code *c, const struct bpf_insn *insn);
/* Do the flags already compare reg with 0, as far as this condition looks? */
bool x86_have_flags(const struct jit_code *c, u8 reg, int w, u8 cc);

#endif
