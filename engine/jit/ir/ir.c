/*
 * ir.c - what is known about a program before code is made: decoded operations, jump targets,
 * what each subprogram does, and which registers are live after each instruction
 *
 * Every pass is linear in the program but liveness, which repeats until nothing changes: in
 * practice two or three times, and never more than MAX_WALKS.
 */
#include "jit/ir/ir.h"

#define BIT(r)	  ((u16)(1u << (r)))
#define MAX_WALKS 32

static bool is_jump(u8 op, const struct bpf_insn *insn)
{
	u8 class = BPF_CLASS(insn->code);

	return (class == BPF_JMP || class == BPF_JMP32) && op < BPF_OP_MAX && op != BPF_OP_CALL &&
	       op != BPF_OP_EXIT && op != BPF_OP_TAIL_CALL;
}

bool jit_is_jump(const struct jit_ir *ir, u32 i)
{
	return !(ir->flags[i] & JIT_IMM64_HI) && is_jump(ir->op[i], &ir->insns[i]);
}

static bool is_call(u8 op)
{
	return op == BPF_OP_CALL || (op >= BPF_OP_LD_ABS_B && op <= BPF_OP_LD_IND_W);
}

static bool falls_through(u8 op)
{
	return op != BPF_OP_JA && op != BPF_OP_JA32 && op != BPF_OP_EXIT;
}

void jit_op_regs(const struct jit_ir *ir, u32 i, u16 *use, u16 *def)
{
	const struct bpf_insn *insn = &ir->insns[i];
	const struct jit_addr *addr = &ir->addr[i];
	u8 op = ir->op[i];

	*use = *def = 0;
	if (ir->flags[i] & JIT_IMM64_HI || op == JIT_OP_NOP)
		return;
	if (op == JIT_OP_ROL) {
		*use = BIT(insn->src_reg);
		*def = BIT(insn->dst_reg);
	} else if (op == JIT_OP_LEA) {
		*def = BIT(insn->dst_reg);
	} else if (op == JIT_OP_DIVMOD) {
		*def = BIT(insn->dst_reg) | BIT(insn->imm);
		*use = *def | BIT(insn->src_reg);
	} else { /* JIT_OP_RMW_* have the registers of the store that they were */
		bpf_insn_regs(op < BPF_OP_MAX ? op : bpf_op_by_code(insn->code), insn, use, def);
	}
	if (!addr->used)
		return;
	/* The register that the access named is not read any more. */
	if (BPF_CLASS(insn->code) == BPF_STX)
		*use = BIT(insn->src_reg);
	else
		*use = 0;
	*use |= BIT(addr->base);
	if (addr->index != JIT_NO_REG)
		*use |= BIT(addr->index);
}

static int decode_all(struct jit_ir *ir)
{
	for (u32 i = 0; i < ir->len; i++) {
		int op = bpf_insn_decode(&ir->insns[i]);

		if (op < 0)
			return -EINVAL;
		ir->op[i] = op;
		if (op != BPF_OP_LD_IMM64)
			continue;
		if (++i == ir->len || !bpf_insn_valid_imm64(&ir->insns[i]))
			return -EINVAL;
		ir->op[i] = op;
		ir->flags[i] = JIT_IMM64_HI;
	}
	return 0;
}

static int build_funcs(struct jit_ir *ir)
{
	const struct bpf_prog *prog = ir->prog;

	ir->func_cnt = prog->subprog_cnt;
	ir->funcs = calloc(ir->func_cnt ? ir->func_cnt : 1, sizeof(*ir->funcs));
	if (!ir->funcs)
		return -ENOMEM;
	if (!ir->func_cnt)
		return -EINVAL;
	for (u32 f = 0; f < ir->func_cnt; f++) {
		struct jit_func *fn = &ir->funcs[f];

		fn->start = prog->subprogs[f].start;
		fn->end = f + 1 < ir->func_cnt ? prog->subprogs[f + 1].start : ir->len;
		fn->stack_depth = round_up((u32)prog->subprogs[f].stack_depth, 8u);
		if (fn->start >= fn->end || fn->end > ir->len || (!f && fn->start) ||
		    fn->stack_depth > MAX_BPF_STACK)
			return -EINVAL;
		ir->flags[fn->start] |= JIT_TARGET;
	}
	return 0;
}

static bool is_func_start(const struct jit_ir *ir, u32 i)
{
	for (u32 f = 0; f < ir->func_cnt; f++)
		if (ir->funcs[f].start == i)
			return true;
	return false;
}

/* Calls and function addresses must name a subprogram. */
static int check_call(struct jit_ir *ir, u32 i)
{
	const struct bpf_insn *insn = &ir->insns[i];

	if (ir->op[i] == BPF_OP_CALL && insn->src_reg == BPF_PSEUDO_KFUNC_CALL)
		return -EINVAL;
	if ((ir->op[i] == BPF_OP_CALL && insn->src_reg == BPF_PSEUDO_CALL) ||
	    (ir->op[i] == BPF_OP_LD_IMM64 && insn->src_reg == BPF_PSEUDO_FUNC)) {
		u32 target = i + 1 + insn->imm;

		if (target >= ir->len || !is_func_start(ir, target))
			return -EINVAL;
	}
	return 0;
}

static int scan_func(struct jit_ir *ir, struct jit_func *fn)
{
	for (u32 i = fn->start; i < fn->end; i++) {
		const struct bpf_insn *insn = &ir->insns[i];
		u8 op = ir->op[i];
		u16 use, def;

		if (ir->flags[i] & JIT_IMM64_HI)
			continue;
		if (check_call(ir, i))
			return -EINVAL;
		jit_op_regs(ir, i, &use, &def);
		if (def & BIT(BPF_REG_FP))
			return -EINVAL;
		fn->written |= def;
		fn->uses_fp |= use >> BPF_REG_FP & 1;
		fn->calls |= is_call(op);
		fn->tail_call |= op == BPF_OP_TAIL_CALL;
		fn->ld_abs |= op >= BPF_OP_LD_ABS_B && op <= BPF_OP_LD_IND_W;
		if (falls_through(op) && i + 1 + (op == BPF_OP_LD_IMM64) >= fn->end)
			return -EINVAL;
		if (is_jump(op, insn)) {
			u32 target = jit_target(ir, i);

			if (target < fn->start || target >= fn->end ||
			    ir->flags[target] & JIT_IMM64_HI)
				return -EINVAL;
			ir->flags[target] |= JIT_TARGET | (target <= i ? JIT_LOOP_HEAD : 0);
		}
	}
	return 0;
}

/* One backward walk; says whether anything that loops depend on changed. */
static bool live_walk(struct jit_ir *ir, const struct jit_func *fn, u16 *live_in)
{
	bool changed = false;

	for (u32 i = fn->end; i-- > fn->start;) {
		const struct bpf_insn *insn = &ir->insns[i];
		u16 use, def, out = 0;

		if (ir->flags[i] & JIT_IMM64_HI) {
			live_in[i] = live_in[i + 1];
			continue;
		}
		if (falls_through(ir->op[i]))
			out = live_in[i + 1];
		if (is_jump(ir->op[i], insn))
			out |= live_in[jit_target(ir, i)];
		jit_op_regs(ir, i, &use, &def);
		ir->live_out[i] = out;
		out = (out & ~def) | use;
		if (out != live_in[i]) {
			live_in[i] = out;
			changed |= ir->flags[i] & JIT_LOOP_HEAD;
		}
	}
	return changed;
}

/*
 * A walk settles all but what flows through jumps backward, and one more walk settles one more of
 * those in a row. Code that is laid out so that it takes many is not worth the time: there every
 * register counts as live.
 */
int jit_find_live(struct jit_ir *ir)
{
	u16 *live_in = calloc(ir->len + 1, sizeof(*live_in));

	if (!live_in)
		return -ENOMEM;
	for (u32 f = 0; f < ir->func_cnt; f++) {
		const struct jit_func *fn = &ir->funcs[f];
		int walks = 0;

		while (walks < MAX_WALKS && live_walk(ir, fn, live_in))
			walks++;
		for (u32 i = fn->start; walks == MAX_WALKS && i < fn->end; i++)
			ir->live_out[i] = UINT16_MAX;
	}
	free(live_in);
	return 0;
}

u16 jit_live_before(const struct jit_ir *ir, u32 i)
{
	u16 use, def;

	jit_op_regs(ir, i, &use, &def);
	return (ir->live_out[i] & ~def) | use;
}

/* All that it does is a value in a register. */
static bool is_pure(const struct jit_ir *ir, u32 i)
{
	u8 class = BPF_CLASS(ir->insns[i].code), op = ir->op[i];

	return op == BPF_OP_LD_IMM64 || op == JIT_OP_LEA || op == JIT_OP_ROL ||
	       (op < BPF_OP_MAX && (class == BPF_ALU || class == BPF_ALU64));
}

/* Backward: what an instruction that is dropped would have read may be dead, too. */
void jit_drop_dead(struct jit_ir *ir)
{
	u16 use, def, live = 0; /* after i, if i falls through */

	for (u32 i = ir->len; i-- > 0;) {
		if (ir->flags[i] & JIT_IMM64_HI || ir->op[i] == JIT_OP_NOP)
			continue;
		if (is_jump(ir->op[i], &ir->insns[i]) || !falls_through(ir->op[i]))
			live = ir->live_out[i];
		live &= ir->live_out[i];
		jit_op_regs(ir, i, &use, &def);
		if (is_pure(ir, i) && !(def & live)) {
			ir->op[i] = JIT_OP_NOP;
			ir->addr[i].used = false;
			continue;
		}
		ir->live_out[i] = live;
		live = (live & ~def) | use;
	}
}

int jit_ir_build(const struct bpf_prog *prog, struct jit_ir *ir)
{
	int err = -ENOMEM;

	*ir = (struct jit_ir){
		.prog = prog, .len = prog->len, .blind = prog->prog_flags & PROG_F_STRICT};
	if (!ir->len)
		return -EINVAL;
	ir->insns = malloc(ir->len * sizeof(*ir->insns));
	ir->addr = calloc(ir->len, sizeof(*ir->addr));
	ir->op = calloc(ir->len, sizeof(*ir->op));
	ir->flags = calloc(ir->len + 1, sizeof(*ir->flags));
	ir->live_out = calloc(ir->len + 1, sizeof(*ir->live_out));
	if (!ir->insns || !ir->addr || !ir->op || !ir->flags || !ir->live_out)
		goto fail;
	memcpy(ir->insns, prog->insnsi, ir->len * sizeof(*ir->insns));
	err = decode_all(ir);
	if (!err)
		err = build_funcs(ir);
	for (u32 f = 0; !err && f < ir->func_cnt; f++)
		err = scan_func(ir, &ir->funcs[f]);
	if (!err)
		err = jit_find_live(ir);
	if (!err)
		return 0;
fail:
	jit_ir_free(ir);
	return err;
}

void jit_ir_free(struct jit_ir *ir)
{
	free(ir->insns);
	free(ir->addr);
	free(ir->op);
	free(ir->flags);
	free(ir->live_out);
	free(ir->funcs);
	free(ir->steps);
	*ir = (struct jit_ir){0};
}
