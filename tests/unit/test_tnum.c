/*
 * test_tnum.c - tristate numbers, exhaustively where that is possible
 *
 * Letters are the guarantees of engine/verifier/domain/tnum.c. The exhaustive tests take every tnum
 * of BITS bits, at the bottom of the word and at its top (where the sign and the wrap are).
 */
#include <stdarg.h>
#include <setjmp.h>
#include <inttypes.h>
#include <stdio.h>
#include <cmocka.h>
#include "tests/lib/domain.h"

#define BITS 4
#define ALL  (1u << BITS)

typedef struct tnum (*op2_t)(struct tnum a, struct tnum b);

static u64 c_add(u64 a, u64 b)
{
	return a + b;
}

static u64 c_sub(u64 a, u64 b)
{
	return a - b;
}

static u64 c_mul(u64 a, u64 b)
{
	return a * b;
}

static u64 c_and(u64 a, u64 b)
{
	return a & b;
}

static u64 c_or(u64 a, u64 b)
{
	return a | b;
}

static u64 c_xor(u64 a, u64 b)
{
	return a ^ b;
}

static const struct op2 {
	const char *name;
	op2_t op;
	u64 (*concrete)(u64 a, u64 b);
} ops2[] = {
	{"add", tnum_add, c_add}, {"sub", tnum_sub, c_sub}, {"mul", tnum_mul, c_mul},
	{"and", tnum_and, c_and}, {"or", tnum_or, c_or},    {"xor", tnum_xor, c_xor},
};

/* Call fn for every tnum of BITS bits, shifted to bit `at`. */
#define for_each_tnum(t, at)                     \
	for (u64 _m = 0; _m < ALL; _m++)         \
		for (u64 _v = 0; _v < ALL; _v++) \
			if (!(_v & _m) && ((t) = TNUM(_v << (at), _m << (at)), true))

/* The k-th member of a tnum (k counts through the unknown bits). */
static u64 member(struct tnum t, u64 k)
{
	u64 x = t.value;

	for (int bit = 0; bit < 64; bit++) {
		if (t.mask >> bit & 1) {
			x |= (k & 1) << bit;
			k >>= 1;
		}
	}
	return x;
}

static u64 members(struct tnum t)
{
	return 1ull << __builtin_popcountll(t.mask);
}

static void check_op2(const struct op2 *o, struct tnum a, struct tnum b)
{
	struct tnum r = o->op(a, b);

	if (r.value & r.mask)
		fail_msg("%s: value and mask overlap", o->name);
	if (!a.mask && !b.mask && r.mask)
		fail_msg("%s: constants gave an unknown", o->name);
	for (u64 i = 0; i < members(a); i++) {
		for (u64 j = 0; j < members(b); j++) {
			u64 x = member(a, i), y = member(b, j);

			if (!tnum_has(r, o->concrete(x, y)))
				fail_msg("%s: %#" PRIx64 ", %#" PRIx64 " -> %#" PRIx64
					 " not in (%#" PRIx64 "; %#" PRIx64 ")",
					 o->name, x, y, o->concrete(x, y), r.value, r.mask);
		}
	}
}

static void A_B_C_two_operands(void **state)
{
	static const int at[] = {0, 30, 60};
	struct tnum a, b;

	for (size_t o = 0; o < ARRAY_SIZE(ops2); o++)
		for (size_t p = 0; p < ARRAY_SIZE(at); p++)
			for (size_t q = 0; q < ARRAY_SIZE(at); q++)
				for_each_tnum(a, at[p]) for_each_tnum(b, at[q])
					check_op2(&ops2[o], a, b);
}

static void A_random_64_bits(void **state)
{
	struct rng rng = rng_init("tnum");

	for (u32 i = 0; i < test_rounds(200000); i++) {
		u64 ma = rng_interesting(&rng) & rng_u64(&rng), mb = rng_interesting(&rng);
		u64 x = rng_interesting(&rng), y = rng_u64(&rng) >> rng_below(&rng, 64);
		struct tnum a = TNUM(x & ~ma, ma), b = TNUM(y & ~mb, mb);

		x = a.value | (rng_u64(&rng) & ma);
		y = b.value | (rng_u64(&rng) & mb);
		for (size_t o = 0; o < ARRAY_SIZE(ops2); o++) {
			struct tnum r = ops2[o].op(a, b);

			if (!tnum_has(r, ops2[o].concrete(x, y)) || (r.value & r.mask))
				fail_msg("%s(%#" PRIx64 ", %#" PRIx64 ")", ops2[o].name, x, y);
		}
		assert_true(tnum_has(tnum_union(a, b), x) && tnum_has(tnum_union(a, b), y));
	}
}

/* The sums and bit operations are the best there are: every unknown bit does take both values. */
static void sums_and_bits_are_optimal(void **state)
{
	struct tnum a, b;

	for (size_t o = 0; o < ARRAY_SIZE(ops2); o++) {
		if (ops2[o].op == tnum_mul)
			continue;
		for_each_tnum(a, 0) for_each_tnum(b, 0)
		{
			struct tnum r = ops2[o].op(a, b);
			u64 ones = UINT64_MAX, any = 0;

			for (u64 i = 0; i < members(a); i++)
				for (u64 j = 0; j < members(b); j++) {
					u64 z = ops2[o].concrete(member(a, i), member(b, j));

					ones &= z;
					any |= z;
				}
			if (r.value != ones || r.mask != (ones ^ any))
				fail_msg("%s is not optimal", ops2[o].name);
		}
	}
}

static void A_shifts(void **state)
{
	struct tnum t;

	for (int at = 0; at <= 60; at += 4) {
		for_each_tnum(t, at)
		{
			for (u8 s = 0; s < 64; s += s < 4 ? 1 : 5) {
				for (u64 i = 0; i < members(t); i++) {
					u64 x = member(t, i);

					assert_true(tnum_has(tnum_lshift(t, s), x << s));
					assert_true(tnum_has(tnum_rshift(t, s), x >> s));
					assert_true(tnum_has(tnum_arshift(t, s, 64), (s64)x >> s));
					if (s < 32)
						assert_true(tnum_has(tnum_arshift(t, s, 32),
								     (u32)((s32)x >> s)));
				}
			}
		}
	}
}

static void ranges(void **state)
{
	for (u64 lo = 0; lo < 64; lo++) {
		for (u64 hi = lo; hi < 64; hi++) {
			struct tnum t = tnum_range(lo, hi);
			struct tnum hull = tnum_const(lo);

			for (u64 x = lo; x <= hi; x++)
				hull = tnum_union(hull, tnum_const(x));
			assert_int_equal(t.value, hull.value);
			assert_int_equal(t.mask, hull.mask);
		}
	}
	assert_true(tnum_is_unknown(tnum_range(0, UINT64_MAX)));
	assert_true(tnum_is_unknown(tnum_range(5, 1ull << 63)));
	assert_true(tnum_equals_const(tnum_range(UINT64_MAX, UINT64_MAX), UINT64_MAX));
}

/* in, overlap, intersect and union as set theory has them */
static void sets(void **state)
{
	struct tnum a, b;

	for_each_tnum(a, 0) for_each_tnum(b, 0)
	{
		u64 common = 0, only_b = 0;

		for (u64 x = 0; x < ALL; x++) {
			common += tnum_has(a, x) && tnum_has(b, x);
			only_b += tnum_has(b, x) && !tnum_has(a, x);
			assert_true(!(tnum_has(a, x) || tnum_has(b, x)) ||
				    tnum_has(tnum_union(a, b), x));
			if (tnum_overlap(a, b))
				assert_int_equal(tnum_has(tnum_intersect(a, b), x),
						 tnum_has(a, x) && tnum_has(b, x));
		}
		assert_int_equal(tnum_overlap(a, b), common > 0);
		assert_int_equal(tnum_in(a, b), only_b == 0);
	}
}

static void A_parts_of_the_word(void **state)
{
	struct rng rng = rng_init("tnum parts");

	for (u32 i = 0; i < test_rounds(50000); i++) {
		u64 m = rng_interesting(&rng), v = rng_u64(&rng), w = rng_u64(&rng);
		struct tnum t = TNUM(v & ~m, m), o = TNUM(w & ~v, v);
		u64 x = t.value | (rng_u64(&rng) & m), y = o.value | (rng_u64(&rng) & o.mask);

		assert_true(tnum_has(tnum_cast(t, 1), (u8)x));
		assert_true(tnum_has(tnum_cast(t, 2), (u16)x));
		assert_true(tnum_has(tnum_cast(t, 8), x));
		assert_true(tnum_has(tnum_subreg(t), (u32)x));
		assert_true(tnum_has(tnum_with_subreg(t, o), (x >> 32 << 32) | (u32)y));
		assert_true(tnum_has(tnum_const_subreg(t, 77), (x >> 32 << 32) | 77));
		assert_true(tnum_has(tnum_bswap(t, 2), __builtin_bswap16(x)));
		assert_true(tnum_has(tnum_bswap(t, 4), __builtin_bswap32(x)));
		assert_true(tnum_has(tnum_bswap(t, 8), __builtin_bswap64(x)));
		assert_int_equal(tnum_subreg_is_const(t), !(u32)m);
	}
}

static void at_least(void **state)
{
	struct rng rng = rng_init("tnum at_least");
	struct tnum t;
	u64 got;

	for_each_tnum(t, 1)
	{
		for (u64 min = 0; min < 2 * ALL + 2; min++) {
			u64 want = UINT64_MAX;

			for (u64 x = min; x < 2 * ALL && want == UINT64_MAX; x++)
				if (tnum_has(t, x))
					want = x;
			if (tnum_at_least(t, min, &got) != (want != UINT64_MAX))
				fail_msg("at least %" PRIu64, min);
			if (want != UINT64_MAX)
				assert_int_equal(got, want);
		}
	}
	for (u32 i = 0; i < test_rounds(50000); i++) {
		u64 mask = rng_interesting(&rng), v = rng_u64(&rng) & ~mask;
		u64 x = v | (rng_u64(&rng) & mask), min = rng_below(&rng, 2) ? rng_u64(&rng) : x;

		t = TNUM(v, mask);
		if (!tnum_at_least(t, min, &got)) {
			assert_true(x < min);
			continue;
		}
		assert_true(tnum_has(t, got) && got >= min && (x < min || got <= x));
	}
	assert_true(tnum_at_least(tnum_unknown, UINT64_MAX, &got) && got == UINT64_MAX);
}

static void alignment(void **state)
{
	assert_true(tnum_is_aligned(tnum_const(16), 8));
	assert_false(tnum_is_aligned(tnum_const(12), 8));
	assert_true(tnum_is_aligned(TNUM(0, 0xf8), 8));
	assert_false(tnum_is_aligned(TNUM(0, 0xfc), 8));
	assert_true(tnum_is_aligned(tnum_unknown, 1));
	assert_true(tnum_is_aligned(tnum_unknown, 0));
}

static void text(void **state)
{
	char buf[48], small[4];

	assert_int_equal(tnum_strn(buf, sizeof(buf), TNUM(0, 0xff)), 11);
	assert_string_equal(buf, "(0x0; 0xff)");
	tnum_strn(buf, sizeof(buf), tnum_unknown);
	assert_string_equal(buf, "(0x0; 0xffffffffffffffff)");
	assert_int_equal(tnum_strn(small, sizeof(small), TNUM(1, 2)), 10);
	assert_string_equal(small, "(0x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(A_B_C_two_operands),
		cmocka_unit_test(A_random_64_bits),
		cmocka_unit_test(sums_and_bits_are_optimal),
		cmocka_unit_test(A_shifts),
		cmocka_unit_test(ranges),
		cmocka_unit_test(sets),
		cmocka_unit_test(A_parts_of_the_word),
		cmocka_unit_test(at_least),
		cmocka_unit_test(alignment),
		cmocka_unit_test(text),
	};

	return cmocka_run_group_tests_name("tnum", tests, NULL, NULL);
}
