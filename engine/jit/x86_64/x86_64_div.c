/*
 * x86_64_div.c - division and remainder
 *
 * RFC 9669: a division by zero gives 0, a remainder by zero the dividend; the smallest number
 * divided by -1 gives itself, with remainder 0. The machine traps in those cases, so they are taken
 * aside first. By constants an unsigned division is a multiplication by the reciprocal.
 *
 * The machine divides rdx:rax, which are R3 and R0: what is there is kept in r9 and r10 while it is
 * live.
 */
#ifdef __x86_64__

#include "jit/x86_64/x86_64_asm.h"
#include "jit/x86_64/x86_64_div.h"

typedef unsigned __int128 u128;

struct div {
	u8 dst; /* machine registers */
	int w; /* X_W for 64 bits */
	bool mod, sign;
	bool save_rax, save_rdx;
	bool both; /* and the remainder to rem */
	u8 rem;
};

static bool live_after(const struct jit_code *c, u32 i, u8 bpf_reg)
{
	return c->ir->live_out[i] >> bpf_reg & 1;
}

static void set_zero(struct jit_code *c, u8 reg)
{
	x_rr(c, 0, 0x31, reg, reg);
}

/* What a remainder by zero or a division by one leaves: the dividend, in 32 bits zero-extended. */
static void keep(struct jit_code *c, const struct div *d)
{
	if (!d->w)
		x_mov(c, 0, d->dst, d->dst);
}

static void by_machine(struct jit_code *c, const struct div *d, u8 divisor)
{
	u8 result = d->mod ? RDX : RAX;

	if (d->save_rax)
		x_mov(c, X_W, R10, RAX);
	if (d->save_rdx)
		x_mov(c, X_W, R9, RDX);
	if (d->dst != RAX)
		x_mov(c, d->w, RAX, d->dst);
	if (d->sign)
		x_head(c, d->w, 0x99, 0, 0, 0); /* cdq, cqo */
	else
		set_zero(c, RDX);
	x_rr(c, d->w, 0xf7, d->sign ? 7 : 6, divisor);
	if (d->both)
		x_mov(c, X_W, R11, RDX);
	x_move(c, d->dst, result);
	if (d->save_rax)
		x_mov(c, X_W, RAX, R10);
	if (d->save_rdx)
		x_mov(c, X_W, RDX, R9);
	if (d->both)
		x_mov(c, X_W, d->rem, R11);
}

/* By a register. The divisor is in `src`, which may be dst. */
static void by_reg(struct jit_code *c, const struct div *d, u8 src)
{
	u32 special, done = 0, zero;

	if (src == RAX || src == RDX) {
		x_mov(c, d->w, R11, src);
		src = R11;
	}
	if (d->sign) {
		/* 0 and -1: src + 1 is 1 or 0. */
		x_mem(c, d->w, 0x8d, R10, src, 1);
		x_ri(c, d->w, 7, R10, 1);
		special = x_jump(c, CC_BE);
	} else {
		x_rr(c, d->w, 0x85, src, src);
		special = x_jump(c, CC_E);
	}
	by_machine(c, d, src);
	done = x_jump(c, -1);
	x_here(c, special);
	if (d->sign) {
		x_rr(c, d->w, 0x85, src, src);
		zero = x_jump(c, CC_E);
		/* -1 */
		if (d->mod)
			set_zero(c, d->dst);
		else
			x_rr(c, d->w, 0xf7, 3, d->dst);
		special = x_jump(c, -1);
		x_here(c, zero);
		if (d->mod)
			keep(c, d);
		else
			set_zero(c, d->dst);
		x_here(c, special);
	} else if (d->mod) {
		keep(c, d);
	} else {
		if (d->both && !d->w) /* the dividend stays, in 32 bits zero-extended */
			x_mov(c, 0, d->rem, d->rem);
		set_zero(c, d->dst);
	}
	x_here(c, done);
}

/* reg <- the high 64 bits of reg * m. Uses rax and rdx unless there is mulx. */
static void mul_high(struct jit_code *c, const struct div *d, u8 reg, u64 m)
{
	/* reg is r11 */
	if (c->bmi2) {
		if (d->save_rdx || d->dst == RDX)
			x_mov(c, X_W, R9, RDX);
		x_const(c, RDX, m);
		x_vex38(c, X_W, 3, 0xf6, reg, R10, reg);
		if (d->save_rdx || d->dst == RDX)
			x_mov(c, X_W, RDX, R9);
		return;
	}
	if (d->save_rax || d->dst == RAX)
		x_mov(c, X_W, R10, RAX);
	if (d->save_rdx || d->dst == RDX)
		x_mov(c, X_W, R9, RDX);
	x_const(c, RAX, m);
	x_rr(c, X_W, 0xf7, 4, reg);
	x_mov(c, X_W, reg, RDX);
	if (d->save_rax || d->dst == RAX)
		x_mov(c, X_W, RAX, R10);
	if (d->save_rdx || d->dst == RDX)
		x_mov(c, X_W, RDX, R9);
}

static void shift_right(struct jit_code *c, int w, u8 reg, u8 n)
{
	if (!n)
		return;
	x_rr(c, w, 0xc1, 5, reg);
	x_put1(c, n);
}

/*
 * The smallest s for which m = 2^(bits+s) / v + 1 is exact for every dividend of `bits` bits and
 * itself has at most `bits` bits (m is exact when it is too large by no more than 2^s / v). -1:
 * there is none.
 */
static int find_magic(u64 v, int bits, u64 *m)
{
	for (int s = 0; s < 32; s++) {
		u128 p = (u128)1 << (bits + s), q = p / v + 1;

		if (q >> bits)
			return -1;
		if (q * v - p <= (u128)1 << s) {
			*m = q;
			return s;
		}
	}
	return -1;
}

/* r11 <- dst / v, for a v that is no power of two. */
static void quotient64(struct jit_code *c, const struct div *d, u64 v)
{
	int log = 64 - __builtin_clzll(v);
	u64 m;
	int s;

	if (v >> 63) { /* the quotient is 0 or 1 */
		x_const(c, R10, v);
		set_zero(c, R11);
		x_rr(c, X_W, 0x39, R10, d->dst);
		x_rr(c, X_0F | X_BRM, 0x93, 0, R11); /* setae */
		return;
	}
	x_mov(c, X_W, R11, d->dst);
	s = find_magic(v, 64, &m);
	if (s >= 0) {
		mul_high(c, d, R11, m);
		shift_right(c, X_W, R11, s);
		return;
	}
	/* 65 bits: m = 2^64 + low. q = (t + (n - t) / 2) >> (log - 1) with t = n * low >> 64. */
	m = (u64)((((u128)1 << 64) * (((u128)1 << log) - v)) / v + 1);
	mul_high(c, d, R11, m);
	x_mov(c, X_W, R10, d->dst);
	x_rr(c, X_W, 0x29, R11, R10);
	shift_right(c, X_W, R10, 1);
	x_rr(c, X_W, 0x01, R10, R11);
	shift_right(c, X_W, R11, log - 1);
}

static void quotient32(struct jit_code *c, const struct div *d, u32 v)
{
	u64 m;
	int s = find_magic(v, 32, &m);

	x_mov(c, 0, R11, d->dst);
	if (s < 0) { /* 33 bits; with 64 it is exact for every 32-bit dividend */
		mul_high(c, d, R11, UINT64_MAX / v + 1);
		return;
	}
	if (is_simm32(m)) {
		x_rr(c, X_W, 0x69, R11, R11);
		x_put4(c, m);
	} else {
		x_const(c, R10, m);
		x_rr(c, X_W | X_0F, 0xaf, R11, R10);
	}
	shift_right(c, X_W, R11, 32 + s);
}

static void by_const(struct jit_code *c, const struct div *d, u64 v)
{
	if (!v) {
		if (d->mod)
			keep(c, d);
		else
			set_zero(c, d->dst);
		return;
	}
	if (!(v & (v - 1))) {
		int log = __builtin_ctzll(v);

		if (d->mod && v == 1) {
			set_zero(c, d->dst);
		} else if (d->mod) {
			/* A 64-bit power of two that is negative as imm does not occur but 2^63. */
			if (log <= 31) {
				x_ri(c, 0, 4, d->dst, v - 1);
			} else {
				x_const(c, R11, v - 1);
				x_rr(c, X_W, 0x21, R11, d->dst);
			}
		} else if (log) {
			shift_right(c, d->w, d->dst, log);
		} else {
			keep(c, d);
		}
		return;
	}
	if (d->w)
		quotient64(c, d, v);
	else
		quotient32(c, d, v);
	if (!d->mod) {
		x_mov(c, d->w, d->dst, R11);
		return;
	}
	if (is_simm32(v) || !d->w) {
		x_rr(c, d->w, is_imm8((s32)v) ? 0x6b : 0x69, R11, R11);
		if (is_imm8((s32)v))
			x_put1(c, v);
		else
			x_put4(c, v);
	} else {
		x_const(c, R10, v);
		x_rr(c, X_W | X_0F, 0xaf, R11, R10);
	}
	x_rr(c, d->w, 0x29, R11, d->dst);
}

void x86_div(struct jit_code *c, u32 i)
{
	const struct bpf_insn *insn = &c->ir->insns[i];
	struct div d = {
		.dst = x86_reg[insn->dst_reg],
		.w = BPF_CLASS(insn->code) == BPF_ALU64 ? X_W : 0,
		.mod = BPF_OP(insn->code) == BPF_MOD,
		.sign = insn->off == 1,
	};

	d.save_rax = d.dst != RAX && live_after(c, i, BPF_REG_0);
	d.save_rdx = d.dst != RDX && live_after(c, i, BPF_REG_3);
	if (BPF_SRC(insn->code) == BPF_X) {
		u8 src = x86_reg[insn->src_reg];

		if (insn->src_reg == BPF_REG_FP) {
			x_mem(c, X_W, 0x8d, R11, RBP, -c->fp_off);
			src = R11;
		}
		by_reg(c, &d, src);
		return;
	}
	if (x86_is_blinded(c, (s64)x86_imm(insn))) {
		x86_const(c, R11, x86_imm(insn));
		by_reg(c, &d, R11);
		return;
	}
	if (!d.sign) {
		by_const(c, &d, d.w ? (u64)(s64)insn->imm : (u32)insn->imm);
		return;
	}
	if (insn->imm == -1) {
		if (d.mod)
			set_zero(c, d.dst);
		else
			x_rr(c, d.w, 0xf7, 3, d.dst);
	} else if (!insn->imm || insn->imm == 1) {
		if (d.mod == !!insn->imm) /* x % 1, x / 0 */
			set_zero(c, d.dst);
		else
			keep(c, &d);
	} else {
		if (d.w && insn->imm < 0) {
			x_rr(c, X_W, 0xc7, 0, R11);
			x_put4(c, insn->imm);
		} else {
			x_const(c, R11, (u32)insn->imm);
		}
		by_machine(c, &d, R11);
	}
}

void x86_divmod(struct jit_code *c, u32 i)
{
	const struct bpf_insn *insn = &c->ir->insns[i];
	struct div d = {
		.dst = x86_reg[insn->dst_reg],
		.w = BPF_CLASS(insn->code) == BPF_ALU64 ? X_W : 0,
		.both = true,
		.rem = x86_reg[insn->imm],
	};

	d.save_rax = d.dst != RAX && d.rem != RAX && live_after(c, i, BPF_REG_0);
	d.save_rdx = d.dst != RDX && d.rem != RDX && live_after(c, i, BPF_REG_3);
	by_reg(c, &d, x86_reg[insn->src_reg]);
}

#endif
