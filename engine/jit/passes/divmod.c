/*
 * divmod.c - quotient and remainder by one division
 *
 *	q = x                   before: the quotient's register holds the dividend
 *	q /= y                  becomes JIT_OP_DIVMOD: q and x change, x to the remainder
 *	...                     reads q, perhaps; nothing of x, and changes none of the three
 *	q *= y
 *	x -= q                  these two go
 *
 * Compilers make this of x / y and x % y. A division by zero gives 0 and the dividend, which is
 * what the five instructions compute, too. Only of registers: a remainder by a constant is a
 * multiplication anyway. After thread.c, before every other pass. Linear.
 */
#include "jit/passes/divmod.h"

#define NEAR 24 /* instructions from the division to its end, and back to the copy */

struct division {
	u32 at;
	u8 q, x, y;
	u8 class;
};

static bool is_alu_x(const struct jit_ir *ir, u32 i, u8 code, u8 dst, u8 src)
{
	const struct bpf_insn *insn = &ir->insns[i];

	return ir->op[i] < BPF_OP_MAX && insn->code == code && !insn->off && insn->dst_reg == dst &&
	       insn->src_reg == src;
}

/* Other code runs behind it, or none. */
static bool leaves(const struct jit_ir *ir, u32 i)
{
	return jit_is_jump(ir, i) || ir->op[i] == BPF_OP_CALL || ir->op[i] == BPF_OP_EXIT ||
	       ir->op[i] == BPF_OP_TAIL_CALL;
}

/* Which register the quotient's is a copy of, as wide as the division is. */
static bool find_dividend(const struct jit_ir *ir, struct division *d)
{
	u16 use, def, written = 0;

	for (u32 i = d->at, n = 0; n < NEAR && i && !(ir->flags[i] & JIT_TARGET); n++) {
		i--;
		if (leaves(ir, i))
			return false;
		jit_op_regs(ir, i, &use, &def);
		if (def >> d->q & 1) {
			d->x = ir->insns[i].src_reg;
			return is_alu_x(ir, i, d->class | BPF_MOV | BPF_X, d->q, d->x) &&
			       d->x != d->q && d->x != d->y && d->x != BPF_REG_FP &&
			       !(written >> d->x & 1);
		}
		written |= def;
	}
	return false;
}

/* The multiplication and the subtraction behind it. */
static bool find_end(const struct jit_ir *ir, const struct division *d, u32 *mul, u32 *sub)
{
	u16 use, def, kept = (u16)(1u << d->q | 1u << d->x | 1u << d->y);
	bool multiplied = false;

	for (u32 i = d->at + 1; i < ir->len && i - d->at <= NEAR; i++) {
		if (ir->flags[i] & JIT_TARGET || leaves(ir, i))
			return false;
		jit_op_regs(ir, i, &use, &def);
		if (!multiplied && is_alu_x(ir, i, d->class | BPF_MUL | BPF_X, d->q, d->y)) {
			multiplied = true;
			*mul = i;
			continue;
		}
		if (multiplied && is_alu_x(ir, i, d->class | BPF_SUB | BPF_X, d->x, d->q)) {
			*sub = i;
			return !(ir->live_out[i] >> d->q & 1);
		}
		if (use >> d->x & 1 || def & kept || (multiplied && use >> d->q & 1))
			return false;
	}
	return false;
}

int jit_fuse_divisions(struct jit_ir *ir)
{
	bool changed = false;

	for (u32 i = 0; i < ir->len; i++) {
		struct bpf_insn *insn = &ir->insns[i];
		struct division d = {.at = i, .q = insn->dst_reg, .y = insn->src_reg};
		u32 mul = i, sub = i;

		if ((ir->op[i] != BPF_OP_ALU32_DIV_X && ir->op[i] != BPF_OP_ALU64_DIV_X) ||
		    d.q == d.y || d.y == BPF_REG_FP)
			continue;
		d.class = BPF_CLASS(insn->code);
		if (!find_dividend(ir, &d) || !find_end(ir, &d, &mul, &sub))
			continue;
		ir->op[i] = JIT_OP_DIVMOD;
		insn->imm = d.x;
		ir->op[mul] = ir->op[sub] = JIT_OP_NOP;
		changed = true;
	}
	return changed ? jit_find_live(ir) : 0;
}
