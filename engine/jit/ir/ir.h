/*
 * ir.h - what the passes find out about a program before code is made for it
 *
 * One entry an instruction of prog->insnsi. Nothing here knows the machine.
 */
#ifndef UBPFFS_JIT_IR_IR_H
#define UBPFFS_JIT_IR_IR_H

#include "core/prog.h"

enum {
	JIT_TARGET = 1, /* a jump or a call goes here */
	JIT_LOOP_HEAD = 2, /* a jump from here or below goes here */
	JIT_IMM64_HI = 4, /* second half of LD_IMM64: no instruction */
	JIT_INVERTED =
		8, /* jumps, where its condition is false, to where the next instruction jumps */
	JIT_STEP_MADE = 16, /* head of a loop: whoever falls into it makes registers of ir->steps */
	JIT_STEP = 32, /* before it, registers of ir->steps are stepped */
};

/* Operations beside those of the table, which combine.c makes. */
enum {
	JIT_OP_NOP = BPF_OP_MAX + 1, /* became part of another */
	JIT_OP_LEA, /* dst = addr[i] */
	/* [dst + off] = [dst + off] op src, or imm: as the store of that size; rmw.c makes them */
	JIT_OP_RMW_ADD,
	JIT_OP_RMW_OR,
	JIT_OP_RMW_AND,
	JIT_OP_RMW_SUB,
	JIT_OP_RMW_XOR,
	JIT_OP_DIVMOD, /* dst /= src, and register imm, which held the same, is the remainder */
	JIT_OP_ROL, /* dst = src rotated left by imm; 64 or 32 bits as the code's class says */
};

#define JIT_NO_REG     0xff
/* Of a jit_addr's disp, either way; in a program whose constants are blinded. */
#define JIT_DISP_MAX   (1 << 29)
#define JIT_DISP_BLIND (1 << 15)

/* Registers behind R10, which only promote.c gives out: those that the machine has left over. */
#define JIT_SPARE_REG MAX_BPF_REG
#define JIT_MAX_REG   15

struct jit_addr { /* base + (index << shift) + disp; BPF registers */
	bool used; /* of a load or store: instead of its register and off */
	u8 base, index, shift;
	s32 disp;
};

struct jit_func { /* one subprogram, [start, end) */
	u32 start, end;
	u32 stack_depth;
	u16 written; /* registers that it may change, a bit each */
	bool uses_fp; /* anything reads R10 */
	bool calls; /* helpers, subprograms, packet loads */
	bool tail_call;
	bool ld_abs;
};

/* step.c: reg = addr, of what falls into the loop at head; reg += by at each `at`. */
struct jit_step {
	u32 head, at;
	s32 by;
	u8 reg;
	struct jit_addr addr;
};

struct jit_ir {
	const struct bpf_prog *prog;
	struct bpf_insn *insns; /* a copy */
	u32 len;
	bool blind; /* the program's constants shall not stand in the code */
	u8 *op; /* enum bpf_op, or JIT_OP_* */
	struct jit_addr *addr;
	u8 *flags;
	u16 *live_out; /* registers whose value after the instruction is read later */
	struct jit_func *funcs;
	u32 func_cnt;
	struct jit_step *steps;
	u32 step_cnt;
	u32 redirected; /* jumps and addresses that the pass at hand changed, no operation */
};

/* -EINVAL when insnsi is not what a verified, rewritten program looks like; -ENOMEM. */
int jit_ir_build(const struct bpf_prog *prog, struct jit_ir *ir);
void jit_ir_free(struct jit_ir *ir);

/* live_out again, after operations were combined. 0 or -ENOMEM. */
int jit_find_live(struct jit_ir *ir);
/* Registers whose value before the instruction is read later. */
u16 jit_live_before(const struct jit_ir *ir, u32 i);

/* Values in registers that nobody reads are not computed. Wants live_out, and keeps it right. */
void jit_drop_dead(struct jit_ir *ir);

/* Which registers an instruction reads, and which it writes, also one that a pass made. */
void jit_op_regs(const struct jit_ir *ir, u32 i, u16 *use, u16 *def);

/* Of the program's way, conditional or not: no call and no exit. */
bool jit_is_jump(const struct jit_ir *ir, u32 i);

/* One of those that is always taken. */
static inline bool jit_is_goto(const struct jit_ir *ir, u32 i)
{
	return ir->op[i] == BPF_OP_JA || ir->op[i] == BPF_OP_JA32;
}

/* May an address have this displacement? */
static inline bool jit_disp_ok(const struct jit_ir *ir, s64 disp)
{
	s64 most = ir->blind ? JIT_DISP_BLIND : JIT_DISP_MAX;

	return disp > -most && disp < most;
}

/* Of any size, at an address that addr[i] may be: no atomics, no packet loads. */
static inline bool jit_is_load(u8 op)
{
	return (op >= BPF_OP_LDX_B && op <= BPF_OP_LDX_DW) ||
	       (op >= BPF_OP_LDSX_B && op <= BPF_OP_LDSX_W);
}

static inline bool jit_is_store(u8 op)
{
	return (op >= BPF_OP_ST_B && op <= BPF_OP_ST_DW) ||
	       (op >= BPF_OP_STX_B && op <= BPF_OP_STX_DW) ||
	       (op >= JIT_OP_RMW_ADD && op <= JIT_OP_RMW_XOR);
}

/* Where a jump, or a call of a subprogram, goes. Only for those. */
static inline u32 jit_target(const struct jit_ir *ir, u32 i)
{
	const struct bpf_insn *insn = &ir->insns[i];
	bool in_imm = ir->op[i] == BPF_OP_JA32 || ir->op[i] == BPF_OP_CALL;

	return i + 1 + (in_imm ? insn->imm : insn->off);
}

#endif
