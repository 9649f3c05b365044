/*
 * test_jump.c - no pair of values is lost on the way that it takes
 *
 * Letters are the guarantees of engine/verifier/domain/jump.c.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <inttypes.h>
#include <stdio.h>
#include <cmocka.h>
#include "tests/lib/domain.h"

static const u8 conds[] = {BPF_JEQ, BPF_JNE,  BPF_JSET, BPF_JGT,  BPF_JGE, BPF_JLT,
			   BPF_JLE, BPF_JSGT, BPF_JSGE, BPF_JSLT, BPF_JSLE};

static void lost(const char *what, u8 op, bool w, u64 x, u64 y, const struct bpf_reg_state *a,
		 const struct bpf_reg_state *b)
{
	char ta[400], tb[400];

	fail_msg("%s: condition %#x%s, %#" PRIx64 " and %#" PRIx64 "\n%s\n%s", what, op,
		 w ? " (32 bits)" : "", x, y, reg_text(a, ta, sizeof(ta)),
		 reg_text(b, tb, sizeof(tb)));
}

static void check(u8 op, bool w, const struct bpf_reg_state *a, const u64 *x, int nx,
		  const struct bpf_reg_state *b, const u64 *y, int ny)
{
	struct bpf_reg_state ta = *a, tb = *b, fa = *a, fb = *b;
	int taken = is_scalar_branch_taken(a, b, op, w);

	reg_set_min_max(&ta, &tb, &fa, &fb, op, w);
	for (int i = 0; i < nx; i++) {
		for (int j = 0; j < ny; j++) {
			bool holds = concrete_jump(op, w, x[i], y[j]);

			if (taken >= 0 && taken != holds)
				lost("decided wrongly", op, w, x[i], y[j], a, b);
			if (holds && (reg_lacks(&ta, x[i]) || reg_lacks(&tb, y[j])))
				lost("lost where taken", op, w, x[i], y[j], a, b);
			if (!holds && (reg_lacks(&fa, x[i]) || reg_lacks(&fb, y[j])))
				lost("lost where not taken", op, w, x[i], y[j], a, b);
		}
	}
}

static void check_all(const struct bpf_reg_state *a, const u64 *x, int nx,
		      const struct bpf_reg_state *b, const u64 *y, int ny)
{
	for (size_t c = 0; c < ARRAY_SIZE(conds); c++)
		for (int w = 0; w < 2; w++)
			check(conds[c], w, a, x, nx, b, y, ny);
}

static void A_B_random(void **state)
{
	struct rng rng = rng_init("jump");
	u64 x[5], y[5];
	int nx, ny;

	for (u32 i = 0; i < test_rounds(60000); i++) {
		struct bpf_reg_state a = reg_random(&rng, x, &nx), b = reg_random(&rng, y, &ny);

		/* Make equality likely. */
		if (rng_below(&rng, 2) && !reg_lacks(&a, y[0]))
			x[nx++] = y[0];
		if (rng_below(&rng, 2) && !reg_lacks(&b, x[0]))
			y[ny++] = x[0];
		check_all(&a, x, nx, &b, y, ny);
	}
}

static void A_B_all_small_ranges(void **state)
{
	static const u64 bases[] = {0, 0x80000000, 0x100000000, 0x8000000000000000};
	u64 x[5], y[5];

	for (size_t p = 0; p < ARRAY_SIZE(bases); p++) {
		for (int lo = -5; lo <= 2; lo++) {
			for (int n = 1; n <= 4; n++) {
				for (int lo2 = -5; lo2 <= 2; lo2++) {
					for (int n2 = 1; n2 <= 4; n2++) {
						struct bpf_reg_state a, b;

						for (int i = 0; i < n; i++)
							x[i] = bases[p] + lo + i;
						for (int i = 0; i < n2; i++)
							y[i] = bases[p] + lo2 + i;
						a = reg_hull(x, n);
						b = reg_hull(y, n2);
						check_all(&a, x, n, &b, y, n2);
					}
				}
			}
		}
	}
}

/* A register against itself: the walk passes the same address twice. */
static void B_one_register_twice(void **state)
{
	struct rng rng = rng_init("jump, one register");
	u64 x[4];
	int n;

	for (u32 i = 0; i < test_rounds(20000); i++) {
		struct bpf_reg_state a = reg_random(&rng, x, &n);

		for (size_t c = 0; c < 2 * ARRAY_SIZE(conds); c++) {
			struct bpf_reg_state t = a, f = a;
			bool w = c & 1;
			u8 op = conds[c / 2];

			reg_set_min_max(&t, &t, &f, &f, op, w);
			for (int k = 0; k < n; k++)
				if (reg_lacks(concrete_jump(op, w, x[k], x[k]) ? &t : &f, x[k]))
					lost("lost", op, w, x[k], x[k], &a, &a);
		}
	}
}

static struct bpf_reg_state range(u64 lo, u64 hi)
{
	struct bpf_reg_state reg = {.type = SCALAR_VALUE};

	__mark_reg_unknown(&reg);
	reg.umin_value = lo;
	reg.umax_value = hi;
	reg_bounds_sync(&reg);
	return reg;
}

/* What must be decided: separated ranges, disjoint bits. */
static void decisions(void **state)
{
	struct bpf_reg_state low = range(0, 9), high = range(10, 20), five = range(5, 5), even, odd;

	assert_int_equal(is_scalar_branch_taken(&low, &high, BPF_JEQ, false), 0);
	assert_int_equal(is_scalar_branch_taken(&low, &high, BPF_JNE, true), 1);
	assert_int_equal(is_scalar_branch_taken(&low, &high, BPF_JLT, false), 1);
	assert_int_equal(is_scalar_branch_taken(&low, &high, BPF_JGE, false), 0);
	assert_int_equal(is_scalar_branch_taken(&high, &low, BPF_JSGT, true), 1);
	assert_int_equal(is_scalar_branch_taken(&high, &low, BPF_JSLE, false), 0);
	assert_int_equal(is_scalar_branch_taken(&low, &five, BPF_JEQ, false), -1);
	assert_int_equal(is_scalar_branch_taken(&five, &five, BPF_JEQ, false), 1);
	assert_int_equal(is_scalar_branch_taken(&low, &five, BPF_JLE, false), -1);
	__mark_reg_unknown(&low);
	even = odd = low;
	even.var_off = TNUM(0, ~1ull);
	odd.var_off = TNUM(1, ~1ull);
	assert_int_equal(is_scalar_branch_taken(&even, &odd, BPF_JEQ, false), 0);
	odd = range(1, 1);
	assert_int_equal(is_scalar_branch_taken(&even, &odd, BPF_JSET, false), 0);
	odd.var_off = tnum_const(3);
	even.var_off = TNUM(2, ~3ull);
	assert_int_equal(is_scalar_branch_taken(&even, &odd, BPF_JSET, false), 1);
}

struct branches {
	struct bpf_reg_state t1, t2, f1, f2;
};

static struct branches split(struct bpf_reg_state a, struct bpf_reg_state b, u8 op, bool w)
{
	struct branches r = {a, b, a, b};

	reg_set_min_max(&r.t1, &r.t2, &r.f1, &r.f2, op, w);
	return r;
}

/* What must be learned. */
static void refinements(void **state)
{
	struct bpf_reg_state any = {.type = SCALAR_VALUE}, eight = range(8, 8);
	struct branches r;

	__mark_reg_unknown(&any);
	r = split(any, eight, BPF_JEQ, false);
	assert_true(tnum_equals_const(r.t1.var_off, 8));
	r = split(any, eight, BPF_JLT, false);
	assert_true(r.t1.umax_value == 7 && r.f1.umin_value == 8);
	r = split(any, eight, BPF_JSGT, false);
	assert_true(r.t1.smin_value == 9 && r.f1.smax_value == 8);
	r = split(any, eight, BPF_JSET, false);
	assert_true(r.t1.var_off.value == 8 && !(r.f1.var_off.mask & 8));
	r = split(any, eight, BPF_JLE, true);
	assert_true(r.t1.u32_max_value == 8 && r.f1.u32_min_value == 9 &&
		    r.t1.umax_value > UINT32_MAX);
	/* an inequality at the end of a range */
	r = split(range(0, 8), eight, BPF_JNE, false);
	assert_true(r.t1.umax_value == 7 && tnum_equals_const(r.f1.var_off, 8));
	r = split(eight, range(8, 20), BPF_JEQ, false);
	assert_true(r.f2.umin_value == 9);
	/* two ranges teach each other */
	r = split(range(0, 100), range(50, 60), BPF_JGT, false);
	assert_true(r.t1.umin_value == 51 && r.f1.umax_value == 60);
	r = split(range(55, 100), range(50, 60), BPF_JLT, false);
	assert_true(r.t2.umin_value == 56 && r.t1.umax_value == 59);
}

static void pointers_are_left_alone(void **state)
{
	struct bpf_reg_state p = range(0, 100), five = range(5, 5);
	struct branches r;

	p.type = PTR_TO_PACKET;
	r = split(p, five, BPF_JLT, false);
	assert_true(r.t1.umax_value == 100 && r.f1.umin_value == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decisions),
		cmocka_unit_test(refinements),
		cmocka_unit_test(A_B_all_small_ranges),
		cmocka_unit_test(A_B_random),
		cmocka_unit_test(B_one_register_twice),
		cmocka_unit_test(pointers_are_left_alone),
	};

	return cmocka_run_group_tests_name("jump", tests, NULL, NULL);
}
