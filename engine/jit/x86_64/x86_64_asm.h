/*
 * x86_64_asm.h - bytes of x86-64 instructions, and the marks for what is not known yet
 *
 * The code is a flat buffer. What depends on addresses (jumps, calls, alignment) is not in it but
 * in `fix`, in the order of position; x86_64_link.c gives each its size and place.
 */
#ifndef UBPFFS_JIT_X86_64_X86_64_ASM_H
#define UBPFFS_JIT_X86_64_X86_64_ASM_H

#include "jit/ir/ir.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

/* Condition codes. The lowest bit negates. */
enum {
	CC_O,
	CC_NO,
	CC_B,
	CC_AE,
	CC_E,
	CC_NE,
	CC_BE,
	CC_A,
	CC_S,
	CC_NS,
	CC_P,
	CC_NP,
	CC_L,
	CC_GE,
	CC_LE,
	CC_G
};

enum jit_fix_kind {
	FIX_JMP,
	FIX_JCC,
	FIX_CALL, /* of a subprogram */
	FIX_CALL_ABS, /* of a function of the engine */
	FIX_LEA, /* the address of a subprogram */
	FIX_ALIGN, /* target: the label behind the loop that begins here, 0: none */
	/* what follows, up to the end of the next jump, lies within JIT_LINE bytes of code */
	FIX_PAIR,
};

/*
 * What the machine fetches at once; a jump of a loop that crosses it makes each turn wait. A loop
 * that fits into a line of the decoded instructions' cache can do a turn a cycle.
 */
#define JIT_LINE      32
#define JIT_LOOP_LINE 64

struct jit_fix {
	u32 pos; /* in buf: stands before the byte that is there */
	u8 kind;
	u8 arg; /* condition; register of LEA; alignment */
	u8 size; /* bytes that it will take */
	u64 target; /* label, or address */
};

struct jit_code {
	const struct jit_ir *ir;
	u8 *buf;
	u32 len, cap;
	struct jit_fix *fix;
	u32 fix_cnt, fix_cap;
	/* Labels: one an instruction, the end, then the entry of each subprogram. */
	u32 *label_pos; /* offset in buf, and */
	u32 *label_fix; /* the number of fixes before it */
	u32 *fix_sum; /* link: bytes that the fixes before number i take */
	u32 size; /* link: of all */
	u32 tail_call_offset;
	bool err; /* out of memory: checked once at the end */

	/* While emitting: the function at work. */
	const struct jit_func *fn;
	u8 saved[8]; /* callee-saved registers in the order of their pushes */
	u8 saved_cnt;
	bool frame; /* it has one */
	s32 fp_off; /* R10 = rbp - fp_off */
	s32 sub; /* what is subtracted from rsp after the pushes */
	s32 scratch; /* rbp + scratch: 8 bytes of our own */
	u32 flags_len, flags_fix; /* where the flags describe flags_reg; 0: nowhere */
	u8 flags_reg;
	int flags_w;
	bool flags_logic; /* CF and OF are 0 */
	u32 half_len; /* where half_reg was just loaded from 16 bits */
	u8 half_reg;
	bool count_in_r9; /* tail calls */
	bool bmi2, far, pairs, all_frames;
	bool blind; /* the program's constants do not stand in the code */
	u64 random; /* what they are mixed with, see x86_64_blind.c */
};

/*
 * Where BPF's R0 to R9 live; R10 is rbp less fp_off. r9 to r11 are free for sequences, and hold
 * slots of the stack in functions without such sequences; r12 does in any.
 */
#define SPARE_R9  (JIT_SPARE_REG + 0)
#define SPARE_R10 (JIT_SPARE_REG + 1)
#define SPARE_R11 (JIT_SPARE_REG + 2)
#define SPARE_R12 (JIT_SPARE_REG + 3)

extern const u8 x86_reg[JIT_MAX_REG];

/* What an operation's bytes need. */
#define X_W    1 /* 64-bit operands */
#define X_66   2
#define X_LOCK 4
#define X_0F   8
#define X_0F38 16
#define X_BREG 32 /* `reg` is a byte register */
#define X_BRM  64 /* `rm` is a byte register */
#define X_FS   128 /* memory is relative to fs */

static inline void x_put1(struct jit_code *c, u8 b)
{
	c->buf[c->len++] = b;
}

static inline void x_put2(struct jit_code *c, u16 v)
{
	memcpy(c->buf + c->len, &v, 2);
	c->len += 2;
}

static inline void x_put4(struct jit_code *c, u32 v)
{
	memcpy(c->buf + c->len, &v, 4);
	c->len += 4;
}

static inline void x_put8(struct jit_code *c, u64 v)
{
	memcpy(c->buf + c->len, &v, 8);
	c->len += 8;
}

static inline bool is_imm8(s64 v)
{
	return v >= -128 && v <= 127;
}

static inline bool is_simm32(s64 v)
{
	return v == (s32)v;
}

/* Prefixes, REX and the opcode. index is 0 where there is none. */
static inline void x_head(struct jit_code *c, int f, u8 op, u8 reg, u8 index, u8 rm)
{
	u8 rex = 0x40 | (f & X_W ? 8 : 0) | (reg >> 3) << 2 | (index >> 3) << 1 | rm >> 3;

	if (f & X_FS)
		x_put1(c, 0x64);
	if (f & X_LOCK)
		x_put1(c, 0xf0);
	if (f & X_66)
		x_put1(c, 0x66);
	if (rex != 0x40 || (f & X_BREG && reg >= 4) || (f & X_BRM && rm >= 4))
		x_put1(c, rex);
	if (f & (X_0F | X_0F38))
		x_put1(c, 0x0f);
	if (f & X_0F38)
		x_put1(c, 0x38);
	x_put1(c, op);
}

static inline void x_disp(struct jit_code *c, u8 reg, u8 base, s32 disp, int sib)
{
	u8 mod = !disp && (base & 7) != RBP ? 0 : is_imm8(disp) ? 0x40 : 0x80;

	x_put1(c, mod | (reg & 7) << 3 | (sib >= 0 ? 4 : base & 7));
	if (sib >= 0)
		x_put1(c, sib);
	if (mod == 0x40)
		x_put1(c, disp);
	else if (mod == 0x80)
		x_put4(c, disp);
}

/* op reg, rm - both registers */
static inline void x_rr(struct jit_code *c, int f, u8 op, u8 reg, u8 rm)
{
	x_head(c, f, op, reg, 0, rm);
	x_put1(c, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* op reg, [base + disp] */
static inline void x_mem(struct jit_code *c, int f, u8 op, u8 reg, u8 base, s32 disp)
{
	x_head(c, f, op, reg, 0, base);
	x_disp(c, reg, base, disp, (base & 7) == RSP ? 0x24 : -1);
}

/* op reg, [base + (index << shift) + disp]; index is not rsp */
static inline void x_sib(struct jit_code *c, int f, u8 op, u8 reg, u8 base, u8 index, u8 shift,
			 s32 disp)
{
	x_head(c, f, op, reg, index, base);
	x_disp(c, reg, base, disp, shift << 6 | (index & 7) << 3 | (base & 7));
}

/* op reg, fs:[disp] */
static inline void x_fs(struct jit_code *c, int f, u8 op, u8 reg, s32 disp)
{
	x_head(c, f | X_FS, op, reg, 0, 0);
	x_put1(c, (reg & 7) << 3 | 4);
	x_put1(c, 0x25);
	x_put4(c, disp);
}

/* The arithmetic group: /0 add, /1 or, /4 and, /5 sub, /6 xor, /7 cmp, with an immediate. */
static inline void x_ri(struct jit_code *c, int f, u8 ext, u8 rm, s32 imm)
{
	if (is_imm8(imm)) {
		x_rr(c, f, 0x83, ext, rm);
		x_put1(c, imm);
	} else if (rm == RAX) {
		x_head(c, f, ext << 3 | 5, 0, 0, 0);
		x_put4(c, imm);
	} else {
		x_rr(c, f, 0x81, ext, rm);
		x_put4(c, imm);
	}
}

static inline void x_mov(struct jit_code *c, int f, u8 dst, u8 src)
{
	x_rr(c, f, 0x89, src, dst);
}

/* 64-bit move that knows when there is nothing to do. */
static inline void x_move(struct jit_code *c, u8 dst, u8 src)
{
	if (dst != src)
		x_mov(c, X_W, dst, src);
}

/* The shortest way to put a constant into a register. Changes the flags when v is 0. */
static inline void x_const(struct jit_code *c, u8 dst, u64 v)
{
	if (!v) {
		x_rr(c, 0, 0x31, dst, dst);
	} else if (v <= UINT32_MAX) {
		x_head(c, 0, 0xb8 | (dst & 7), 0, 0, dst);
		x_put4(c, v);
	} else if (is_simm32(v)) {
		x_rr(c, X_W, 0xc7, 0, dst);
		x_put4(c, v);
	} else {
		x_head(c, X_W, 0xb8 | (dst & 7), 0, 0, dst);
		x_put8(c, v);
	}
}

/* A short jump inside of a sequence, patched by x_here(). */
static inline u32 x_jump(struct jit_code *c, int cc)
{
	x_put1(c, cc < 0 ? 0xeb : 0x70 | cc);
	x_put1(c, 0);
	return c->len;
}

static inline void x_here(struct jit_code *c, u32 from)
{
	c->buf[from - 1] = c->len - from;
}

static inline void x_back(struct jit_code *c, int cc, u32 to)
{
	u32 from = x_jump(c, cc);

	c->buf[from - 1] = to - from;
}

/* VEX.LZ.pp.0F38 op: shlx, sarx, shrx (dst = rm op vvvv), mulx. pp: 1 66, 2 F3, 3 F2. */
static inline void x_vex38(struct jit_code *c, int f, u8 pp, u8 op, u8 reg, u8 vvvv, u8 rm)
{
	x_put1(c, 0xc4);
	x_put1(c, (reg & 8 ? 0 : 0x80) | 0x40 | (rm & 8 ? 0 : 0x20) | 2);
	x_put1(c, (f & X_W ? 0x80 : 0) | (~vvvv & 15) << 3 | pp);
	x_put1(c, op);
	x_put1(c, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* dst = src rotated right by n */
static inline void x_rorx(struct jit_code *c, int f, u8 dst, u8 src, u8 n)
{
	x_put1(c, 0xc4);
	x_put1(c, (dst & 8 ? 0 : 0x80) | 0x40 | (src & 8 ? 0 : 0x20) | 3);
	x_put1(c, (f & X_W ? 0x80 : 0) | 0x7b);
	x_put1(c, 0xf0);
	x_put1(c, 0xc0 | (dst & 7) << 3 | (src & 7));
	x_put1(c, n);
}

/* x86_64_blind.c: does this constant of the program need r11? And into a register. */
bool x86_is_blinded(const struct jit_code *c, s64 v);
void x86_const(struct jit_code *c, u8 dst, u64 v);

/* ---- BPF's operands */

/*
 * The machine register that holds a BPF register; R10 is computed into tmp when it is not rbp
 * itself.
 */
static inline u8 x86_reg_in(struct jit_code *c, u8 bpf_reg, u8 tmp)
{
	if (bpf_reg != BPF_REG_FP || !c->fp_off)
		return x86_reg[bpf_reg];
	x_mem(c, X_W, 0x8d, tmp, RBP, -c->fp_off);
	return tmp;
}

static inline int x86_width(const struct bpf_insn *insn)
{
	u8 class = BPF_CLASS(insn->code);

	return class == BPF_ALU64 || class == BPF_JMP ? X_W : 0;
}

/* The constant operand, as wide as the operation. */
static inline u64 x86_imm(const struct bpf_insn *insn)
{
	return x86_width(insn) ? (u64)(s64)insn->imm : (u32)insn->imm;
}

static inline bool x86_by_reg(const struct bpf_insn *insn)
{
	return BPF_SRC(insn->code) == BPF_X;
}

static inline void x86_zero_extend(struct jit_code *c, int w, u8 reg)
{
	if (!w)
		x_mov(c, 0, reg, reg);
}

/* What comes next depends on addresses. */
void x_fix(struct jit_code *c, enum jit_fix_kind kind, u8 arg, u64 target);

/*
 * A comparison and its jump follow. What the flags describe, they still do: no-operations leave
 * them alone.
 */
static inline void x_fix_pair(struct jit_code *c)
{
	bool have_flags = c->flags_len == c->len && c->flags_fix == c->fix_cnt;

	x_fix(c, FIX_PAIR, 0, 0);
	if (have_flags)
		c->flags_fix = c->fix_cnt;
}

#endif
