/*
 * x86_64_alu.c - moves, arithmetic, shifts, conversions between registers
 *
 * The shortest form that a constant allows. What an operation leaves in the flags is remembered, so
 * that the comparison with 0 behind it can be left out.
 */
#ifdef __x86_64__

#include "jit/x86_64/x86_64_alu.h"
#include "jit/x86_64/x86_64_asm.h"

void x86_mov(struct jit_code *c, const struct bpf_insn *insn)
{
	u8 dst = x86_reg[insn->dst_reg];
	int w = x86_width(insn);

	if (!x86_by_reg(insn))
		x86_const(c, dst, x86_imm(insn));
	else if (insn->src_reg == BPF_REG_FP && c->fp_off)
		x_mem(c, w, 0x8d, dst, RBP, -c->fp_off);
	else if (w)
		x_move(c, dst, x86_reg[insn->src_reg]);
	else
		x_mov(c, 0, dst, x86_reg[insn->src_reg]);
}

/* The flags are now those of a result in `reg`: a comparison of it with 0 may be left out. */
static void set_flags(struct jit_code *c, u8 reg, int w, bool logic)
{
	c->flags_len = c->len;
	c->flags_fix = c->fix_cnt;
	c->flags_reg = reg;
	c->flags_w = w;
	c->flags_logic = logic;
}

bool x86_have_flags(const struct jit_code *c, u8 reg, int w, u8 cc)
{
	if (c->flags_len != c->len || c->flags_fix != c->fix_cnt || c->flags_reg != reg)
		return false;
	/*
	 * Equality looks at ZF alone; the rest needs CF and OF to be 0, and the sign of that width.
	 */
	if (cc == CC_E || cc == CC_NE)
		return c->flags_w <= w;
	return c->flags_logic && c->flags_w == w;
}

/* add, or, and, sub, xor: `ext` is the number in the machine's arithmetic group. */
void x86_group(struct jit_code *c, const struct bpf_insn *insn, u8 ext)
{
	u8 dst = x86_reg[insn->dst_reg];
	int w = x86_width(insn);
	s32 imm = insn->imm;

	if (x86_by_reg(insn)) {
		if (insn->src_reg == BPF_REG_FP && ext == 0 && w) {
			x_sib(c, X_W, 0x8d, dst, RBP, dst, 0, -c->fp_off);
			return;
		}
		x_rr(c, w, ext << 3 | 1, x86_reg_in(c, insn->src_reg, R11), dst);
		set_flags(c, dst, w, ext != 0 && ext != 5);
		return;
	}
	if (ext == 4) { /* and */
		if (imm == 0xff || imm == 0xffff) {
			x_rr(c, X_0F | (imm == 0xff ? X_BRM : 0), imm == 0xff ? 0xb6 : 0xb7, dst,
			     dst);
			return;
		}
		if (imm == -1) {
			x86_zero_extend(c, w, dst);
			return;
		}
		if (imm >= 0) /* the upper half becomes 0 */
			w = 0;
	} else if (!imm) {
		x86_zero_extend(c, w, dst);
		return;
	}
	if (x86_is_blinded(c, (s64)x86_imm(insn))) {
		x86_const(c, R11, x86_imm(insn));
		x_rr(c, w, ext << 3 | 1, R11, dst);
		set_flags(c, dst, w, ext != 0 && ext != 5);
		return;
	}
	if (imm == 128 && (ext == 0 || ext == 5)) { /* -128 fits into a byte */
		ext ^= 5;
		imm = -128;
	}
	x_ri(c, w, ext, dst, imm);
	set_flags(c, dst, w, ext != 0 && ext != 5);
}

static void shift_left(struct jit_code *c, int w, u8 reg, int n)
{
	if (!n)
		return;
	x_rr(c, w, 0xc1, 4, reg);
	x_put1(c, n);
}

/*
 * By a constant in two cycles at most, where the multiplier takes three. False: not such a
 * constant.
 */
static bool mul_by_shifts(struct jit_code *c, int w, u8 dst, u32 v)
{
	int zeros = __builtin_ctz(v);
	u32 odd = v >> zeros;

	if (odd == 1) {
		shift_left(c, w, dst, zeros);
	} else if (odd == 3 || odd == 5 || odd == 9) {
		x_sib(c, w, 0x8d, dst, dst, dst, __builtin_ctz(odd - 1), 0);
		shift_left(c, w, dst, zeros);
	} else if (v >> 31 || zeros) {
		return false;
	} else if (!((v - 1) & (v - 2))) { /* 2^n + 1; v - 1 has one bit */
		x_mov(c, w, R11, dst);
		shift_left(c, w, R11, __builtin_ctz(v - 1));
		x_rr(c, w, 0x01, R11, dst);
	} else if (!(v & (v + 1))) { /* 2^n - 1 */
		x_mov(c, w, R11, dst);
		shift_left(c, w, dst, __builtin_ctz(v + 1));
		x_rr(c, w, 0x29, R11, dst);
	} else {
		return false;
	}
	return true;
}

void x86_mul(struct jit_code *c, const struct bpf_insn *insn)
{
	u8 dst = x86_reg[insn->dst_reg];
	int w = x86_width(insn);
	s32 imm = insn->imm;

	if (x86_by_reg(insn)) {
		x_rr(c, w | X_0F, 0xaf, dst, x86_reg_in(c, insn->src_reg, R11));
	} else if (!imm) {
		x_const(c, dst, 0);
	} else if (imm == 1) {
		x86_zero_extend(c, w, dst);
	} else if (imm > 0 && mul_by_shifts(c, w, dst, imm)) {
		return;
	} else if (x86_is_blinded(c, (s64)x86_imm(insn))) {
		x86_const(c, R11, x86_imm(insn));
		x_rr(c, w | X_0F, 0xaf, dst, R11);
	} else if (is_imm8(imm)) {
		x_rr(c, w, 0x6b, dst, dst);
		x_put1(c, imm);
	} else {
		x_rr(c, w, 0x69, dst, dst);
		x_put4(c, imm);
	}
}

/* ext: 4 shl, 5 shr, 7 sar; the machine masks the count as BPF does. */
void x86_shift(struct jit_code *c, const struct bpf_insn *insn, u8 ext)
{
	u8 dst = x86_reg[insn->dst_reg], src, tmp = dst;
	int w = x86_width(insn);

	if (!x86_by_reg(insn)) {
		u8 n = insn->imm & (w ? 63 : 31);

		if (!n) {
			x86_zero_extend(c, w, dst);
		} else if (n == 1) {
			x_rr(c, w, 0xd1, ext, dst);
		} else {
			x_rr(c, w, 0xc1, ext, dst);
			x_put1(c, n);
		}
		return;
	}
	src = x86_reg_in(c, insn->src_reg, R11);
	if (c->bmi2) { /* shlx, shrx, sarx */
		x_vex38(c, w, ext == 4 ? 1 : ext == 5 ? 3 : 2, 0xf7, dst, src, dst);
		return;
	}
	if (src == RCX) {
		x_rr(c, w, 0xd3, ext, dst);
		return;
	}
	/* The count goes to cl; rcx is R4 and comes back. When it is the operand, shift a copy. */
	x_mov(c, X_W, R10, RCX);
	if (dst == RCX)
		tmp = R10;
	x_mov(c, 0, RCX, src == RCX ? R10 : src);
	x_rr(c, w, 0xd3, ext, tmp);
	x_mov(c, X_W, RCX, R10);
}

void x86_movsx(struct jit_code *c, const struct bpf_insn *insn)
{
	u8 dst = x86_reg[insn->dst_reg], src = x86_reg_in(c, insn->src_reg, R11);
	int w = x86_width(insn);

	if (insn->off == 8)
		x_rr(c, w | X_0F | X_BRM, 0xbe, dst, src);
	else if (insn->off == 16)
		x_rr(c, w | X_0F, 0xbf, dst, src);
	else
		x_rr(c, X_W, 0x63, dst, src);
}

void x86_bswap(struct jit_code *c, u8 reg, int bits)
{
	if (bits == 16) {
		bool extended = c->half_len == c->len && c->half_reg == reg;

		x_rr(c, X_66, 0xc1, 1, reg); /* ror */
		x_put1(c, 8);
		if (!extended)
			x_rr(c, X_0F, 0xb7, reg, reg);
	} else {
		x_head(c, X_0F | (bits == 64 ? X_W : 0), 0xc8 | (reg & 7), 0, 0, reg);
	}
}

void x86_rotate(struct jit_code *c, const struct bpf_insn *insn)
{
	u8 dst = x86_reg[insn->dst_reg], src = x86_reg[insn->src_reg];
	int w = x86_width(insn);

	if (dst != src && c->bmi2) {
		x_rorx(c, w, dst, src, (w ? 64 : 32) - insn->imm);
		return;
	}
	x_move(c, dst, src);
	x_rr(c, w, 0xc1, 0, dst);
	x_put1(c, insn->imm);
}

#endif
