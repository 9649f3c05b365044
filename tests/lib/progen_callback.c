/*
 * progen_callback.c - bpf_loop and bpf_for_each_map_elem, and what they call
 *
 * The context of every callback is the 64 bytes at R10 - 128 of the main program. In a callback R6
 * points at them, for an element R7 at its key and R8 at its value; R0 to R5 are scalars, and its
 * own stack is as in a subprogram. The order of a hash's elements is anybody's, so what is done to
 * them, and to the context meanwhile, does not depend on it.
 */
#include "tests/lib/progen_gen.h"

static void emit_func(struct gen *g, int reg, enum gen_callback_kind kind, u32 level)
{
	g->callbacks[g->callback_cnt++] = (struct gen_callback){g->p->cnt, kind, level};
	emit(g, BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, reg, BPF_PSEUDO_FUNC, 0, 0));
	emit(g, BPF_RAW_INSN(0, 0, 0, 0, 0));
}

static void flags(struct gen *g)
{
	emit(g, BPF_MOV64_IMM(BPF_REG_4, rnd(g, 20) ? 0 : 1));
}

/* R1 = how often: 0 to 7 where nested loops would take long. */
static void count(struct gen *g, u32 limit)
{
	if (rnd(g, 2)) {
		emit(g, BPF_MOV64_IMM(BPF_REG_1, (s32)rnd(g, limit)));
		return;
	}
	emit(g, BPF_MOV64_REG(BPF_REG_1, progen_scalar(g)));
	emit(g, BPF_ALU64_IMM(BPF_AND, BPF_REG_1, (s32)limit - 1));
}

static void call_loop(struct gen *g, enum gen_callback_kind kind, u32 level)
{
	count(g, kind == CB_OFFSET ? 32 : 8);
	emit_func(g, BPF_REG_2, kind, level);
	if (level)
		emit(g, BPF_MOV64_REG(BPF_REG_3, BPF_REG_6));
	else
		emit(g, BPF_MOV64_REG(BPF_REG_3, BPF_REG_10));
	if (!level)
		emit(g, BPF_ALU64_IMM(BPF_ADD, BPF_REG_3, -128));
	flags(g);
	emit(g, BPF_EMIT_CALL(BPF_FUNC_loop));
}

static void call_each(struct gen *g, enum gen_callback_kind kind)
{
	progen_map(g, BPF_REG_1, kind == CB_HASH);
	emit_func(g, BPF_REG_2, kind, 0);
	emit(g, BPF_MOV64_REG(BPF_REG_3, BPF_REG_10));
	emit(g, BPF_ALU64_IMM(BPF_ADD, BPF_REG_3, -128));
	flags(g);
	emit(g, BPF_EMIT_CALL(BPF_FUNC_for_each_map_elem));
}

/* What the callback leaves in the context becomes an offset into the array's value. */
static void call_offset(struct gen *g)
{
	emit(g, BPF_ST_MEM(BPF_DW, BPF_REG_10, -128, (s32)rnd(g, 24)));
	call_loop(g, CB_OFFSET, 0);
	emit(g, BPF_LDX_MEM(BPF_DW, BPF_REG_1, BPF_REG_10, -128));
	if (!rnd(g, 3))
		progen_bound(g, BPF_REG_1, 64);
	emit(g, BPF_MOV64_REG(BPF_REG_2, BPF_REG_8));
	emit(g, BPF_ALU64_REG(BPF_ADD, BPF_REG_2, BPF_REG_1));
	for (int reg = BPF_REG_3; reg <= BPF_REG_5; reg++)
		emit(g, BPF_MOV64_IMM(reg, progen_imm(g)));
	progen_use(g, BPF_REG_2, (int)rnd(g, 16), rnd(g, 4));
}

void progen_callback_call(struct gen *g)
{
	if (g->callback_cnt >= MAX_CALLBACKS - 2)
		return;
	/* A risky main program has the whole stack for itself. */
	switch (g->risky ? 1 + 3 * min(rnd(g, 6), 1u) : rnd(g, 4)) {
	case 0:
		call_each(g, CB_ARRAY);
		break;
	case 1:
		call_each(g, CB_HASH);
		break;
	case 2:
	case 3:
		call_loop(g, CB_LOOP, 0);
		break;
	default:
		call_offset(g);
	}
	progen_after_call(g);
}

/* ---- the callbacks */

static void leave(struct gen *g)
{
	switch (rnd(g, 4)) {
	case 0:
		emit(g, BPF_ALU64_IMM(BPF_AND, BPF_REG_0, 1));
		break;
	case 1: /* something else than a bit, sometimes */
		if (g->risky)
			emit(g, BPF_ALU64_IMM(BPF_AND, BPF_REG_0, (s32)rnd(g, 4)));
		else
			emit(g, BPF_MOV64_IMM(BPF_REG_0, 1));
		break;
	default:
		emit(g, BPF_MOV64_IMM(BPF_REG_0, 0));
	}
	emit(g, BPF_EXIT_INSN());
}

static void body(struct gen *g, const struct gen_callback *cb)
{
	bool each = cb->kind == CB_ARRAY;

	emit(g, BPF_MOV64_REG(BPF_REG_6, each ? BPF_REG_4 : BPF_REG_2));
	if (each) {
		emit(g, BPF_MOV64_REG(BPF_REG_7, BPF_REG_2));
		emit(g, BPF_MOV64_REG(BPF_REG_8, BPF_REG_3));
		emit(g, BPF_LDX_MEM(BPF_W, BPF_REG_1, BPF_REG_7, 0));
	}
	progen_stack(g);
	emit(g, BPF_MOV64_REG(BPF_REG_0, BPF_REG_1));
	for (int reg = BPF_REG_2; reg <= BPF_REG_5; reg++) {
		if (rnd(g, 2))
			emit(g, BPF_MOV64_IMM(reg, progen_imm(g)));
		else
			emit(g, BPF_LDX_MEM(BPF_DW, reg, BPF_REG_6, 8 * (int)rnd(g, 8)));
	}
	progen_statements(g, 1 + rnd(g, 4));
	progen_access(g, BPF_REG_6, 0, 64, true);
	if (each && rnd(g, 2))
		progen_access(g, BPF_REG_8, 0, 64, true);
	if (!cb->level && g->callback_cnt < MAX_CALLBACKS && !rnd(g, 4)) {
		call_loop(g, CB_LOOP, 1);
		progen_after_call(g);
	}
	progen_statements(g, rnd(g, 3));
	leave(g);
}

/* Sums of keys and values, and each value changed by itself. */
static void hash_body(struct gen *g)
{
	int off = 8 * (int)rnd(g, 8);

	emit(g, BPF_LDX_MEM(BPF_W, BPF_REG_0, BPF_REG_2, 0));
	emit(g, BPF_LDX_MEM(BPF_DW, BPF_REG_1, BPF_REG_3, 0));
	emit(g, BPF_ALU64_REG(BPF_XOR, BPF_REG_0, BPF_REG_1));
	emit(g, BPF_ATOMIC_OP(BPF_DW, rnd(g, 2) ? BPF_ADD : BPF_XOR, BPF_REG_4, BPF_REG_0, off));
	emit(g, BPF_ALU64_IMM(BPF_ADD, BPF_REG_1, progen_imm(g)));
	emit(g, BPF_STX_MEM(BPF_DW, BPF_REG_3, BPF_REG_1, 0));
	emit(g, BPF_MOV64_IMM(BPF_REG_0, 0));
	if (!rnd(g, 4)) { /* what was visited is deleted */
		emit(g, BPF_MOV64_REG(BPF_REG_6, BPF_REG_2));
		progen_map(g, BPF_REG_1, 1);
		emit(g, BPF_EMIT_CALL(BPF_FUNC_map_delete_elem));
		emit(g, BPF_MOV64_IMM(BPF_REG_0, 0));
	}
	emit(g, BPF_EXIT_INSN());
}

/* A number in the context that walks about, and may or may not be kept below a bound. */
static void offset_body(struct gen *g)
{
	static const u8 conds[] = {BPF_JEQ,  BPF_JNE,  BPF_JGT,	 BPF_JGE,  BPF_JLT, BPF_JLE,
				   BPF_JSGT, BPF_JSGE, BPF_JSLT, BPF_JSLE, BPF_JSET};
	u32 out[4], cnt = 0;

	emit(g, BPF_LDX_MEM(BPF_DW, BPF_REG_3, BPF_REG_2, 0));
	for (u32 n = 1 + rnd(g, 3); n; n--) {
		u8 cond = conds[rnd(g, ARRAY_SIZE(conds))];
		int reg = rnd(g, 3) ? BPF_REG_3 : BPF_REG_1;
		u32 skip = 0;

		if (rnd(g, 2))
			skip = emit_jump(g, BPF_JMP_IMM(cond, reg, (s32)rnd(g, 40), 0));
		switch (rnd(g, 5)) {
		case 0:
			emit(g, BPF_MOV64_IMM(BPF_REG_3, (s32)rnd(g, 70)));
			break;
		case 1:
			emit(g, BPF_MOV64_REG(BPF_REG_3, BPF_REG_1));
			break;
		case 2:
			emit(g, BPF_ALU64_IMM(BPF_AND, BPF_REG_3, 7 + 8 * (s32)rnd(g, 8)));
			break;
		default:
			emit(g, BPF_ALU64_IMM(BPF_ADD, BPF_REG_3, 1 + (s32)rnd(g, 9)));
		}
		if (skip)
			aim(g, skip);
	}
	if (rnd(g, 2))
		out[cnt++] = emit_jump(g, BPF_JMP_IMM(BPF_JGT, BPF_REG_3, (s32)rnd(g, 70), 0));
	emit(g, BPF_STX_MEM(BPF_DW, BPF_REG_2, BPF_REG_3, 0));
	if (!rnd(g, 3)) { /* seen, but nobody asks */
		emit(g, BPF_MOV64_IMM(BPF_REG_0, 0));
		out[cnt++] = emit_jump(g, BPF_JMP_IMM(BPF_JEQ, BPF_REG_1, (s32)rnd(g, 9), 0));
		emit(g, BPF_ST_MEM(BPF_DW, BPF_REG_2, 0, (s32)rnd(g, 80)));
	}
	while (cnt)
		aim(g, out[--cnt]);
	emit(g, BPF_MOV64_REG(BPF_REG_0, BPF_REG_1));
	leave(g);
}

void progen_callbacks(struct gen *g)
{
	g->main = false;
	for (u32 i = 0; i < g->callback_cnt; i++) {
		const struct gen_callback cb = g->callbacks[i];

		g->p->insns[cb.at].imm = (s32)(g->p->cnt - cb.at - 1);
		func_begins(g);
		if (cb.kind == CB_HASH)
			hash_body(g);
		else if (cb.kind == CB_OFFSET)
			offset_body(g);
		else
			body(g, &cb);
	}
}
