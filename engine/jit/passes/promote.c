/*
 * promote.c - slots of the stack in registers that the program does not use
 *
 * Compilers for BPF have ten registers and put the rest on the stack. A slot that is only loaded
 * and stored whole, by R10 and an offset, of a function that gives R10 to nobody, is a variable:
 * it becomes a register, as long as there are any, those in the innermost loops first. Stores to a
 * slot that is never loaded go.
 *
 * The machine says which registers it has left over, and which of them an instruction's code needs
 * for itself: such a one holds a slot only in functions without such instructions. Registers that
 * BPF has and the function does not mention are used, too: R1 to R5 where nothing is called, R6 to
 * R9 always. Linear but for the slots, of which a function has 64.
 */
#include "jit/ir/ir.h"
#include "jit/passes/promote.h"

#define NR_SLOTS  (MAX_BPF_STACK / 4)
#define MAX_DEPTH 4

enum { SLOT_UNUSED, SLOT_WORD, SLOT_DOUBLE, SLOT_SHARED };

struct slot { /* 4 bytes; of a double the lower one */
	u8 kind;
	u8 reg; /* JIT_NO_REG: stays where it is */
	bool loaded;
	u32 weight;
};

struct promoter {
	struct jit_ir *ir;
	const struct jit_func *fn;
	struct slot slot[NR_SLOTS];
	u16 free; /* registers */
};

/* A load or store of the frame at a place that is known? */
static bool is_frame_access(const struct jit_ir *ir, u32 i, s32 *off)
{
	const struct bpf_insn *insn = &ir->insns[i];
	const struct jit_addr *addr = &ir->addr[i];
	bool load = jit_is_load(ir->op[i]);

	if (!load && !jit_is_store(ir->op[i]))
		return false;
	/* What is stored must not be R10 itself. */
	if (BPF_CLASS(insn->code) == BPF_STX && insn->src_reg == BPF_REG_FP)
		return false;
	if (addr->used) {
		*off = addr->disp;
		return addr->base == BPF_REG_FP && addr->index == JIT_NO_REG;
	}
	*off = insn->off;
	return (load ? insn->src_reg : insn->dst_reg) == BPF_REG_FP;
}

static u32 slot_of(s32 off)
{
	return (u32)(off + MAX_BPF_STACK) / 4;
}

static void share(struct promoter *p, u32 first, u32 last)
{
	for (u32 s = first; s <= last && s < NR_SLOTS; s++)
		p->slot[s].kind = SLOT_SHARED;
}

static void note_access(struct promoter *p, u32 i, s32 off, u32 weight)
{
	const struct bpf_insn *insn = &p->ir->insns[i];
	u32 size = bpf_size_to_bytes(insn->code), first = slot_of(off),
	    last = slot_of(off + size - 1);
	u8 kind = size == 8 ? SLOT_DOUBLE : SLOT_WORD, op = p->ir->op[i];
	struct slot *slot = &p->slot[first];
	bool load = BPF_CLASS(insn->code) == BPF_LDX;

	if (size < 4 || off % (s32)size || (op >= BPF_OP_LDSX_B && op <= BPF_OP_LDSX_W) ||
	    (slot->kind != SLOT_UNUSED && slot->kind != kind)) {
		/* A double that another access meets at one half is shared as a whole. */
		if (first % 2 && p->slot[first - 1].kind == SLOT_DOUBLE)
			first--;
		if (!(last % 2) && p->slot[last].kind == SLOT_DOUBLE)
			last++;
		share(p, first, last);
		return;
	}
	if (kind == SLOT_DOUBLE && p->slot[last].kind != SLOT_UNUSED &&
	    p->slot[last].kind != SLOT_DOUBLE) {
		share(p, first, last);
		return;
	}
	slot->kind = kind;
	if (kind == SLOT_DOUBLE)
		p->slot[last].kind = SLOT_DOUBLE;
	slot->loaded |= load;
	slot->weight += weight;
}

/* The innermost loops count most. False: R10 is given away. */
static bool look_at_accesses(struct promoter *p, u16 (*scratch)(const struct jit_ir *ir, u32 i),
			     u8 *depth)
{
	u16 use, def, used = 1 << BPF_REG_0 | 1 << BPF_REG_FP;
	s32 off;

	for (u32 i = p->fn->start; i < p->fn->end; i++) {
		if (p->ir->flags[i] & JIT_IMM64_HI || p->ir->op[i] == JIT_OP_NOP)
			continue;
		jit_op_regs(p->ir, i, &use, &def);
		used |= use | def | scratch(p->ir, i);
		if (!(use >> BPF_REG_FP & 1))
			continue;
		if (!is_frame_access(p->ir, i, &off) || off < -MAX_BPF_STACK ||
		    off + (s32)bpf_size_to_bytes(p->ir->insns[i].code) > 0)
			return false;
		note_access(p, i, off, 1u << 3 * depth[i - p->fn->start]);
	}
	p->free &= ~used;
	return true;
}

/* How many loops each instruction is in, as far as backward jumps tell. */
static u8 *loop_depths(const struct jit_ir *ir, const struct jit_func *fn)
{
	u32 n = fn->end - fn->start;
	s32 *change = calloc(n + 1, sizeof(*change)), level = 0;
	u8 *depth = malloc(n);

	for (u32 i = fn->start; change && depth && i < fn->end; i++) {
		u32 target;

		if (!jit_is_jump(ir, i))
			continue;
		target = jit_target(ir, i);
		if (target <= i) {
			change[target - fn->start]++;
			change[i - fn->start + 1]--;
		}
	}
	for (u32 k = 0; change && depth && k < n; k++) {
		level += change[k];
		depth[k] = (u8)min(level, MAX_DEPTH);
	}
	if (!change) {
		free(depth);
		depth = NULL;
	}
	free(change);
	return depth;
}

static bool is_variable(const struct slot *slot, u32 s)
{
	return slot->kind == SLOT_WORD || (slot->kind == SLOT_DOUBLE && !(s % 2));
}

static u32 choose(struct promoter *p)
{
	u32 chosen = 0;

	while (p->free) {
		struct slot *best = NULL;

		for (u32 s = 0; s < NR_SLOTS; s++) {
			struct slot *slot = &p->slot[s];

			if (is_variable(slot, s) && slot->loaded && slot->reg == JIT_NO_REG &&
			    (!best || slot->weight > best->weight))
				best = slot;
		}
		if (!best)
			break;
		best->reg = (u8)__builtin_ctz(p->free);
		p->free &= p->free - 1;
		chosen |= 1u << best->reg;
	}
	return chosen;
}

static void become_alu(struct jit_ir *ir, u32 i, u8 code, u8 dst, u8 src, s32 imm)
{
	struct bpf_insn insn = {.code = code, .imm = imm};

	ir->op[i] = (u8)bpf_insn_decode(&insn); /* which knows BPF's own registers only */
	insn.dst_reg = dst;
	insn.src_reg = src;
	ir->insns[i] = insn;
	ir->addr[i].used = false;
}

static u8 rmw_alu(u8 op)
{
	static const u8 alu[] = {BPF_ADD, BPF_OR, BPF_AND, BPF_SUB, BPF_XOR};

	return alu[op - JIT_OP_RMW_ADD];
}

/* A word in a register has zeros above it, whoever wrote it. */
static void rewrite(struct jit_ir *ir, u32 i, const struct slot *slot)
{
	const struct bpf_insn insn = ir->insns[i];
	u8 class = slot->kind == SLOT_DOUBLE ? BPF_ALU64 : BPF_ALU, op = ir->op[i];
	u8 alu = op >= JIT_OP_RMW_ADD && op <= JIT_OP_RMW_XOR ? rmw_alu(op) : BPF_MOV;

	switch (BPF_CLASS(insn.code)) {
	case BPF_LDX:
		become_alu(ir, i, BPF_ALU64 | BPF_MOV | BPF_X, insn.dst_reg, slot->reg, 0);
		break;
	case BPF_ST:
		become_alu(ir, i, class | alu | BPF_K, slot->reg, 0, insn.imm);
		break;
	case BPF_STX:
		become_alu(ir, i, class | alu | BPF_X, slot->reg, insn.src_reg, 0);
		break;
	}
}

/* Says whether anything changed; *left: accesses that stay. */
static bool rewrite_func(struct promoter *p, u32 *left)
{
	bool changed = false;
	s32 off;

	for (u32 i = p->fn->start; i < p->fn->end; i++) {
		const struct slot *slot;

		if (p->ir->flags[i] & JIT_IMM64_HI || !is_frame_access(p->ir, i, &off))
			continue;
		slot = &p->slot[slot_of(off)];
		++*left;
		if (!is_variable(slot, slot_of(off)))
			continue;
		if (slot->reg != JIT_NO_REG) {
			rewrite(p->ir, i, slot);
		} else if (!slot->loaded) {
			p->ir->op[i] = JIT_OP_NOP;
			p->ir->addr[i].used = false;
		} else {
			continue;
		}
		--*left;
		changed = true;
	}
	return changed;
}

/*
 * `r1 = slot; r2 += r1`, and r1 is not read again: the register of the slot is the operand.
 */
static void use_directly(struct jit_ir *ir, const struct jit_func *fn, u32 chosen)
{
	for (u32 i = fn->start; i + 1 < fn->end; i++) {
		struct bpf_insn *mov = &ir->insns[i], *next = mov + 1;
		u8 class = BPF_CLASS(next->code);

		if (ir->op[i] != BPF_OP_ALU64_MOV_X || !(chosen >> mov->src_reg & 1) ||
		    ir->op[i + 1] >= BPF_OP_MAX || ir->flags[i + 1] & (JIT_TARGET | JIT_IMM64_HI))
			continue;
		if ((class != BPF_ALU && class != BPF_ALU64) || BPF_SRC(next->code) != BPF_X ||
		    BPF_OP(next->code) == BPF_END || next->src_reg != mov->dst_reg ||
		    next->dst_reg == mov->dst_reg || ir->live_out[i + 1] >> mov->dst_reg & 1)
			continue;
		next->src_reg = mov->src_reg;
		ir->op[i] = JIT_OP_NOP;
	}
}

static int promote_func(struct jit_ir *ir, struct jit_func *fn, u16 spare,
			u16 (*scratch)(const struct jit_ir *ir, u32 i), bool *changed)
{
	struct promoter p = {.ir = ir, .fn = fn};
	u32 chosen, left = 0;
	u8 *depth;

	if (!fn->stack_depth || !fn->uses_fp)
		return 0;
	depth = loop_depths(ir, fn);
	if (!depth)
		return -ENOMEM;
	for (u32 s = 0; s < NR_SLOTS; s++)
		p.slot[s].reg = JIT_NO_REG;
	/* Calls change R0 to R5; a frame that starts as zeros is read before it is written. */
	p.free = spare | (u16)((1u << BPF_REG_FP) - 2);
	if (look_at_accesses(&p, scratch, depth)) {
		chosen = choose(&p);
		*changed |= rewrite_func(&p, &left);
		use_directly(ir, fn, chosen);
		fn->written |= chosen;
		if (!left) { /* no frame is needed */
			fn->stack_depth = 0;
			fn->uses_fp = false;
		}
	}
	free(depth);
	return 0;
}

int jit_promote_slots(struct jit_ir *ir, u16 spare, u16 (*scratch)(const struct jit_ir *ir, u32 i))
{
	bool changed = false;
	int err = 0;

	if (ir->prog->zero_stack)
		return 0;
	for (u32 f = 0; !err && f < ir->func_cnt; f++)
		err = promote_func(ir, &ir->funcs[f], spare, scratch, &changed);
	return err || !changed ? err : jit_find_live(ir);
}
