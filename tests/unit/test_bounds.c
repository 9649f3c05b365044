/*
 * test_bounds.c - the five views of a scalar never lose a value
 *
 * Letters are the guarantees of engine/verifier/domain/bounds.c.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <inttypes.h>
#include <stdio.h>
#include <cmocka.h>
#include "tests/lib/domain.h"

static void must_have(const struct bpf_reg_state *reg, u64 x, const char *what,
		      const struct bpf_reg_state *before)
{
	const char *lacks = reg_lacks(reg, x);
	char a[400], b[400];

	if (lacks)
		fail_msg("%s lost %#" PRIx64 " in %s\nbefore %s\nafter  %s", what, x, lacks,
			 reg_text(before, a, sizeof(a)), reg_text(reg, b, sizeof(b)));
}

static bool narrower(const struct bpf_reg_state *a, const struct bpf_reg_state *b)
{
	return a->umin_value >= b->umin_value && a->umax_value <= b->umax_value &&
	       a->smin_value >= b->smin_value && a->smax_value <= b->smax_value &&
	       a->u32_min_value >= b->u32_min_value && a->u32_max_value <= b->u32_max_value &&
	       a->s32_min_value >= b->s32_min_value && a->s32_max_value <= b->s32_max_value &&
	       !(a->var_off.mask & ~b->var_off.mask);
}

static void A_B_sync_random(void **state)
{
	struct rng rng = rng_init("bounds");
	u64 m[4];
	int n;

	for (u32 i = 0; i < test_rounds(300000); i++) {
		struct bpf_reg_state before = reg_random(&rng, m, &n), after = before;

		reg_bounds_sync(&after);
		assert_true(narrower(&after, &before));
		assert_true(reg_bounds_sane(&after));
		for (int k = 0; k < n; k++)
			must_have(&after, m[k], "sync", &before);
	}
}

/*
 * Every combination of ranges between a few points: the points lie at each border that deduction
 * looks at, and the candidates are all of them and their neighbours.
 */
static const u64 points[] = {0,
			     1,
			     0x7fffffff,
			     0x80000000,
			     0xffffffff,
			     0x100000000,
			     0x17fffffff,
			     0x7fffffffffffffff,
			     1ull << 63,
			     0xfffffffeffffffff,
			     -(1ull << 32),
			     0xffffffff7fffffff,
			     0xffffffff80000000,
			     UINT64_MAX};

static void check_candidates(const struct bpf_reg_state *before)
{
	struct bpf_reg_state after = *before;

	reg_bounds_sync(&after);
	for (size_t i = 0; i < ARRAY_SIZE(points); i++)
		for (int d = -1; d <= 1; d++)
			if (!reg_lacks(before, points[i] + d))
				must_have(&after, points[i] + d, "sync", before);
}

static void A_sync_all_pairs_of_ranges(void **state)
{
	struct bpf_reg_state reg;

	for (size_t a = 0; a < ARRAY_SIZE(points); a++) {
		for (size_t b = 0; b < ARRAY_SIZE(points); b++) {
			for (size_t c = 0; c < ARRAY_SIZE(points); c++) {
				for (size_t d = 0; d < ARRAY_SIZE(points); d++) {
					reg = (struct bpf_reg_state){.type = SCALAR_VALUE};
					__mark_reg_unknown(&reg);
					reg.umin_value = points[a];
					reg.umax_value = points[b];
					reg.smin_value = points[c];
					reg.smax_value = points[d];
					check_candidates(&reg);
					__mark_reg_unbounded(&reg);
					reg.umin_value = points[a];
					reg.umax_value = points[b];
					reg.s32_min_value = points[c];
					reg.s32_max_value = points[d];
					check_candidates(&reg);
					__mark_reg_unbounded(&reg);
					reg.smin_value = points[a];
					reg.smax_value = points[b];
					reg.u32_min_value = points[c];
					reg.u32_max_value = points[d];
					check_candidates(&reg);
				}
			}
		}
	}
}

static u64 sext(u64 x, int size)
{
	return size == 1 ? (u64)(s8)x : size == 2 ? (u64)(s16)x : size == 4 ? (u64)(s32)x : x;
}

static void C_coerce(void **state)
{
	static const int sizes[] = {1, 2, 4, 8};
	struct rng rng = rng_init("coerce");
	u64 m[4];
	int n;

	for (u32 i = 0; i < test_rounds(100000); i++) {
		struct bpf_reg_state before = reg_random(&rng, m, &n), z, s, w, x;

		for (size_t j = 0; j < ARRAY_SIZE(sizes); j++) {
			int size = sizes[j];
			u64 keep = size == 8 ? UINT64_MAX : (1ull << (8 * size)) - 1;

			z = s = w = before;
			coerce_reg_to_size(&z, size);
			coerce_reg_to_size_sx(&s, size);
			for (int k = 0; k < n; k++) {
				must_have(&z, m[k] & keep, "coerce", &before);
				must_have(&s, sext(m[k], size), "sign extension", &before);
			}
			if (size >= 4)
				continue;
			coerce_subreg_to_size_sx(&w, size);
			for (int k = 0; k < n; k++)
				must_have(&w, (u32)sext(m[k], size), "w = (sN)w", &before);
		}
		x = before;
		zext_32_to_64(&x);
		reg_bounds_sync(&x);
		for (int k = 0; k < n; k++)
			must_have(&x, (u32)m[k], "zext", &before);
	}
}

/* What each deduction is for, one case each. */
static void deductions(void **state)
{
	struct bpf_reg_state r = {.type = SCALAR_VALUE};

	/* unsigned to signed and to the low half and the bits */
	__mark_reg_unknown(&r);
	r.umax_value = 255;
	reg_bounds_sync(&r);
	assert_true(r.smin_value == 0 && r.smax_value == 255 && r.s32_max_value == 255 &&
		    r.u32_max_value == 255 && r.var_off.mask == 0xff);
	/* the signed range of the low half to the rest, for a value that fits */
	__mark_reg_unknown(&r);
	r.smin_value = INT32_MIN;
	r.smax_value = INT32_MAX;
	r.s32_min_value = 0;
	reg_bounds_sync(&r);
	assert_true(r.smin_value == 0 && r.umax_value == INT32_MAX);
	/* the signed range passes zero, the unsigned one lies in its lower part */
	__mark_reg_unknown(&r);
	r.smin_value = -10;
	r.smax_value = 100;
	r.umax_value = 1ull << 40;
	reg_bounds_sync(&r);
	assert_true(r.smin_value == 0 && r.umax_value == 100);
	/* ... or in its upper part */
	__mark_reg_unknown(&r);
	r.smin_value = -10;
	r.smax_value = 100;
	r.umin_value = 1ull << 40;
	reg_bounds_sync(&r);
	assert_true(r.smax_value == -1 && r.umin_value == -10ull);
	/* a 64-bit range over a block border, which the low half sees as signed */
	__mark_reg_unknown(&r);
	r.umin_value = 0xfffffffeull;
	r.umax_value = 0x100000005;
	reg_bounds_sync(&r);
	assert_true(r.s32_min_value == -2 && r.s32_max_value == 5);
	/* known low bits cut the low half of the ends */
	__mark_reg_unknown(&r);
	r.umin_value = 0x500000000;
	r.umax_value = 0x5ffffffff;
	r.u32_min_value = 7;
	r.u32_max_value = 9;
	reg_bounds_sync(&r);
	assert_true(r.umin_value == 0x500000007 && r.umax_value == 0x500000009);
	/* one of the tnum's members is in the range: the largest, one between, the least */
	for (u32 i = 0; i < 3; i++) {
		static const u64 ranges[][3] = {{18, 21, 21}, {6, 16, 13}, {5, 12, 5}};

		__mark_reg_unknown(&r);
		r.var_off = (struct tnum){.value = 5, .mask = 0x18}; /* 5, 13, 21, 29 */
		if (!i)
			r.var_off.mask = 0x10; /* 5, 21 */
		r.umin_value = ranges[i][0];
		r.umax_value = ranges[i][1];
		reg_bounds_sync(&r);
		assert_int_equal(r.umin_value, ranges[i][2]);
		assert_int_equal(r.umax_value, ranges[i][2]);
		assert_true(r.var_off.value == ranges[i][2] && !r.var_off.mask);
	}
}

static void known_and_unknown(void **state)
{
	struct bpf_reg_state r = {.type = PTR_TO_STACK, .off = -8, .id = 3};

	__mark_reg_known(&r, -5ull);
	assert_int_equal(r.type, PTR_TO_STACK);
	assert_true(r.smin_value == -5 && r.s32_max_value == -5 && r.umin_value == -5ull &&
		    r.u32_max_value == -5u && tnum_equals_const(r.var_off, -5ull) && !r.id);
	__mark_reg_unknown(&r);
	assert_true(r.type == SCALAR_VALUE && tnum_is_unknown(r.var_off) && !r.off);
	__mark_reg32_known(&r, 5);
	assert_true(r.u32_min_value == 5 && r.s32_max_value == 5 && r.umax_value == UINT64_MAX &&
		    tnum_subreg_is_const(r.var_off));
	r.type = PTR_TO_CTX;
	__mark_reg_const_zero(&r);
	assert_true(r.type == SCALAR_VALUE && r.umax_value == 0 && r.smin_value == 0);
	__mark_reg_unbounded(&r);
	__mark_reg_known(&r, 7);
	__mark_reg32_unbounded(&r);
	assert_true(r.umin_value == 7 && r.u32_max_value == UINT32_MAX);
}

static void empty_views_are_seen(void **state)
{
	struct bpf_reg_state good = {.type = SCALAR_VALUE}, r;

	__mark_reg_unknown(&good);
	assert_true(reg_bounds_sane(&good));
	r = good;
	r.umin_value = 6;
	r.umax_value = 5;
	assert_false(reg_bounds_sane(&r));
	r = good;
	r.smin_value = 0;
	r.smax_value = -1;
	assert_false(reg_bounds_sane(&r));
	r = good;
	r.u32_min_value = 1;
	r.u32_max_value = 0;
	assert_false(reg_bounds_sane(&r));
	r = good;
	r.s32_min_value = 1;
	r.s32_max_value = 0;
	assert_false(reg_bounds_sane(&r));
	r = good;
	r.var_off = tnum_const(9);
	r.umax_value = 8;
	assert_false(reg_bounds_sane(&r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_and_unknown),	      cmocka_unit_test(deductions),
		cmocka_unit_test(empty_views_are_seen),	      cmocka_unit_test(A_B_sync_random),
		cmocka_unit_test(A_sync_all_pairs_of_ranges), cmocka_unit_test(C_coerce),
	};

	return cmocka_run_group_tests_name("bounds", tests, NULL, NULL);
}
