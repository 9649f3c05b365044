/*
 * jump.c - what a conditional jump says about two scalars
 *
 * is_scalar_branch_taken() decides a jump that the bounds already decide. reg_set_min_max()
 * narrows the registers of both ways: on the taken way the condition holds, on the other its
 * opposite does.
 *
 * Guarantees
 *   A. is_scalar_branch_taken() answers 1 (0) only if the condition holds for all (no) pairs of
 *      members.
 *   B. reg_set_min_max(): a pair of members for which the condition holds is in the true copies,
 *      any other is in the false copies.
 * A way that no pair can go may leave registers that are not reg_bounds_sane(); the caller drops
 * it. Pure functions; any thread. Tests: tests/unit/test_jump.c.
 */
#include "verifier/domain/bounds.h"
#include "verifier/domain/jump.h"

/* JSET's opposite, "no common bit", has no opcode: BPF_JSET and a bit that conditions leave 0. */
#define COND_JCLR (BPF_JSET | 0x08)

struct view { /* one register at the width of the comparison */
	struct tnum t;
	u64 umin, umax;
	s64 smin, smax;
};

static struct view view_of(const struct bpf_reg_state *reg, bool is_jmp32)
{
	if (is_jmp32)
		return (struct view){tnum_subreg(reg->var_off), reg->u32_min_value,
				     reg->u32_max_value, reg->s32_min_value, reg->s32_max_value};
	return (struct view){reg->var_off, reg->umin_value, reg->umax_value, reg->smin_value,
			     reg->smax_value};
}

static bool ranges_apart(const struct view *a, const struct view *b)
{
	return a->umin > b->umax || a->umax < b->umin || a->smin > b->smax || a->smax < b->smin;
}

/* 1: equal in every case, 0: in none, -1: not known. */
static int is_equal(const struct bpf_reg_state *reg1, const struct bpf_reg_state *reg2,
		    bool is_jmp32)
{
	struct view a = view_of(reg1, is_jmp32), b = view_of(reg2, is_jmp32);
	struct view a32 = view_of(reg1, true), b32 = view_of(reg2, true);

	if (tnum_is_const(a.t) && tnum_is_const(b.t))
		return a.t.value == b.t.value;
	if (!tnum_overlap(a.t, b.t) || ranges_apart(&a, &b))
		return 0;
	/* Different low halves make different values. */
	return ranges_apart(&a32, &b32) ? 0 : -1;
}

/* Asked only of constants, as in Linux. */
static int has_common_bit(const struct view *a, const struct view *b)
{
	if (!tnum_is_const(a->t) && !tnum_is_const(b->t))
		return -1;
	if (a->t.value & b->t.value)
		return 1;
	if (!((a->t.value | a->t.mask) & (b->t.value | b->t.mask)))
		return 0;
	return -1;
}

static int unless_unknown(int taken)
{
	return taken < 0 ? taken : !taken;
}

/* a > b */
static int is_above(const struct view *a, const struct view *b)
{
	return a->umin > b->umax ? 1 : a->umax <= b->umin ? 0 : -1;
}

static int is_above_signed(const struct view *a, const struct view *b)
{
	return a->smin > b->smax ? 1 : a->smax <= b->smin ? 0 : -1;
}

int is_scalar_branch_taken(const struct bpf_reg_state *reg1, const struct bpf_reg_state *reg2,
			   u8 opcode, bool is_jmp32)
{
	struct view a = view_of(reg1, is_jmp32), b = view_of(reg2, is_jmp32);

	switch (opcode) {
	case BPF_JEQ:
		return is_equal(reg1, reg2, is_jmp32);
	case BPF_JNE:
		return unless_unknown(is_equal(reg1, reg2, is_jmp32));
	case BPF_JSET:
		return has_common_bit(&a, &b);
	case BPF_JGT:
		return is_above(&a, &b);
	case BPF_JLE:
		return unless_unknown(is_above(&a, &b));
	case BPF_JLT:
		return is_above(&b, &a);
	case BPF_JGE:
		return unless_unknown(is_above(&b, &a));
	case BPF_JSGT:
		return is_above_signed(&a, &b);
	case BPF_JSLE:
		return unless_unknown(is_above_signed(&a, &b));
	case BPF_JSLT:
		return is_above_signed(&b, &a);
	case BPF_JSGE:
		return unless_unknown(is_above_signed(&b, &a));
	default:
		return -1;
	}
}

/* ---- refinement: each function makes its condition true of r1 and r2 */

static void refine_equal(struct bpf_reg_state *r1, struct bpf_reg_state *r2, bool is_jmp32)
{
	if (is_jmp32) {
		struct tnum t = tnum_intersect(tnum_subreg(r1->var_off), tnum_subreg(r2->var_off));

		r1->u32_min_value = r2->u32_min_value = max(r1->u32_min_value, r2->u32_min_value);
		r1->u32_max_value = r2->u32_max_value = min(r1->u32_max_value, r2->u32_max_value);
		r1->s32_min_value = r2->s32_min_value = max(r1->s32_min_value, r2->s32_min_value);
		r1->s32_max_value = r2->s32_max_value = min(r1->s32_max_value, r2->s32_max_value);
		r1->var_off = tnum_with_subreg(r1->var_off, t);
		r2->var_off = tnum_with_subreg(r2->var_off, t);
		return;
	}
	r1->umin_value = r2->umin_value = max(r1->umin_value, r2->umin_value);
	r1->umax_value = r2->umax_value = min(r1->umax_value, r2->umax_value);
	r1->smin_value = r2->smin_value = max(r1->smin_value, r2->smin_value);
	r1->smax_value = r2->smax_value = min(r1->smax_value, r2->smax_value);
	r1->var_off = r2->var_off = tnum_intersect(r1->var_off, r2->var_off);
}

/*
 * The register that is a constant at this width goes to r2. What only a constant teaches (an
 * inequality, bits) is asked of the pair in both orders.
 */
static bool constant_second(struct bpf_reg_state **r1, struct bpf_reg_state **r2, bool is_jmp32)
{
	struct bpf_reg_state *other = *r1;

	if (tnum_is_const(view_of(*r2, is_jmp32).t))
		return true;
	*r1 = *r2;
	*r2 = other;
	return tnum_is_const(view_of(*r2, is_jmp32).t);
}

/* Not equal to a constant: it says something when the constant is an end of a range. */
static void refine_not_equal(struct bpf_reg_state *r1, struct bpf_reg_state *r2, bool is_jmp32)
{
	u64 val;

	if (!constant_second(&r1, &r2, is_jmp32))
		return;
	if (is_jmp32) {
		u32 val32 = r2->var_off.value;

		if (r1->u32_min_value == r1->u32_max_value)
			return; /* one value: either it differs, or nobody comes here */
		r1->u32_min_value += r1->u32_min_value == val32;
		r1->u32_max_value -= r1->u32_max_value == val32;
		if (r1->s32_min_value == r1->s32_max_value)
			return;
		r1->s32_min_value += r1->s32_min_value == (s32)val32;
		r1->s32_max_value -= r1->s32_max_value == (s32)val32;
		return;
	}
	val = r2->var_off.value;
	if (r1->umin_value == r1->umax_value || r1->smin_value == r1->smax_value)
		return;
	r1->umin_value += r1->umin_value == val;
	r1->umax_value -= r1->umax_value == val;
	r1->smin_value += r1->smin_value == (s64)val;
	r1->smax_value -= r1->smax_value == (s64)val;
}

/* Some bit of the constant is set: with one bit, we know which. */
static void refine_set(struct bpf_reg_state *r1, struct bpf_reg_state *r2, bool is_jmp32)
{
	u64 val;

	if (!constant_second(&r1, &r2, is_jmp32))
		return;
	val = view_of(r2, is_jmp32).t.value;
	if (val && !(val & (val - 1)))
		r1->var_off = tnum_or(r1->var_off, tnum_const(val));
}

/*
 * No bit of the constant is set. The ranges are formed anew from the bits, as in Linux: on a way
 * that nobody can go, ranges and bits might contradict each other.
 */
static void refine_clear(struct bpf_reg_state *r1, struct bpf_reg_state *r2, bool is_jmp32)
{
	if (!constant_second(&r1, &r2, is_jmp32))
		return;
	__mark_reg_unbounded(r1);
	r1->var_off = tnum_and(r1->var_off, tnum_const(~view_of(r2, is_jmp32).t.value));
}

/* r1 <= r2, or r1 < r2 when strict. The ends are moved by `strict` where that does not wrap. */
static void refine_below(struct bpf_reg_state *r1, struct bpf_reg_state *r2, bool strict,
			 bool is_jmp32)
{
	if (is_jmp32) {
		u32 top = r2->u32_max_value - (strict && r2->u32_max_value);
		u32 bottom = r1->u32_min_value + (strict && r1->u32_min_value != UINT32_MAX);

		r1->u32_max_value = min(r1->u32_max_value, top);
		r2->u32_min_value = max(r2->u32_min_value, bottom);
	} else {
		u64 top = r2->umax_value - (strict && r2->umax_value);
		u64 bottom = r1->umin_value + (strict && r1->umin_value != UINT64_MAX);

		r1->umax_value = min(r1->umax_value, top);
		r2->umin_value = max(r2->umin_value, bottom);
	}
}

static void refine_below_signed(struct bpf_reg_state *r1, struct bpf_reg_state *r2, bool strict,
				bool is_jmp32)
{
	if (is_jmp32) {
		s32 top = r2->s32_max_value - (strict && r2->s32_max_value != INT32_MIN);
		s32 bottom = r1->s32_min_value + (strict && r1->s32_min_value != INT32_MAX);

		r1->s32_max_value = min(r1->s32_max_value, top);
		r2->s32_min_value = max(r2->s32_min_value, bottom);
	} else {
		s64 top = r2->smax_value - (strict && r2->smax_value != INT64_MIN);
		s64 bottom = r1->smin_value + (strict && r1->smin_value != INT64_MAX);

		r1->smax_value = min(r1->smax_value, top);
		r2->smin_value = max(r2->smin_value, bottom);
	}
}

static u8 opposite(u8 opcode)
{
	switch (opcode) {
	case BPF_JEQ:
		return BPF_JNE;
	case BPF_JNE:
		return BPF_JEQ;
	case BPF_JSET:
		return COND_JCLR;
	case BPF_JGT:
		return BPF_JLE;
	case BPF_JLE:
		return BPF_JGT;
	case BPF_JLT:
		return BPF_JGE;
	case BPF_JGE:
		return BPF_JLT;
	case BPF_JSGT:
		return BPF_JSLE;
	case BPF_JSLE:
		return BPF_JSGT;
	case BPF_JSLT:
		return BPF_JSGE;
	case BPF_JSGE:
		return BPF_JSLT;
	default:
		return opcode;
	}
}

static void refine(struct bpf_reg_state *r1, struct bpf_reg_state *r2, u8 cond, bool is_jmp32)
{
	switch (cond) {
	case BPF_JEQ:
		refine_equal(r1, r2, is_jmp32);
		break;
	case BPF_JNE:
		refine_not_equal(r1, r2, is_jmp32);
		break;
	case BPF_JSET:
		refine_set(r1, r2, is_jmp32);
		break;
	case COND_JCLR:
		refine_clear(r1, r2, is_jmp32);
		break;
	case BPF_JLE:
	case BPF_JLT:
		refine_below(r1, r2, cond == BPF_JLT, is_jmp32);
		break;
	case BPF_JGE:
	case BPF_JGT:
		refine_below(r2, r1, cond == BPF_JGT, is_jmp32);
		break;
	case BPF_JSLE:
	case BPF_JSLT:
		refine_below_signed(r1, r2, cond == BPF_JSLT, is_jmp32);
		break;
	case BPF_JSGE:
	case BPF_JSGT:
		refine_below_signed(r2, r1, cond == BPF_JSGT, is_jmp32);
		break;
	default:
		return;
	}
	reg_bounds_sync(r1);
	reg_bounds_sync(r2);
}

void reg_set_min_max(struct bpf_reg_state *true_reg1, struct bpf_reg_state *true_reg2,
		     struct bpf_reg_state *false_reg1, struct bpf_reg_state *false_reg2, u8 opcode,
		     bool is_jmp32)
{
	/*
	 * A pointer's bounds are those of its offset: a comparison of addresses says nothing here.
	 */
	if (true_reg1->type != SCALAR_VALUE || true_reg2->type != SCALAR_VALUE)
		return;
	refine(true_reg1, true_reg2, opcode, is_jmp32);
	refine(false_reg1, false_reg2, opposite(opcode), is_jmp32);
}
