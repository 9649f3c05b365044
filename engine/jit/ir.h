/*
 * ir.h - what the passes find out about a program before code is made for it
 *
 * One entry an instruction of prog->insnsi. Nothing here knows the machine.
 */
#ifndef UBPFFS_JIT_IR_H
#define UBPFFS_JIT_IR_H

#include "core/prog.h"

enum {
	JIT_TARGET = 1, /* a jump or a call goes here */
	JIT_LOOP_HEAD = 2, /* a jump from here or below goes here */
	JIT_IMM64_HI = 4, /* second half of LD_IMM64: no instruction */
	JIT_INVERTED =
		8, /* jumps, where its condition is false, to where the next instruction jumps */
};

/* Operations beside those of the table, which combine.c makes. */
enum {
	JIT_OP_NOP = BPF_OP_MAX + 1, /* became part of another */
	JIT_OP_LEA, /* dst = addr[i] */
	JIT_OP_ROL, /* dst = src rotated left by imm; 64 or 32 bits as the code's class says */
};

#define JIT_NO_REG 0xff

struct jit_addr { /* base + (index << shift) + disp; BPF registers */
	bool used; /* of a load or store: instead of its register and off */
	u8 base, index, shift;
	s32 disp;
};

struct jit_func { /* one subprogram, [start, end) */
	u32 start, end;
	u32 stack_depth;
	u16 written; /* registers that it may change, a bit each */
	bool calls; /* helpers, subprograms, packet loads */
	bool tail_call;
	bool ld_abs;
};

struct jit_ir {
	const struct bpf_prog *prog;
	struct bpf_insn *insns; /* a copy */
	u32 len;
	u8 *op; /* enum bpf_op, or JIT_OP_* */
	struct jit_addr *addr;
	u8 *flags;
	u16 *live_out; /* registers whose value after the instruction is read later */
	struct jit_func *funcs;
	u32 func_cnt;
};

/* Registers that a helper or a subprogram may change. */
#define JIT_CALL_CLOBBERS 0x3f

/* -EINVAL when insnsi is not what a verified, rewritten program looks like; -ENOMEM. */
int jit_ir_build(const struct bpf_prog *prog, struct jit_ir *ir);
void jit_ir_free(struct jit_ir *ir);

/* combine.c: after jit_ir_build(), for machines whose addresses are like struct jit_addr. 0 or -ENOMEM. */
int jit_combine(struct jit_ir *ir);

/* live_out again, after operations were combined. 0 or -ENOMEM. */
int jit_find_live(struct jit_ir *ir);

/* Which registers an instruction reads, and which it writes. */
void jit_insn_regs(u8 op, const struct bpf_insn *insn, u16 *use, u16 *def);

/* Where a jump, or a call of a subprogram, goes. Only for those. */
static inline u32 jit_target(const struct jit_ir *ir, u32 i)
{
	const struct bpf_insn *insn = &ir->insns[i];
	bool in_imm = ir->op[i] == BPF_OP_JA32 || ir->op[i] == BPF_OP_CALL;

	return i + 1 + (in_imm ? insn->imm : insn->off);
}

#endif
