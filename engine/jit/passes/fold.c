/*
 * fold.c - an address that several instructions use is computed in each of them
 *
 * combine.c leaves `r5 = r1 + r3` in its register when more than one instruction reads it, as in
 *
 *	r5 = r1 + r3
 *	r0 = r5 + 2
 *	if r0 > r4 goto out
 *	r5 = *(u16 *)(r5 + 0)
 *
 * Where each of them is an address or a plain load or store, all take r1 + r3 for r5, and the first
 * instruction goes. Each then waits for one instruction less.
 *
 * A walk over each stretch of code that is entered at its top; conditional jumps may leave it where
 * the register is dead behind them. Between the first instruction and the last one that reads it
 * nothing changes what the address is made of. Linear: each address has at most USES_MAX uses.
 */
#include "jit/passes/fold.h"
#include "jit/ir/ir.h"

#define USES_MAX 4

struct made { /* how a register's value was made */
	bool valid;
	u8 nr_uses;
	u32 at; /* the JIT_OP_LEA */
	u32 use[USES_MAX];
};

struct fold {
	struct jit_ir *ir;
	struct made reg[MAX_BPF_REG];
	bool changed;
};

static bool is_lea64(const struct jit_ir *ir, u32 i)
{
	return ir->op[i] == JIT_OP_LEA && BPF_CLASS(ir->insns[i].code) == BPF_ALU64;
}

/* The address that instruction i computes or accesses, if it is a register and a displacement. */
static bool simple_address(const struct jit_ir *ir, u32 i, u8 *base, s32 *disp)
{
	const struct bpf_insn *insn = &ir->insns[i];
	const struct jit_addr *addr = &ir->addr[i];
	bool load = jit_is_load(ir->op[i]);

	if (!load && !jit_is_store(ir->op[i]) && !is_lea64(ir, i))
		return false;
	if (addr->used) {
		*base = addr->base;
		*disp = addr->disp;
		return addr->index == JIT_NO_REG;
	}
	*base = load ? insn->src_reg : insn->dst_reg;
	*disp = insn->off;
	return true;
}

/* Instruction i reads r as an address, and not as a value. */
static bool reads_as_address(const struct jit_ir *ir, u32 i, u8 r, const struct jit_addr *made)
{
	const struct bpf_insn *insn = &ir->insns[i];
	s32 disp;
	s64 sum;
	u8 base;

	if (!simple_address(ir, i, &base, &disp) || base != r)
		return false;
	if (BPF_CLASS(insn->code) == BPF_STX && insn->src_reg == r)
		return false;
	sum = (s64)disp + made->disp;
	return jit_disp_ok(ir, sum);
}

static void fold_loads(struct fold *f, u8 r)
{
	struct jit_ir *ir = f->ir;
	struct made *made = &f->reg[r];
	const struct jit_addr addr = ir->addr[made->at];

	for (u8 k = 0; k < made->nr_uses; k++) {
		u32 i = made->use[k];
		s32 disp = 0;
		u8 base;

		simple_address(ir, i, &base, &disp);
		ir->addr[i] = addr;
		ir->addr[i].disp += disp;
	}
	ir->op[made->at] = JIT_OP_NOP;
	ir->addr[made->at].used = false;
	made->valid = false;
	f->changed = true;
}

static void forget(struct fold *f)
{
	for (u8 r = 0; r < MAX_BPF_REG; r++)
		f->reg[r].valid = false;
}

static void see(struct fold *f, u32 i)
{
	struct jit_ir *ir = f->ir;
	const struct jit_addr *addr = &ir->addr[i];
	u16 use, def, gone = 0;

	if (jit_is_jump(ir, i)) {
		if (jit_is_goto(ir, i)) {
			forget(f);
			return;
		}
		gone = jit_live_before(ir, jit_target(ir, i));
	}
	jit_op_regs(ir, i, &use, &def);
	for (u8 r = 0; r < MAX_BPF_REG; r++) {
		struct made *made = &f->reg[r];
		const struct jit_addr *of = &ir->addr[made->at];

		if (!made->valid)
			continue;
		if (gone >> r & 1) {
			made->valid = false;
			continue;
		}
		if (use >> r & 1) {
			if (made->nr_uses == USES_MAX || !reads_as_address(ir, i, r, of)) {
				made->valid = false;
				continue;
			}
			made->use[made->nr_uses++] = i;
		}
		if (def >> r & 1 || !(ir->live_out[i] >> r & 1)) {
			if (made->nr_uses)
				fold_loads(f, r);
			made->valid = false;
		} else if (def >> of->base & 1 ||
			   (of->index != JIT_NO_REG && def >> of->index & 1)) {
			made->valid = false;
		}
	}
	/* Of a register that may be folded itself: that one's uses would not be complete. */
	if (is_lea64(ir, i) && addr->base != ir->insns[i].dst_reg &&
	    addr->index != ir->insns[i].dst_reg && !f->reg[addr->base].valid)
		f->reg[ir->insns[i].dst_reg] = (struct made){.valid = true, .at = i};
}

int jit_fold_addresses(struct jit_ir *ir)
{
	struct fold f = {.ir = ir};

	for (u32 i = 0; i < ir->len; i++) {
		if (ir->flags[i] & JIT_TARGET)
			forget(&f);
		if (!(ir->flags[i] & JIT_IMM64_HI) && ir->op[i] != JIT_OP_NOP)
			see(&f, i);
	}
	return f.changed ? jit_find_live(ir) : 0;
}
