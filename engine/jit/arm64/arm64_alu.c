/*
 * arm64_alu.c - moves, arithmetic, shifts, conversions between registers
 *
 * The machine's division by zero is 0, and by -1 wraps, as BPF wants it; a remainder comes from the
 * quotient, so that it is the dividend where that is 0. Shifts take the amount modulo the width.
 */
#ifdef __aarch64__

#include "jit/arm64/arm64_alu.h"

u8 arm64_value(struct jit_code *c, u8 bpf_reg, u8 tmp)
{
	if (bpf_reg != BPF_REG_FP)
		return arm64_reg[bpf_reg];
	a_add_const(c, A_SF, tmp, SP, c->fp_off, CONST_TMP);
	return tmp;
}

static void mov(struct jit_code *c, const struct bpf_insn *insn)
{
	u8 dst = arm64_reg[insn->dst_reg];
	u32 sf = arm64_width(insn);

	if (!arm64_by_reg(insn)) {
		a_const(c, dst, sf ? (u64)(s64)insn->imm : (u32)insn->imm);
	} else if (insn->src_reg == BPF_REG_FP) {
		a_add_const(c, A_SF, dst, SP, c->fp_off, CONST_TMP);
		if (!sf)
			a_mov(c, 0, dst, dst);
	} else if (!sf || dst != arm64_reg[insn->src_reg]) {
		a_mov(c, sf, dst, arm64_reg[insn->src_reg]);
	}
}

void arm64_op_reg(struct jit_code *c, u32 sf, u8 op, u8 rd, u8 rm)
{
	u32 word = op == BPF_ADD   ? A_ADD
		   : op == BPF_SUB ? A_SUB
		   : op == BPF_AND ? A_AND
		   : op == BPF_OR  ? A_ORR
				   : A_EOR;

	a_rrr(c, sf | word, rd, rd, rm);
}

void arm64_op_imm(struct jit_code *c, u32 sf, u8 op, u8 rd, s32 imm)
{
	u64 v = sf ? (u64)(s64)imm : (u32)imm;
	u32 field;

	if (op == BPF_ADD || op == BPF_SUB) {
		a_add_const(c, sf, rd, rd, op == BPF_ADD ? (s64)imm : -(s64)imm, CONST_TMP);
		return;
	}
	if (a_logical_imm(sf, v, &field)) {
		a_rr(c,
		     sf | field |
			     (op == BPF_AND  ? A_AND_I
			      : op == BPF_OR ? A_ORR_I
					     : A_EOR_I),
		     rd, rd);
		return;
	}
	a_const(c, CONST_TMP, v);
	arm64_op_reg(c, sf, op, rd, CONST_TMP);
}

/* By a constant: a bitfield move. */
static void shift_imm(struct jit_code *c, u32 sf, u8 op, u8 dst, u32 n)
{
	u32 top = sf ? 63 : 31, word = op == BPF_ARSH ? A_SBFM : A_UBFM;

	n &= top;
	if (sf)
		word |= A_SF | 1 << 22;
	if (op == BPF_LSH)
		word |= ((top + 1 - n) & top) << 16 | (top - n) << 10;
	else
		word |= n << 16 | top << 10;
	a_rr(c, word, dst, dst);
}

static void divide(struct jit_code *c, const struct bpf_insn *insn, u8 src)
{
	u32 sf = arm64_width(insn), op = insn->off ? A_SDIV : A_UDIV;
	u8 dst = arm64_reg[insn->dst_reg];

	if (BPF_OP(insn->code) == BPF_DIV) {
		a_rrr(c, sf | op, dst, dst, src);
		return;
	}
	a_rrr(c, sf | op, ADDR_TMP, dst, src);
	a_rrr(c, sf | A_MSUB | (u32)dst << 10, dst, ADDR_TMP, src);
}

void arm64_divmod(struct jit_code *c, const struct bpf_insn *insn)
{
	u8 dst = arm64_reg[insn->dst_reg], rest = arm64_reg[insn->imm];
	u8 src = arm64_value(c, insn->src_reg, VALUE_TMP);
	u32 sf = arm64_width(insn);

	a_rrr(c, sf | A_UDIV, dst, rest, src);
	a_rrr(c, sf | A_MSUB | (u32)rest << 10, rest, dst, src);
}

void arm64_rotate(struct jit_code *c, const struct bpf_insn *insn)
{
	u32 sf = arm64_width(insn), bits = sf ? 64 : 32;
	u8 src = arm64_reg[insn->src_reg];

	a_rrr(c, sf | (sf ? 1 << 22 : 0) | A_EXTR | (bits - (u32)insn->imm) % bits << 10,
	      arm64_reg[insn->dst_reg], src, src);
}

void arm64_alu(struct jit_code *c, const struct bpf_insn *insn)
{
	u8 dst = arm64_reg[insn->dst_reg], op = BPF_OP(insn->code), src;
	u32 sf = arm64_width(insn);

	if (op == BPF_MOV) {
		mov(c, insn);
		return;
	}
	if (op == BPF_NEG) {
		a_rrr(c, sf | A_SUB, dst, ZR, dst);
		return;
	}
	if (!arm64_by_reg(insn)) {
		switch (op) {
		case BPF_ADD:
		case BPF_SUB:
		case BPF_AND:
		case BPF_OR:
		case BPF_XOR:
			arm64_op_imm(c, sf, op, dst, insn->imm);
			return;
		case BPF_LSH:
		case BPF_RSH:
		case BPF_ARSH:
			shift_imm(c, sf, op, dst, (u32)insn->imm);
			return;
		}
		a_const(c, CONST_TMP, sf ? (u64)(s64)insn->imm : (u32)insn->imm);
		src = CONST_TMP;
	} else {
		src = arm64_value(c, insn->src_reg, VALUE_TMP);
	}
	switch (op) {
	case BPF_MUL:
		a_rrr(c, sf | A_MADD | ZR << 10, dst, dst, src);
		break;
	case BPF_DIV:
	case BPF_MOD:
		divide(c, insn, src);
		break;
	case BPF_LSH:
		a_rrr(c, sf | A_LSLV, dst, dst, src);
		break;
	case BPF_RSH:
		a_rrr(c, sf | A_LSRV, dst, dst, src);
		break;
	case BPF_ARSH:
		a_rrr(c, sf | A_ASRV, dst, dst, src);
		break;
	default:
		arm64_op_reg(c, sf, op, dst, src);
	}
}

void arm64_movsx(struct jit_code *c, const struct bpf_insn *insn)
{
	u32 sf = arm64_width(insn), word = sf | A_SBFM | ((u32)insn->off - 1) << 10;

	a_rr(c, word | (sf ? 1 << 22 : 0), arm64_reg[insn->dst_reg],
	     arm64_value(c, insn->src_reg, VALUE_TMP));
}

void arm64_end(struct jit_code *c, const struct bpf_insn *insn)
{
	u8 dst = arm64_reg[insn->dst_reg];
	bool swap = BPF_CLASS(insn->code) == BPF_ALU64 || BPF_SRC(insn->code) == BPF_TO_BE;

	if (insn->imm == 16) {
		if (swap)
			a_rr(c, A_REV16, dst, dst);
		a_rr(c, A_UBFM | 15 << 10, dst, dst);
	} else if (insn->imm == 32) {
		if (swap)
			a_rr(c, A_REV32, dst, dst);
		else
			a_mov(c, 0, dst, dst);
	} else if (swap) {
		a_rr(c, A_SF | A_REV64, dst, dst);
	}
}

static void compare_imm(struct jit_code *c, u32 sf, u8 op, u8 dst, s32 imm)
{
	s64 v = imm;
	u32 field;

	if (op == BPF_JSET) {
		u64 mask = sf ? (u64)v : (u32)imm;

		if (a_logical_imm(sf, mask, &field)) {
			a_rr(c, sf | A_ANDS_I | field, ZR, dst);
			return;
		}
		a_const(c, CONST_TMP, mask);
		a_rrr(c, sf | A_ANDS, ZR, dst, CONST_TMP);
	} else if (v >= 0 && v < 4096) {
		a_rr(c, sf | A_SUBS_I | (u32)v << 10, ZR, dst);
	} else if (v < 0 && v > -4096) {
		a_rr(c, sf | A_ADDS_I | (u32)-v << 10, ZR, dst);
	} else {
		a_const(c, CONST_TMP, sf ? (u64)v : (u32)imm);
		a_rrr(c, sf | A_SUBS, ZR, dst, CONST_TMP);
	}
}

void arm64_compare(struct jit_code *c, const struct bpf_insn *insn)
{
	u8 op = BPF_OP(insn->code), dst = arm64_value(c, insn->dst_reg, ADDR_TMP);
	u32 sf = arm64_width(insn);

	if (arm64_by_reg(insn))
		a_rrr(c, sf | (op == BPF_JSET ? A_ANDS : A_SUBS), ZR, dst,
		      arm64_value(c, insn->src_reg, VALUE_TMP));
	else
		compare_imm(c, sf, op, dst, insn->imm);
}

#endif
