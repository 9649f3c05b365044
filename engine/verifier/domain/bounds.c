/*
 * bounds.c - keeping the five views of a scalar consistent
 *
 * A scalar is known as a tnum, an unsigned and a signed 64-bit range, and the same two ranges of
 * its low 32 bits. A concrete value belongs to the register when it is inside all five. Each view
 * may know something that the others do not; reg_bounds_sync() carries knowledge from one to the
 * other.
 *
 * Guarantees
 *   A. Nothing here removes a value that was inside all views (soundness).
 *   B. reg_bounds_sync() never widens a view.
 *   C. The coerce functions: x in reg before implies trunc(x) (or its sign extension) in reg after.
 * When no value is inside all views, a range may end up empty; reg_bounds_sane() tells.
 * Pure functions of a register; any thread. Tests: tests/unit/test_bounds.c.
 */
#include "verifier/domain/bounds.h"

/* ---- setting */

static void set_ranges64(struct bpf_reg_state *reg, s64 smin, s64 smax, u64 umin, u64 umax)
{
	reg->smin_value = smin;
	reg->smax_value = smax;
	reg->umin_value = umin;
	reg->umax_value = umax;
}

static void set_ranges32(struct bpf_reg_state *reg, s32 smin, s32 smax, u32 umin, u32 umax)
{
	reg->s32_min_value = smin;
	reg->s32_max_value = smax;
	reg->u32_min_value = umin;
	reg->u32_max_value = umax;
}

static void unbound64(struct bpf_reg_state *reg)
{
	set_ranges64(reg, INT64_MIN, INT64_MAX, 0, UINT64_MAX);
}

void __mark_reg32_unbounded(struct bpf_reg_state *reg)
{
	set_ranges32(reg, INT32_MIN, INT32_MAX, 0, UINT32_MAX);
}

void __mark_reg_unbounded(struct bpf_reg_state *reg)
{
	unbound64(reg);
	__mark_reg32_unbounded(reg);
}

static void set_value(struct bpf_reg_state *reg, u64 imm)
{
	reg->var_off = tnum_const(imm);
	set_ranges64(reg, imm, imm, imm, imm);
	set_ranges32(reg, imm, imm, imm, imm);
}

void __mark_reg_known(struct bpf_reg_state *reg, u64 imm)
{
	reg->id = 0;
	reg->off = 0;
	set_value(reg, imm);
}

void __mark_reg32_known(struct bpf_reg_state *reg, u64 imm)
{
	reg->var_off = tnum_const_subreg(reg->var_off, imm);
	set_ranges32(reg, imm, imm, imm, imm);
}

/*
 * Forget what a pointer had in the union, so that two scalars compare equal when their values do.
 */
static void become_scalar(struct bpf_reg_state *reg)
{
	reg->type = SCALAR_VALUE;
	reg->off = 0;
	reg->map_ptr = NULL;
	reg->map_uid = 0;
	reg->id = 0;
	reg->ref_obj_id = 0;
	reg->frameno = 0;
	reg->precise = false;
}

void __mark_reg_const_zero(struct bpf_reg_state *reg)
{
	become_scalar(reg);
	__mark_reg_known(reg, 0);
}

void __mark_reg_unknown(struct bpf_reg_state *reg)
{
	become_scalar(reg);
	reg->believed = false;
	reg->var_off = tnum_unknown;
	__mark_reg_unbounded(reg);
}

/* ---- narrowing: the new knowledge is intersected with the old */

static void narrow_u64(struct bpf_reg_state *reg, u64 lo, u64 hi)
{
	reg->umin_value = max(reg->umin_value, lo);
	reg->umax_value = min(reg->umax_value, hi);
}

static void narrow_s64(struct bpf_reg_state *reg, s64 lo, s64 hi)
{
	reg->smin_value = max(reg->smin_value, lo);
	reg->smax_value = min(reg->smax_value, hi);
}

static void narrow_u32(struct bpf_reg_state *reg, u32 lo, u32 hi)
{
	reg->u32_min_value = max(reg->u32_min_value, lo);
	reg->u32_max_value = min(reg->u32_max_value, hi);
}

static void narrow_s32(struct bpf_reg_state *reg, s32 lo, s32 hi)
{
	reg->s32_min_value = max(reg->s32_min_value, lo);
	reg->s32_max_value = min(reg->s32_max_value, hi);
}

/* ---- from the tnum to the ranges: unknown bits all 0 give the least member, all 1 the greatest */

static void ranges32_from_tnum(struct bpf_reg_state *reg)
{
	u32 value = reg->var_off.value, mask = reg->var_off.mask;

	/* Signed, an unknown sign bit is 1 in the least member and 0 in the greatest. */
	narrow_s32(reg, value | (mask & (1u << 31)), value | (mask & INT32_MAX));
	narrow_u32(reg, value, value | mask);
}

/* The least member above x; the largest member when there is none. */
static u64 next_member(struct tnum t, u64 x)
{
	u64 largest = t.value | t.mask, next;

	return x < largest && tnum_at_least(t, x + 1, &next) ? next : largest;
}

/*
 * When a single member of the tnum is inside the unsigned range, that is the value. The cases at
 * the tnum's largest member are Linux's: a range that has come down to it is left to the next
 * sync, and it is also what a way that nobody goes gets when all members are below the range.
 */
static void only_member(struct bpf_reg_state *reg)
{
	struct tnum t = reg->var_off;
	u64 next = next_member(t, reg->umin_value);

	if ((reg->umin_value & ~t.mask) == t.value) {
		if (next > reg->umax_value)
			set_value(reg, reg->umin_value);
	} else if (next == (t.value | t.mask) ||
		   (next <= reg->umax_value && next_member(t, next) > reg->umax_value)) {
		set_value(reg, next);
	}
}

static void ranges64_from_tnum(struct bpf_reg_state *reg)
{
	u64 value = reg->var_off.value, mask = reg->var_off.mask;

	narrow_s64(reg, value | (mask & (1ULL << 63)), value | (mask & INT64_MAX));
	narrow_u64(reg, value, value | mask);
	only_member(reg);
}

/* ---- from the 64-bit ranges to the 32-bit ranges, and between signed and unsigned */

/*
 * The low halves of a 64-bit range [lo, hi]. Within one block of 2^32 they run from the low half
 * of lo to that of hi; that is an unsigned range, and a signed one if it does not pass 2^31. When
 * hi lies in the block after lo's, and the run passes only from -1 to 0, it is a signed range.
 */
static void low_half_of_range(struct bpf_reg_state *reg, u64 lo, u64 hi)
{
	u32 lo_block = lo >> 32, hi_block = hi >> 32;
	u32 ulo = lo, uhi = hi;
	s32 slo = lo, shi = hi;

	if (lo_block == hi_block) {
		if (ulo <= uhi)
			narrow_u32(reg, ulo, uhi);
		if (slo <= shi)
			narrow_s32(reg, slo, shi);
	} else if (lo_block + 1 == hi_block && slo < 0 && shi >= 0) {
		narrow_s32(reg, slo, shi);
	}
}

/*
 * Between the two views of one width. A range that does not pass its sign boundary is the same
 * range in the other view. A signed range that passes zero is, as unsigned numbers, [0, smax] and
 * [smin, max]: when the unsigned range touches only one of the two, both views shrink to that one.
 */
static void deduce_signs32(struct bpf_reg_state *reg)
{
	u32 smin, smax;

	if ((s32)reg->u32_min_value <= (s32)reg->u32_max_value)
		narrow_s32(reg, reg->u32_min_value, reg->u32_max_value);
	smin = reg->s32_min_value;
	smax = reg->s32_max_value;
	if (smin <= smax) {
		narrow_u32(reg, smin, smax);
	} else if (reg->u32_max_value < smin) {
		narrow_s32(reg, reg->u32_min_value, INT32_MAX);
		narrow_u32(reg, 0, smax);
	} else if (smax < reg->u32_min_value) {
		narrow_s32(reg, INT32_MIN, reg->u32_max_value);
		narrow_u32(reg, smin, UINT32_MAX);
	}
}

static void deduce_signs64(struct bpf_reg_state *reg)
{
	u64 smin, smax;

	if ((s64)reg->umin_value <= (s64)reg->umax_value)
		narrow_s64(reg, reg->umin_value, reg->umax_value);
	smin = reg->smin_value;
	smax = reg->smax_value;
	if (smin <= smax) {
		narrow_u64(reg, smin, smax);
	} else if (reg->umax_value < smin) {
		narrow_s64(reg, reg->umin_value, INT64_MAX);
		narrow_u64(reg, 0, smax);
	} else if (smax < reg->umin_value) {
		narrow_s64(reg, INT64_MIN, reg->umax_value);
		narrow_u64(reg, smin, UINT64_MAX);
	}
}

static void deduce32(struct bpf_reg_state *reg)
{
	low_half_of_range(reg, reg->umin_value, reg->umax_value);
	low_half_of_range(reg, reg->smin_value, reg->smax_value);
	deduce_signs32(reg);
}

/* From the 32-bit ranges to the 64-bit ranges. */
static void deduce_mixed(struct bpf_reg_state *reg)
{
	u64 upper = (u64)UINT32_MAX << 32;

	/*
	 * In the block of the least value, the low half is at least u32_min; and so at the other
	 * end.
	 */
	narrow_u64(reg, (reg->umin_value & upper) | reg->u32_min_value,
		   (reg->umax_value & upper) | reg->u32_max_value);
	narrow_s64(reg, ((u64)reg->smin_value & upper) | reg->u32_min_value,
		   ((u64)reg->smax_value & upper) | reg->u32_max_value);
	/*
	 * A value that fits into 32 signed bits, with a low half that is not negative, is its low
	 * half. As in Linux the low half's range replaces what was known: verdicts and logs agree
	 * in this too.
	 */
	if (reg->s32_min_value >= 0 && reg->smin_value >= INT32_MIN &&
	    reg->smax_value <= INT32_MAX) {
		set_ranges64(reg, reg->s32_min_value, reg->s32_max_value, reg->s32_min_value,
			     reg->s32_max_value);
		reg->var_off =
			tnum_intersect(reg->var_off, tnum_range(reg->umin_value, reg->umax_value));
	}
}

/* From the ranges to the tnum. */
static void tnum_from_ranges(struct bpf_reg_state *reg)
{
	struct tnum all =
		tnum_intersect(reg->var_off, tnum_range(reg->umin_value, reg->umax_value));
	struct tnum low = tnum_intersect(tnum_subreg(all),
					 tnum_range(reg->u32_min_value, reg->u32_max_value));

	reg->var_off = tnum_with_subreg(all, low);
}

void reg_bounds_sync(struct bpf_reg_state *reg)
{
	ranges32_from_tnum(reg);
	ranges64_from_tnum(reg);
	/*
	 * A fact may travel u64 -> u32 -> s32 -> s64 -> u64; three rounds reach the end of every
	 * chain.
	 */
	for (int round = 0; round < 3; round++) {
		deduce32(reg);
		deduce_signs64(reg);
		deduce_mixed(reg);
	}
	tnum_from_ranges(reg);
	/* A bit that is now known may cut the ranges once more. */
	ranges32_from_tnum(reg);
	ranges64_from_tnum(reg);
}

static bool tnum_agrees(u64 min, u64 max, struct tnum t)
{
	return t.value <= max && (t.value | t.mask) >= min;
}

bool reg_bounds_sane(const struct bpf_reg_state *reg)
{
	return reg->umin_value <= reg->umax_value && reg->smin_value <= reg->smax_value &&
	       reg->u32_min_value <= reg->u32_max_value &&
	       reg->s32_min_value <= reg->s32_max_value &&
	       !(reg->var_off.value & reg->var_off.mask) &&
	       tnum_agrees(reg->umin_value, reg->umax_value, reg->var_off) &&
	       tnum_agrees(reg->u32_min_value, reg->u32_max_value, tnum_subreg(reg->var_off));
}

/* ---- changing the width */

void zext_32_to_64(struct bpf_reg_state *reg)
{
	reg->var_off = tnum_subreg(reg->var_off);
	reg->umin_value = reg->u32_min_value;
	reg->umax_value = reg->u32_max_value;
	if (reg->s32_min_value >= 0 && reg->s32_max_value >= 0) {
		reg->smin_value = reg->s32_min_value;
		reg->smax_value = reg->s32_max_value;
	} else {
		reg->smin_value = 0;
		reg->smax_value = UINT32_MAX;
	}
}

void coerce_reg_to_size(struct bpf_reg_state *reg, int size)
{
	u64 keep = size >= 8 ? UINT64_MAX : (1ULL << (8 * size)) - 1;

	if (size >= 8)
		return;
	reg->var_off = tnum_cast(reg->var_off, size);
	/*
	 * When all members agree in what is cut off, the range survives; else it is all of the
	 * size.
	 */
	if ((reg->umin_value & ~keep) == (reg->umax_value & ~keep)) {
		reg->umin_value &= keep;
		reg->umax_value &= keep;
	} else {
		reg->umin_value = 0;
		reg->umax_value = keep;
	}
	reg->smin_value = reg->umin_value;
	reg->smax_value = reg->umax_value;
	/* The low 32 bits are untouched only when all of them were kept. */
	if (size < 4)
		__mark_reg32_unbounded(reg);
	reg_bounds_sync(reg);
}

static s64 sign_extend(u64 value, int size)
{
	int shift = 64 - 8 * size;

	return (s64)(value << shift) >> shift;
}

/*
 * The range of (sN)x for x in the signed range [min, max]: exact when all of them agree above the
 * N bits and the sign bit does not change on the way; otherwise everything that N bits can hold.
 */
static void sign_extended_range(s64 *min, s64 *max, int size)
{
	int bits = 8 * size;
	s64 lo = sign_extend(*min, size), hi = sign_extend(*max, size);

	if (*min >> bits == *max >> bits && lo <= hi) {
		*min = lo;
		*max = hi;
	} else {
		*min = -(1LL << (bits - 1));
		*max = (1LL << (bits - 1)) - 1;
	}
}

void coerce_reg_to_size_sx(struct bpf_reg_state *reg, int size)
{
	s64 min = reg->smin_value, max = reg->smax_value;

	if (size >= 8)
		return;
	if (tnum_is_const(reg->var_off)) {
		min = max = sign_extend(reg->var_off.value, size);
	} else {
		sign_extended_range(&min, &max, size);
	}
	reg->var_off = tnum_unknown;
	__mark_reg_unbounded(reg);
	narrow_s64(reg, min, max);
	narrow_s32(reg, min, max);
	reg_bounds_sync(reg);
}

void coerce_subreg_to_size_sx(struct bpf_reg_state *reg, int size)
{
	s64 min = reg->s32_min_value, max = reg->s32_max_value;

	if (size >= 4)
		return;
	if (tnum_subreg_is_const(reg->var_off)) {
		min = max = sign_extend(reg->var_off.value, size);
	} else {
		sign_extended_range(&min, &max, size);
	}
	reg->var_off = tnum_unknown;
	__mark_reg_unbounded(reg);
	narrow_s32(reg, min, max);
	deduce32(reg);
	zext_32_to_64(reg);
	reg_bounds_sync(reg);
}
