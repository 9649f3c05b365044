/*
 * arm64_asm.h - words of A64 instructions, and the marks for what is not known yet
 *
 * The code is an array of words. A jump's word stands in it without its distance, and `fix` says
 * what is missing: sizes never change, so that a position is final when it is written.
 */
#ifndef UBPFFS_JIT_ARM64_ARM64_ASM_H
#define UBPFFS_JIT_ARM64_ARM64_ASM_H

#include "jit/ir/ir.h"

enum { X0, X1, X2, X3, X4, X7 = 7, X9 = 9, X10, X11, X12, X13, X14, X16 = 16, X17 };
enum { X19 = 19, X20, X21, X22, X23, X29 = 29, X30, SP = 31, ZR = 31 };

/* Condition codes. The lowest bit negates. */
enum { CC_EQ, CC_NE, CC_HS, CC_LO, CC_HI = 8, CC_LS, CC_GE, CC_LT, CC_GT, CC_LE };

/* The base of an address on the stack: sp, and R10 is fp_off bytes above it. */
#define ADDR_TMP  X9
#define CONST_TMP X10
#define VALUE_TMP X11

enum jit_fix_kind {
	FIX_26, /* b, bl to a label */
	FIX_19, /* b.cond, cbz, cbnz */
	FIX_ADDR, /* adrp and add of a label's address */
	FIX_CALL, /* bl to a function of the engine */
};

struct jit_fix {
	u32 pos; /* the word */
	u8 kind;
	u64 target; /* label, or address */
};

struct jit_code {
	const struct jit_ir *ir;
	u32 *buf;
	u32 len, cap; /* words */
	struct jit_fix *fix;
	u32 fix_cnt, fix_cap;
	/* Labels: one an instruction, the end, then the entry of each subprogram. */
	u32 *label;
	u32 tail_call_offset;
	bool err; /* out of memory: checked once at the end */
	bool far; /* functions of the engine may be anywhere */
	bool wide; /* conditional jumps may not reach */
	bool lse; /* atomics of one instruction */

	/* While emitting: the function at work. */
	const struct jit_func *fn;
	u8 saved[6]; /* callee-saved registers, in the order of their places */
	u8 saved_cnt;
	bool frame; /* it has one */
	u32 fp_off; /* R10 = sp + fp_off */
};

/* Where BPF's R0 to R9 live, and behind R10, which has none, the registers for promote.c. */
extern const u8 arm64_reg[JIT_MAX_REG];

/* Spare registers: three of a function's own, which calls destroy, and one that they keep. */
#define SPARE_X12 (JIT_SPARE_REG + 0)
#define SPARE_X13 (JIT_SPARE_REG + 1)
#define SPARE_X14 (JIT_SPARE_REG + 2)
#define SPARE_X23 (JIT_SPARE_REG + 3)

#define A_SF (1u << 31) /* 64-bit operands */

static inline void a_put(struct jit_code *c, u32 word)
{
	c->buf[c->len++] = word;
}

/* op rd, rn, rm; of the forms with a shift also rm << shift */
static inline void a_rrr(struct jit_code *c, u32 op, u8 rd, u8 rn, u8 rm)
{
	a_put(c, op | (u32)rm << 16 | (u32)rn << 5 | rd);
}

static inline void a_rrr_lsl(struct jit_code *c, u32 op, u8 rd, u8 rn, u8 rm, u8 shift)
{
	a_rrr(c, op | (u32)shift << 10, rd, rn, rm);
}

/* op rd, rn */
static inline void a_rr(struct jit_code *c, u32 op, u8 rd, u8 rn)
{
	a_put(c, op | (u32)rn << 5 | rd);
}

enum {
	A_ADD = 0x0b000000,
	A_ADDS = 0x2b000000,
	A_SUB = 0x4b000000,
	A_SUBS = 0x6b000000,
	A_ADD_X = 0x0b206000, /* rm as it is, rn or rd may be sp */
	A_AND = 0x0a000000,
	A_ORR = 0x2a000000,
	A_ORN = 0x2a200000,
	A_EOR = 0x4a000000,
	A_ANDS = 0x6a000000,
	A_ADD_I = 0x11000000,
	A_SUB_I = 0x51000000,
	A_ADDS_I = 0x31000000,
	A_SUBS_I = 0x71000000,
	A_AND_I = 0x12000000,
	A_ORR_I = 0x32000000,
	A_EOR_I = 0x52000000,
	A_ANDS_I = 0x72000000,
	A_MOVN = 0x12800000,
	A_MOVZ = 0x52800000,
	A_MOVK = 0x72800000,
	A_SBFM = 0x13000000,
	A_UBFM = 0x53000000,
	A_EXTR = 0x13800000,
	A_UDIV = 0x1ac00800,
	A_SDIV = 0x1ac00c00,
	A_LSLV = 0x1ac02000,
	A_LSRV = 0x1ac02400,
	A_ASRV = 0x1ac02800,
	A_MADD = 0x1b000000,
	A_MSUB = 0x1b008000,
	A_REV16 = 0x5ac00400,
	A_REV32 = 0x5ac00800,
	A_REV64 = 0x5ac00c00,
	A_B = 0x14000000,
	A_BL = 0x94000000u,
	A_BCOND = 0x54000000,
	A_CBZ = 0x34000000,
	A_CBNZ = 0x35000000,
	A_BR = 0xd61f0000u,
	A_BLR = 0xd63f0000u,
	A_RET = 0xd65f03c0u,
	A_ADRP = 0x90000000u,
	A_MRS_TPIDR = 0xd53bd040u,
	A_DMB_ISH = 0xd5033bbfu,
	A_DSB_SY = 0xd5033f9fu,
	A_ISB = 0xd5033fdfu,
};

/* Loads and stores: what the two bits above the offset say. */
enum { MEM_STORE, MEM_LOAD, MEM_LOAD_SIGNED };

static inline u32 arm64_width(const struct bpf_insn *insn)
{
	u8 class = BPF_CLASS(insn->code);

	return class == BPF_ALU64 || class == BPF_JMP ? A_SF : 0;
}

static inline bool arm64_by_reg(const struct bpf_insn *insn)
{
	return BPF_SRC(insn->code) == BPF_X;
}

/* 0 byte, 1 half word, 2 word, 3 double word */
static inline u8 arm64_size(u8 code)
{
	static const u8 log[] = {2, 1, 0, 3};

	return log[BPF_SIZE(code) >> 3];
}

static inline void a_mov(struct jit_code *c, u32 sf, u8 dst, u8 src)
{
	a_rrr(c, sf | A_ORR, dst, ZR, src);
}

/* The fewest words that make a constant; with 32-bit operands the upper half is 0. */
void a_const(struct jit_code *c, u8 dst, u64 v);

/* dst = base + v; base may be sp. tmp is used for large numbers. */
void a_add_const(struct jit_code *c, u32 sf, u8 dst, u8 base, s64 v, u8 tmp);

/* reg and [base + disp]; base may be sp. CONST_TMP is used for what fits into no instruction. */
void a_mem(struct jit_code *c, u8 size, int what, u8 reg, u8 base, s64 disp);

/* False: v is not what a logical instruction can hold. */
bool a_logical_imm(u32 sf, u64 v, u32 *field);

/* The word at hand depends on a label or an address. */
void a_fix(struct jit_code *c, enum jit_fix_kind kind, u32 word, u64 target);

/* A conditional jump inside of a sequence, or (cc < 0) any; a_here() says where it goes. */
static inline u32 a_jump(struct jit_code *c, u32 word)
{
	a_put(c, word);
	return c->len - 1;
}

static inline void a_here(struct jit_code *c, u32 from)
{
	u32 distance = c->len - from;

	c->buf[from] |= (c->buf[from] >> 26 & 31) == 5 ? distance : distance << 5;
}

#endif
