/*
 * tnum.c - tristate numbers: what is known of a value bit by bit
 *
 * Structure: see tnum.h. A tnum with k unknown bits stands for 2^k values.
 *
 * Guarantees
 *   A. Soundness: for members x of a and y of b, x op y is a member of tnum_op(a, b).
 *   B. Form: value & mask == 0 in every result.
 *   C. Constants stay constants: if a and b have one member each, so has tnum_op(a, b).
 * Pure functions; any thread. Tests: tests/unit/test_tnum.c names each case by its letter.
 */
#include <inttypes.h>
#include <stdio.h>
#include "verifier/domain/tnum.h"

const struct tnum tnum_unknown = {.value = 0, .mask = UINT64_MAX};

/* Every operation ends here: a bit that may differ carries no value (guarantee B). */
static struct tnum tnum_make(u64 value, u64 mask)
{
	return TNUM(value & ~mask, mask);
}

struct tnum tnum_const(u64 value)
{
	return TNUM(value, 0);
}

struct tnum tnum_range(u64 min, u64 max)
{
	u64 differ = min ^ max;

	/* Below the highest bit in which the ends differ, every pattern occurs. */
	if (!differ)
		return tnum_const(min);
	return tnum_make(min, UINT64_MAX >> __builtin_clzll(differ));
}

struct tnum tnum_lshift(struct tnum a, u8 shift)
{
	return TNUM(a.value << shift, a.mask << shift);
}

struct tnum tnum_rshift(struct tnum a, u8 shift)
{
	return TNUM(a.value >> shift, a.mask >> shift);
}

struct tnum tnum_arshift(struct tnum a, u8 min_shift, u8 insn_bitness)
{
	/*
	 * Shifting value and mask arithmetically is right in all three cases of the sign bit:
	 * known 0, known 1 (value fills with ones), unknown (mask does).
	 */
	if (insn_bitness == 32)
		return TNUM((u32)((s32)a.value >> min_shift), (u32)((s32)a.mask >> min_shift));
	return TNUM((u64)((s64)a.value >> min_shift), (u64)((s64)a.mask >> min_shift));
}

struct tnum tnum_add(struct tnum a, struct tnum b)
{
	/*
	 * The smallest sum has all unknown bits 0, the largest has them all 1. Where these two
	 * differ in their carries, some choice of unknown bits changes the result.
	 */
	u64 smallest = a.value + b.value;
	u64 largest = smallest + a.mask + b.mask;

	return tnum_make(smallest, (smallest ^ largest) | a.mask | b.mask);
}

struct tnum tnum_sub(struct tnum a, struct tnum b)
{
	/*
	 * As tnum_add(), with the borrows: the extremes are a at its largest and b at its largest.
	 */
	u64 diff = a.value - b.value;
	u64 most = diff + a.mask;
	u64 least = diff - b.mask;

	return tnum_make(diff, (most ^ least) | a.mask | b.mask);
}

struct tnum tnum_and(struct tnum a, struct tnum b)
{
	u64 maybe_a = a.value | a.mask;
	u64 maybe_b = b.value | b.mask;

	return tnum_make(a.value & b.value, (maybe_a & maybe_b) & ~(a.value & b.value));
}

struct tnum tnum_or(struct tnum a, struct tnum b)
{
	u64 ones = a.value | b.value;

	return TNUM(ones, (a.mask | b.mask) & ~ones);
}

struct tnum tnum_xor(struct tnum a, struct tnum b)
{
	return tnum_make(a.value ^ b.value, a.mask | b.mask);
}

struct tnum tnum_mul(struct tnum a, struct tnum b)
{
	struct tnum sum = tnum_const(0);

	/* Long multiplication; an unknown bit of a adds b << i or nothing, so the sum is either. */
	for (; a.value | a.mask; a = tnum_rshift(a, 1), b = tnum_lshift(b, 1)) {
		if (a.value & 1)
			sum = tnum_add(sum, b);
		else if (a.mask & 1)
			sum = tnum_union(sum, tnum_add(sum, b));
	}
	return sum;
}

bool tnum_overlap(struct tnum a, struct tnum b)
{
	u64 both_known = ~(a.mask | b.mask);

	return !((a.value ^ b.value) & both_known);
}

struct tnum tnum_intersect(struct tnum a, struct tnum b)
{
	/* Where both know a bit and disagree there is no member; the value then stays arbitrary. */
	return tnum_make(a.value | b.value, a.mask & b.mask);
}

struct tnum tnum_union(struct tnum a, struct tnum b)
{
	return tnum_make(a.value, a.mask | b.mask | (a.value ^ b.value));
}

bool tnum_at_least(struct tnum t, u64 min, u64 *member)
{
	u64 near = t.value | (min & t.mask), above, upper;

	if (min > (t.value | t.mask))
		return false;
	if (near == min) {
		*member = near;
		return true;
	}
	/*
	 * near agrees with min in the unknown bits. At the highest known bit where they differ,
	 * either near is already larger, and the unknown bits below may all be 0; or it is
	 * smaller, and the unknown bits above count one up (carries run through the known bits,
	 * set to 1 for that).
	 */
	above = ~(UINT64_MAX >> __builtin_clzll(near ^ min));
	upper = min & t.mask & above;
	if (near < min)
		upper = ((upper | ~(t.mask & above)) + 1) & t.mask & above;
	*member = t.value | upper;
	return true;
}

struct tnum tnum_cast(struct tnum a, u8 size)
{
	u64 keep = size >= 8 ? UINT64_MAX : (1ULL << (8 * size)) - 1;

	return TNUM(a.value & keep, a.mask & keep);
}

static u64 swap_bytes(u64 x, u8 size)
{
	switch (size) {
	case 2:
		return __builtin_bswap16(x);
	case 4:
		return __builtin_bswap32(x);
	default:
		return __builtin_bswap64(x);
	}
}

struct tnum tnum_bswap(struct tnum a, u8 size)
{
	return TNUM(swap_bytes(a.value, size), swap_bytes(a.mask, size));
}

bool tnum_is_aligned(struct tnum a, u64 size)
{
	return !size || !((a.value | a.mask) & (size - 1));
}

bool tnum_in(struct tnum a, struct tnum b)
{
	return !(b.mask & ~a.mask) && a.value == (b.value & ~a.mask);
}

struct tnum tnum_subreg(struct tnum a)
{
	return tnum_cast(a, 4);
}

static struct tnum tnum_clear_subreg(struct tnum a)
{
	return TNUM(a.value >> 32 << 32, a.mask >> 32 << 32);
}

struct tnum tnum_with_subreg(struct tnum reg, struct tnum subreg)
{
	reg = tnum_clear_subreg(reg);
	subreg = tnum_subreg(subreg);
	return TNUM(reg.value | subreg.value, reg.mask | subreg.mask);
}

struct tnum tnum_const_subreg(struct tnum a, u32 value)
{
	return tnum_with_subreg(a, tnum_const(value));
}

int tnum_strn(char *str, size_t size, struct tnum a)
{
	return snprintf(str, size, "(0x%" PRIx64 "; 0x%" PRIx64 ")", a.value, a.mask);
}
