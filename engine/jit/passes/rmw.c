/*
 * rmw.c - read-modify-write on memory
 *
 *	r2 = *(u32 *)(r1 + 8); r2 += 1; *(u32 *)(r1 + 8) = r2
 *
 * becomes one JIT_OP_RMW_* where the store was, if nobody reads r2 afterwards. That is right
 * because between the load and the store nothing touches memory, calls or jumps, and nothing
 * changes the address or the other operand: the order in which other threads see accesses stays.
 * Before combine.c, which then finds one use of the address where there were two. Linear: a store
 * looks back at no more than WINDOW instructions.
 */
#include "jit/ir/ir.h"
#include "jit/passes/rmw.h"

#define WINDOW 8

struct match {
	u8 base, stored; /* registers of the store */
	u8 operand; /* JIT_NO_REG: a constant */
	u8 loaded; /* the register that was loaded */
	u32 load, alu, store;
};

static u8 rmw_op(u8 alu)
{
	switch (alu) {
	case BPF_ADD:
		return JIT_OP_RMW_ADD;
	case BPF_OR:
		return JIT_OP_RMW_OR;
	case BPF_AND:
		return JIT_OP_RMW_AND;
	case BPF_SUB:
		return JIT_OP_RMW_SUB;
	case BPF_XOR:
		return JIT_OP_RMW_XOR;
	default:
		return 0;
	}
}

static bool is_plain_store(const struct jit_ir *ir, u32 i)
{
	return ir->op[i] >= BPF_OP_STX_B && ir->op[i] <= BPF_OP_STX_DW;
}

static bool is_plain_load(const struct jit_ir *ir, u32 i)
{
	return ir->op[i] >= BPF_OP_LDX_B && ir->op[i] <= BPF_OP_LDX_DW;
}

static bool live_after(const struct jit_ir *ir, u32 i, u8 r)
{
	return ir->live_out[i] >> r & 1;
}

/* It computes in registers. */
static bool is_harmless(const struct jit_ir *ir, u32 i)
{
	u8 class = BPF_CLASS(ir->insns[i].code);

	if (ir->flags[i] & JIT_IMM64_HI || ir->op[i] == JIT_OP_NOP)
		return true;
	return class == BPF_ALU || class == BPF_ALU64 || ir->op[i] == BPF_OP_LD_IMM64;
}

/* Is it what computes the stored value? Then which operand came from memory is still open. */
static bool is_modify(const struct jit_ir *ir, const struct match *m, u32 i)
{
	const struct bpf_insn *insn = &ir->insns[i];
	u8 class = BPF_CLASS(insn->code);

	if ((class != BPF_ALU && class != BPF_ALU64) || insn->dst_reg != m->stored ||
	    !rmw_op(BPF_OP(insn->code)) || insn->off)
		return false;
	/* The upper half of a 32-bit result is 0. */
	if (BPF_SIZE(ir->insns[m->store].code) == BPF_DW && class == BPF_ALU)
		return false;
	return BPF_SRC(insn->code) == BPF_K ||
	       (insn->src_reg != m->stored && insn->src_reg != BPF_REG_FP);
}

/* From the store up to the instruction that computes what it stores. */
static bool find_modify(const struct jit_ir *ir, struct match *m, u32 first, u16 *written)
{
	u16 use, def;

	*written = 0;
	for (u32 i = m->store; i-- > first;) {
		if (ir->flags[i + 1] & JIT_TARGET)
			return false;
		if (is_modify(ir, m, i)) {
			m->alu = i;
			return true;
		}
		jit_op_regs(ir, i, &use, &def);
		if (!is_harmless(ir, i) || ((use | def) >> m->stored & 1) || def >> m->base & 1)
			return false;
		*written |= def;
	}
	return false;
}

static bool is_same_place(const struct jit_ir *ir, const struct match *m, u32 i)
{
	const struct bpf_insn *load = &ir->insns[i], *store = &ir->insns[m->store];

	return is_plain_load(ir, i) && load->src_reg == m->base && load->off == store->off &&
	       BPF_SIZE(load->code) == BPF_SIZE(store->code);
}

/* Nobody but the modification reads what was loaded. */
static bool find_load(const struct jit_ir *ir, struct match *m, u32 first, u8 loaded)
{
	u16 use, def;

	for (u32 i = m->alu; i-- > first;) {
		if (ir->flags[i + 1] & JIT_TARGET)
			return false;
		if (is_same_place(ir, m, i) && ir->insns[i].dst_reg == loaded) {
			m->load = i;
			m->loaded = loaded;
			return loaded != m->base;
		}
		jit_op_regs(ir, i, &use, &def);
		if (!is_harmless(ir, i) || ((use | def) >> loaded & 1) || def >> m->base & 1)
			return false;
	}
	return false;
}

/* Does anything between the modification and the store read r? */
static bool read_between(const struct jit_ir *ir, const struct match *m, u8 r)
{
	u16 use, def;

	for (u32 i = m->alu + 1; i < m->store; i++) {
		jit_op_regs(ir, i, &use, &def);
		if (use >> r & 1)
			return true;
	}
	return false;
}

static bool find_operands(const struct jit_ir *ir, struct match *m, u32 first, u16 written)
{
	const struct bpf_insn *alu = &ir->insns[m->alu];
	u8 other = alu->src_reg;

	if (BPF_SRC(alu->code) == BPF_K) {
		m->operand = JIT_NO_REG;
		return find_load(ir, m, first, m->stored);
	}
	if (!(written >> other & 1) && find_load(ir, m, first, m->stored)) {
		m->operand = other;
		return true;
	}
	/* The other way round, where it does not matter. */
	m->operand = m->stored;
	return BPF_OP(alu->code) != BPF_SUB && !live_after(ir, m->store, other) &&
	       !(written >> other & 1) && !read_between(ir, m, other) &&
	       find_load(ir, m, first, other);
}

static bool fuse(struct jit_ir *ir, u32 i, u32 start)
{
	struct bpf_insn *store = &ir->insns[i], alu;
	struct match m = {.store = i, .base = store->dst_reg, .stored = store->src_reg};
	u32 first = i - start > WINDOW ? i - WINDOW : start;
	u16 written;

	if (m.base == m.stored || m.stored == BPF_REG_FP || live_after(ir, i, m.stored) ||
	    !find_modify(ir, &m, first, &written) || !find_operands(ir, &m, first, written))
		return false;
	alu = ir->insns[m.alu];
	ir->op[m.load] = ir->op[m.alu] = JIT_OP_NOP;
	ir->op[i] = rmw_op(BPF_OP(alu.code));
	if (m.operand == JIT_NO_REG) {
		store->code = BPF_ST | BPF_MEM | BPF_SIZE(store->code);
		store->src_reg = 0;
		store->imm = alu.imm;
	} else {
		store->src_reg = m.operand;
	}
	return true;
}

int jit_fuse_rmw(struct jit_ir *ir)
{
	bool changed = false;

	for (u32 f = 0; f < ir->func_cnt; f++)
		for (u32 i = ir->funcs[f].start; i < ir->funcs[f].end; i++)
			if (is_plain_store(ir, i))
				changed |= fuse(ir, i, ir->funcs[f].start);
	/* The other operand is read at the store now. */
	return changed ? jit_find_live(ir) : 0;
}
