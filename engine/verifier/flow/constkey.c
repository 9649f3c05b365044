/*
 * constkey.c - the constant that a compiler stored as an array's key, just before the lookup
 *
 *	w1 = 3
 *	*(u32 *)(r10 -4) = w1
 *	r2 = r10
 *	r2 += -4
 *	r1 = array
 *	call bpf_map_lookup_elem
 *
 * The verifier's states do not remember a constant in the upper half of a slot (neither do Linux's;
 * a state that did would be covered by fewer). Here only the text is looked at: backwards from the
 * call to the store and to the constant, as far as control can only have come from the instruction
 * before. What it finds is true of every execution; it serves the rewriter, not the verdict.
 */
#include "verifier/flow/constkey.h"
#include "verifier/state/env.h"

static u32 store_size(const struct bpf_insn *insn)
{
	return bpf_size_to_bytes(insn->code);
}

static bool is_atomic(const struct bpf_insn *insn)
{
	return BPF_CLASS(insn->code) == BPF_STX && BPF_MODE(insn->code) == BPF_ATOMIC;
}

/*
 * Was `insn`, which does not jump, only reached from the one before it, and may that one be passed?
 */
static bool straight(const struct bpf_verifier_env *env, int i)
{
	const struct bpf_insn *before;

	if (i <= 0 || env->flow[i].jmp_point)
		return false;
	before = &env->insns[i - 1];
	return BPF_CLASS(before->code) != BPF_JMP && BPF_CLASS(before->code) != BPF_JMP32 &&
	       !is_atomic(before);
}

/* The constant that register `regno` has before instruction i. */
static s64 constant_of(const struct bpf_verifier_env *env, int i, u32 regno)
{
	while (straight(env, i)) {
		const struct bpf_insn *insn = &env->insns[--i];
		u8 class = BPF_CLASS(insn->code);

		if (!insn->code || class == BPF_ST || class == BPF_STX || insn->dst_reg != regno)
			continue;
		if (bpf_insn_is_imm64(insn))
			return insn->src_reg ? -1 : (s64)(u32)insn->imm;
		if (BPF_CLASS(insn->code) == BPF_LD)
			return -1;
		if ((class == BPF_ALU || class == BPF_ALU64) && BPF_OP(insn->code) == BPF_MOV &&
		    BPF_SRC(insn->code) == BPF_K)
			return (u32)insn->imm;
		return -1;
	}
	return -1;
}

/*
 * The constant in the four bytes at fp+off of the current frame before the call at i; -1: not
 * known.
 */
s64 find_constant_key(const struct bpf_verifier_env *env, int i, int off)
{
	while (straight(env, i)) {
		const struct bpf_insn *insn = &env->insns[--i];
		u8 class = BPF_CLASS(insn->code);

		if (class == BPF_LD && insn->code && !bpf_insn_is_imm64(insn))
			return -1;
		if (class != BPF_ST && class != BPF_STX)
			continue;
		if (insn->dst_reg != BPF_REG_FP)
			return -1; /* it may go to the stack, too */
		if (insn->off >= off + 4 || insn->off + (int)store_size(insn) <= off)
			continue;
		if (insn->off != off || store_size(insn) != 4)
			return -1;
		if (class == BPF_ST)
			return (u32)insn->imm;
		return constant_of(env, i, insn->src_reg);
	}
	return -1;
}
