/*
 * step.c - addresses that walk through a loop get a register of their own
 *
 *	p = r1 + r3              before the loop
 *	loop:
 *		...
 *		r5 = *(u16 *)p   was *(u16 *)(r1 + r3)
 *		...
 *		p += 2
 *		r3 += 2
 *
 * One addition more a turn, and a load that neither adds nor waits for two registers: on machines
 * whose loads with an index cost more, such loops take half to two thirds of the time.
 *
 * Only in innermost loops, which are entered at their head by falling into it and by no other way,
 * where r1 does not change and r3 only by one addition of a constant; p is r1 + r3 at every
 * instruction of the loop, whichever way it took. Registers are those that promote.c left: spare
 * ones of the machine that no instruction of the function needs, and R6 to R9 where the function
 * does not mention them. The emitter makes p before the head (its jumps back go behind) and steps
 * it where r3 is stepped. Last of all passes. Linear but for loops, of which each is walked twice.
 */
#include "jit/ir/ir.h"
#include "jit/passes/step.h"

#define FREE_MAX 8 /* registers, of a function */
#define BACK_MAX 16 /* instructions between a copy and the access that uses it */

struct stepper {
	struct jit_ir *ir;
	const struct jit_func *fn;
	u16 free, spare; /* registers that nothing of the function uses; those of the machine */
	u32 head, tail; /* the loop */
	u16 changed; /* registers that the loop writes */
	u32 step_at[MAX_BPF_REG]; /* the only instruction of the loop that writes it; len: others */
};

static bool is_live_insn(const struct jit_ir *ir, u32 i)
{
	return !(ir->flags[i] & JIT_IMM64_HI) && ir->op[i] != JIT_OP_NOP;
}

/* Where a jump really goes: `if c goto +1; goto L` is one. */
static u32 real_target(const struct jit_ir *ir, u32 i)
{
	return jit_target(ir, ir->flags[i] & JIT_INVERTED ? i + 1 : i);
}

static u32 next_of(const struct jit_ir *ir, u32 i)
{
	return i + (ir->flags[i] & JIT_INVERTED ? 2 : 1);
}

/* For each head of a loop: its last jump back. An innermost loop ends before the next head. */
static void find_tails(const struct jit_ir *ir, const struct jit_func *fn, u32 *tail)
{
	u32 next = fn->end;

	for (u32 i = fn->start; i < fn->end; i = next_of(ir, i))
		if (jit_is_jump(ir, i) && real_target(ir, i) <= i)
			tail[real_target(ir, i)] = next_of(ir, i) - 1;
	for (u32 i = fn->end; i-- > fn->start;) {
		if (!(ir->flags[i] & JIT_LOOP_HEAD))
			continue;
		if (tail[i] >= next)
			tail[i] = 0;
		next = i;
	}
}

/* Into a loop one can only fall: those that are jumped into are none of ours. */
static void drop_jumped_into(const struct jit_ir *ir, const struct jit_func *fn, u32 *tail, u32 *in)
{
	for (u32 i = fn->start, head = ir->len; i < fn->end; i++) {
		if (ir->flags[i] & JIT_LOOP_HEAD && tail[i])
			head = i;
		in[i] = head < ir->len && i <= tail[head] ? head : ir->len;
	}
	for (u32 i = fn->start; i < fn->end; i = next_of(ir, i)) {
		u32 head;

		if (!jit_is_jump(ir, i))
			continue;
		head = in[real_target(ir, i)];
		if (head < ir->len && in[i] != head)
			tail[head] = 0;
	}
}

/* What the loop writes. R10 never changes. */
static void look_at_loop(struct stepper *s)
{
	u16 use, def;

	s->changed = 0;
	for (u8 r = 0; r < MAX_BPF_REG; r++)
		s->step_at[r] = s->ir->len;
	for (u32 i = s->head; i <= s->tail; i++) {
		const struct bpf_insn *insn = &s->ir->insns[i];

		if (!is_live_insn(s->ir, i))
			continue;
		jit_op_regs(s->ir, i, &use, &def);
		if (s->ir->op[i] == BPF_OP_ALU64_ADD_K && !(s->changed & def) &&
		    insn->dst_reg < MAX_BPF_REG)
			s->step_at[insn->dst_reg] = i;
		else
			for (u8 r = 0; r < MAX_BPF_REG; r++)
				if (def >> r & 1)
					s->step_at[r] = s->ir->len;
		s->changed |= def;
	}
}

static bool is_stepped(const struct stepper *s, u8 r)
{
	return r < MAX_BPF_REG && s->step_at[r] < s->ir->len;
}

static bool is_fixed(const struct stepper *s, u8 r)
{
	return !(s->changed >> r & 1);
}

/* The stepped register that r is a copy of at instruction i; r if it is none. */
static u8 copied_from(const struct stepper *s, u32 i, u8 r)
{
	u16 use, def, written = 0;

	for (u32 n = 0; n < BACK_MAX && i > s->head && !(s->ir->flags[i] & JIT_TARGET); n++) {
		const struct bpf_insn *insn = &s->ir->insns[--i];

		if (!is_live_insn(s->ir, i))
			continue;
		jit_op_regs(s->ir, i, &use, &def);
		written |= def;
		if (!(def >> r & 1))
			continue;
		if (s->ir->op[i] == BPF_OP_ALU64_MOV_X && is_stepped(s, insn->src_reg) &&
		    !(written >> insn->src_reg & 1))
			return insn->src_reg;
		break;
	}
	return r;
}

/* The address as what does not change in the loop, and what is stepped. */
static bool split(const struct stepper *s, u32 i, struct jit_addr *out)
{
	struct jit_addr addr = s->ir->addr[i];

	if (!addr.used || addr.index == JIT_NO_REG)
		return false;
	addr.index = copied_from(s, i, addr.index);
	addr.base = copied_from(s, i, addr.base);
	if (!addr.shift && is_stepped(s, addr.base) && is_fixed(s, addr.index)) {
		u8 index = addr.base;

		addr.base = addr.index;
		addr.index = index;
	}
	if (!is_stepped(s, addr.index) || !is_fixed(s, addr.base))
		return false;
	*out = addr;
	return true;
}

static struct jit_step *find_step(const struct stepper *s, const struct jit_addr *addr)
{
	for (u32 k = 0; k < s->ir->step_cnt; k++) {
		struct jit_step *step = &s->ir->steps[k];

		if (step->head == s->head && step->addr.base == addr->base &&
		    step->addr.index == addr->index && step->addr.shift == addr->shift)
			return step;
	}
	return NULL;
}

static struct jit_step *new_step(struct stepper *s, const struct jit_addr *addr)
{
	u32 at = s->step_at[addr->index];
	struct jit_step *step = &s->ir->steps[s->ir->step_cnt];
	u8 reg = (u8)__builtin_ctz(s->free & s->spare ? s->free & s->spare : s->free);
	s64 by = (s64)((u64)(s64)s->ir->insns[at].imm << addr->shift);

	if (by != (s32)by)
		return NULL;
	*step = (struct jit_step){
		.head = s->head,
		.at = at,
		.by = (s32)by,
		.reg = reg,
		.addr = *addr,
	};
	step->addr.disp = 0;
	s->free &= ~(1u << reg);
	s->ir->step_cnt++;
	s->ir->flags[s->head] |= JIT_STEP_MADE;
	s->ir->flags[at] |= JIT_STEP;
	return step;
}

/*
 * `r0 = p + n; if r0 > r4 goto L`, and r0 is not read again: p is made n larger, and compared
 * itself. Only by the first that uses p; where it was too late, the sum stays.
 */
static bool compare_directly(struct stepper *s, u32 i, struct jit_step *step, bool is_new)
{
	struct jit_ir *ir = s->ir;
	u8 r = ir->insns[i].dst_reg;
	struct bpf_insn *jump = &ir->insns[i + 1];

	if (ir->op[i] != JIT_OP_LEA || BPF_CLASS(ir->insns[i].code) != BPF_ALU64 || i == s->tail ||
	    !jit_is_jump(ir, i + 1) || BPF_CLASS(jump->code) != BPF_JMP ||
	    ir->flags[i + 1] & JIT_TARGET || ir->live_out[i + 1] >> r & 1)
		return false;
	if (BPF_OP(jump->code) == BPF_JA)
		return false;
	if (is_new)
		step->addr.disp = ir->addr[i].disp;
	if (step->addr.disp != ir->addr[i].disp)
		return false;
	if (jump->dst_reg == r)
		jump->dst_reg = step->reg;
	if (BPF_SRC(jump->code) == BPF_X && jump->src_reg == r)
		jump->src_reg = step->reg;
	ir->op[i] = JIT_OP_NOP;
	ir->addr[i].used = false;
	return true;
}

static void rewrite_loop(struct stepper *s)
{
	struct jit_addr addr;

	for (u32 i = s->head; i <= s->tail; i++) {
		struct jit_step *step;
		bool is_new;

		if (!is_live_insn(s->ir, i) || !split(s, i, &addr))
			continue;
		step = find_step(s, &addr);
		is_new = !step;
		if (!step && s->free)
			step = new_step(s, &addr);
		if (!step || compare_directly(s, i, step, is_new))
			continue;
		s->ir->addr[i] = (struct jit_addr){
			.used = true,
			.base = step->reg,
			.index = JIT_NO_REG,
			.disp = addr.disp - step->addr.disp,
		};
		s->ir->redirected++;
	}
}

/* False: none. */
static bool find_free(struct stepper *s, u16 (*scratch)(const struct jit_ir *ir, u32 i))
{
	u16 use, def, used = 0;

	for (u32 i = s->fn->start; i < s->fn->end; i++) {
		if (!is_live_insn(s->ir, i))
			continue;
		jit_op_regs(s->ir, i, &use, &def);
		used |= use | def | scratch(s->ir, i);
	}
	s->free = (s->spare | 0xf << BPF_REG_6) & ~used;
	return s->free;
}

static void step_func(struct stepper *s, struct jit_func *fn, u32 *tail, u32 *in)
{
	u32 first = s->ir->step_cnt;

	find_tails(s->ir, fn, tail);
	drop_jumped_into(s->ir, fn, tail, in);
	for (u32 i = fn->start; i < fn->end && s->free; i++) {
		if (!(s->ir->flags[i] & JIT_LOOP_HEAD) || !tail[i])
			continue;
		s->head = i;
		s->tail = tail[i];
		look_at_loop(s);
		rewrite_loop(s);
	}
	for (u32 k = first; k < s->ir->step_cnt; k++)
		fn->written |= (u16)(1u << s->ir->steps[k].reg);
}

static bool has_loop(const struct jit_ir *ir, const struct jit_func *fn)
{
	for (u32 i = fn->start; i < fn->end; i++)
		if (ir->flags[i] & JIT_LOOP_HEAD)
			return true;
	return false;
}

int jit_step_addresses(struct jit_ir *ir, u16 spare, u16 (*scratch)(const struct jit_ir *ir, u32 i))
{
	__do_free u32 *tail = calloc(ir->len, sizeof(*tail));
	__do_free u32 *in = malloc(ir->len * sizeof(*in));

	ir->steps = calloc(ir->func_cnt, FREE_MAX * sizeof(*ir->steps));
	if (!tail || !in || !ir->steps)
		return -ENOMEM;
	for (u32 f = 0; f < ir->func_cnt; f++) {
		struct stepper s = {.ir = ir, .fn = &ir->funcs[f], .spare = spare};

		if (has_loop(ir, s.fn) && find_free(&s, scratch))
			step_func(&s, &ir->funcs[f], tail, in);
	}
	return 0;
}
