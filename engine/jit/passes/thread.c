/*
 * thread.c - jumps that go where they end up
 *
 *   - a jump to a jump goes to where that one goes;
 *   - an inlined lookup in an array is followed by a comparison of its result with NULL: both of
 *     its ends know the answer, and go to the right side;
 *   - what no path reaches any more is dropped, a jump over nothing else, too, and what is not a
 *     target any more is none for the passes after this one.
 *
 * Before every other pass. Linear.
 */
#include "jit/ir/ir.h"
#include "jit/passes/thread.h"

#define CHAIN_MAX 8
#define USER_END  (1ULL << 47)
#define MAX_SHIFT 15 /* keeps 32 bits of index below USER_END */

static bool retarget(struct jit_ir *ir, u32 i, u32 target)
{
	s64 distance = (s64)target - i - 1;

	if (target == jit_target(ir, i))
		return false;
	if (ir->op[i] == BPF_OP_JA32)
		ir->insns[i].imm = (s32)distance;
	else if (distance == (s16)distance)
		ir->insns[i].off = (s16)distance;
	else
		return false;
	ir->redirected++;
	return true;
}

/* The end of a chain of jumps. One that goes round ends somewhere on it. */
static u32 final_target(const struct jit_ir *ir, u32 target)
{
	for (int k = 0; k < CHAIN_MAX && jit_is_goto(ir, target); k++)
		target = jit_target(ir, target);
	return target;
}

/*
 * What map_gen_lookup() of arrays makes:
 *
 *	 i: r0 = *(u32 *)(r2 + 0)
 *	+1: if w0 >= entries goto +7
 *	+2: r0 <<= n, or r0 *= n
 *	+3: r1 = values ll
 *	+5: r0 += r1             not 0, for it lies in our address space
 *	+6: goto +8
 *	+7: r0 = 0
 *	+8: if r0 == 0 goto L    or !=
 */
static bool is_lookup(const struct jit_ir *ir, u32 i)
{
	const struct bpf_insn *p = &ir->insns[i];
	const u8 *op = &ir->op[i];
	u64 values;

	if (op[0] != BPF_OP_LDX_W || op[1] != BPF_OP_JMP32_JGE_K || p[1].off != 5 ||
	    op[3] != BPF_OP_LD_IMM64 || op[5] != BPF_OP_ALU64_ADD_X || op[6] != BPF_OP_JA ||
	    p[6].off != 1 || op[7] != BPF_OP_ALU64_MOV_K || p[7].imm)
		return false;
	if (!(op[2] == BPF_OP_ALU64_LSH_K && p[2].imm >= 0 && p[2].imm <= MAX_SHIFT) &&
	    !(op[2] == BPF_OP_ALU64_MUL_K && p[2].imm > 0 && p[2].imm < 1 << MAX_SHIFT))
		return false;
	if ((op[8] != BPF_OP_JMP_JEQ_K && op[8] != BPF_OP_JMP_JNE_K) || p[8].imm)
		return false;
	for (int k = 1; k <= 6; k++)
		if (ir->flags[i + k] & JIT_TARGET)
			return false;
	for (int k = 0; k <= 8; k++)
		if (k != 3 && k != 4 && p[k].dst_reg && op[k] != BPF_OP_JA)
			return false;
	values = bpf_insn_imm64(&p[3]);
	return p[3].dst_reg && p[3].dst_reg == p[5].src_reg && values && values < USER_END;
}

static bool thread_lookup(struct jit_ir *ir, u32 i)
{
	bool eq = ir->op[i + 8] == BPF_OP_JMP_JEQ_K;
	u32 taken = jit_target(ir, i + 8), found = eq ? i + 9 : taken, missed = eq ? taken : i + 9;
	bool changed = retarget(ir, i + 6, found);

	/* R0 = 0 has to be there only where somebody reads it. */
	if (!(jit_live_before(ir, missed) >> BPF_REG_0 & 1))
		changed |= retarget(ir, i + 1, missed);
	return changed;
}

static bool thread_func(struct jit_ir *ir, const struct jit_func *fn)
{
	bool changed = false;

	for (u32 i = fn->start; i < fn->end; i++) {
		if (ir->flags[i] & JIT_IMM64_HI)
			continue;
		if (i + 9 < fn->end && is_lookup(ir, i))
			changed |= thread_lookup(ir, i);
		if (jit_is_jump(ir, i))
			changed |= retarget(ir, i, final_target(ir, jit_target(ir, i)));
	}
	return changed;
}

/* Functions begin with a target; flags of those are set by whoever found the functions. */
static void find_reachable(struct jit_ir *ir, const struct jit_func *fn, bool *reached, u32 *stack)
{
	u32 n = 0;

	stack[n++] = fn->start;
	while (n) {
		u32 i = stack[--n];

		while (!reached[i]) {
			reached[i] = true;
			if (jit_is_goto(ir, i)) {
				i = jit_target(ir, i);
				continue;
			}
			if (ir->op[i] == BPF_OP_EXIT)
				break;
			if (jit_is_jump(ir, i))
				stack[n++] = jit_target(ir, i);
			if (ir->op[i] == BPF_OP_LD_IMM64)
				reached[++i] = true;
			i++;
		}
	}
}

static void find_targets(struct jit_ir *ir, const struct jit_func *fn)
{
	for (u32 i = fn->start + 1; i < fn->end; i++)
		ir->flags[i] &= ~(JIT_TARGET | JIT_LOOP_HEAD);
	ir->flags[fn->start] &= ~JIT_LOOP_HEAD;
	for (u32 i = fn->start; i < fn->end; i++) {
		u32 target;

		if (ir->flags[i] & JIT_IMM64_HI || !jit_is_jump(ir, i) || ir->op[i] == JIT_OP_NOP)
			continue;
		target = jit_target(ir, i);
		ir->flags[target] |= JIT_TARGET | (target <= i ? JIT_LOOP_HEAD : 0);
	}
}

/* A jump over nothing but dead code is none. */
static void drop_empty_jumps(struct jit_ir *ir, const struct jit_func *fn, const bool *reached)
{
	for (u32 i = fn->end, next = fn->end; i-- > fn->start;) {
		if (!reached[i])
			continue;
		if (jit_is_goto(ir, i) && jit_target(ir, i) == next)
			ir->op[i] = JIT_OP_NOP;
		else
			next = i;
	}
}

/* Each conditional jump is put on the stack at most once. */
static int drop_unreachable(struct jit_ir *ir)
{
	__do_free bool *reached = calloc(ir->len, sizeof(*reached));
	__do_free u32 *stack = malloc((ir->len + 1) * sizeof(*stack));

	if (!reached || !stack)
		return -ENOMEM;
	for (u32 f = 0; f < ir->func_cnt; f++) {
		const struct jit_func *fn = &ir->funcs[f];

		find_reachable(ir, fn, reached, stack);
		for (u32 i = fn->start; i < fn->end; i++)
			if (!reached[i])
				ir->op[i] = JIT_OP_NOP;
		drop_empty_jumps(ir, fn, reached);
		find_targets(ir, fn);
	}
	return 0;
}

int jit_thread_jumps(struct jit_ir *ir)
{
	bool changed = false;
	int err;

	for (u32 f = 0; f < ir->func_cnt; f++)
		changed |= thread_func(ir, &ir->funcs[f]);
	if (!changed)
		return 0;
	err = drop_unreachable(ir);
	return err ? err : jit_find_live(ir);
}
