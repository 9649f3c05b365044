/*
 * test_alu.c - arithmetic on abstract scalars contains the arithmetic on their members
 *
 * Letters are the guarantees of engine/verifier/domain/alu.c. Every opcode of the table in
 * insn/insn.h that computes is tried, by register and by immediate.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <inttypes.h>
#include <stdio.h>
#include <cmocka.h>
#include "insn/insn.h"
#include "tests/lib/domain.h"

static bool computes(enum bpf_op op)
{
	u8 class = BPF_CLASS(bpf_op_info[op].code);

	/* MOVSX goes through the coerce functions of bounds.c. */
	return (class == BPF_ALU || class == BPF_ALU64) && bpf_op_info[op].format != BPF_FMT_MOVSX;
}

static struct bpf_insn insn_of(enum bpf_op op, s32 imm)
{
	const struct bpf_op_info *info = &bpf_op_info[op];

	return (struct bpf_insn){.code = info->code,
				 .off = info->off,
				 .imm = info->imm == OPF_ANY ? imm : info->imm};
}

/* Unary operations read the operand that is passed; give them something. */
static struct bpf_reg_state constant(u64 value)
{
	struct bpf_reg_state reg = {.type = SCALAR_VALUE};

	__mark_reg_known(&reg, value);
	return reg;
}

static void check(enum bpf_op op, s32 imm, const struct bpf_reg_state *d, const u64 *x, int nx,
		  const struct bpf_reg_state *s, const u64 *y, int ny)
{
	struct bpf_insn insn = insn_of(op, imm);
	struct bpf_reg_state r = *d;
	char a[400], b[400], c[400];

	adjust_scalar_min_max_vals(&insn, &r, *s);
	if (r.type != SCALAR_VALUE || !reg_bounds_sane(&r))
		fail_msg("%s made an empty view: %s", bpf_op_info[op].name,
			 reg_text(&r, a, sizeof(a)));
	for (int i = 0; i < nx; i++) {
		for (int j = 0; j < ny; j++) {
			u64 z = concrete_alu(&insn, x[i], y[j]);
			const char *lacks = reg_lacks(&r, z);

			if (lacks)
				fail_msg("%s(%#" PRIx64 ", %#" PRIx64 ") = %#" PRIx64
					 " not in %s\ndst %s\nsrc %s\nres %s",
					 bpf_op_info[op].name, x[i], y[j], z, lacks,
					 reg_text(d, a, sizeof(a)), reg_text(s, b, sizeof(b)),
					 reg_text(&r, c, sizeof(c)));
		}
	}
}

static bool is_shift(enum bpf_op op)
{
	u8 code = BPF_OP(bpf_op_info[op].code);

	return code == BPF_LSH || code == BPF_RSH || code == BPF_ARSH;
}

static void A_random(void **state)
{
	struct rng rng = rng_init("alu");
	u64 x[4], y[4];
	int nx, ny;

	for (u32 i = 0; i < test_rounds(30000); i++) {
		struct bpf_reg_state d = reg_random(&rng, x, &nx), s = reg_random(&rng, y, &ny);
		s32 imm = rng_interesting(&rng);
		struct bpf_reg_state k = constant((s64)imm);

		for (enum bpf_op op = 0; op < BPF_OP_MAX; op++) {
			if (!computes(op))
				continue;
			if (is_shift(op)) {
				imm &= BPF_CLASS(bpf_op_info[op].code) == BPF_ALU ? 31 : 63;
				k = constant(imm);
			}
			if (BPF_SRC(bpf_op_info[op].code) == BPF_X && bpf_op_info[op].src)
				check(op, imm, &d, x, nx, &s, y, ny);
			else
				check(op, imm, &d, x, nx, &k, (u64[]){(s64)imm}, 1);
		}
	}
}

/*
 * All ranges between small numbers around 0, around the 32-bit sign border and around 2^32, with
 * all members: nothing is left to luck where the ranges wrap.
 */
static void A_small_ranges(void **state)
{
	static const u64 bases[] = {0, 0x80000000, 0x100000000, 0x8000000000000000};
	u64 x[4], y[4];

	for (size_t p = 0; p < ARRAY_SIZE(bases); p++) {
		for (size_t q = 0; q < ARRAY_SIZE(bases); q++) {
			for (int lo = -3; lo <= 2; lo++) {
				for (int n = 1; n <= 4; n++) {
					struct bpf_reg_state d, s;

					for (int i = 0; i < n; i++) {
						x[i] = bases[p] + lo + i;
						y[i] = bases[q] - lo - i;
					}
					d = reg_hull(x, n);
					s = reg_hull(y, n);
					reg_bounds_sync(&d);
					reg_bounds_sync(&s);
					for (enum bpf_op op = 0; op < BPF_OP_MAX; op++)
						if (computes(op))
							check(op, 1, &d, x, n, &s, y,
							      is_shift(op) ? 0 : n);
				}
			}
		}
	}
}

static void constants_stay_constant(void **state)
{
	struct rng rng = rng_init("alu constants");

	for (u32 i = 0; i < test_rounds(20000); i++) {
		u64 x = rng_interesting(&rng), y = rng_interesting(&rng);

		for (enum bpf_op op = 0; op < BPF_OP_MAX; op++) {
			struct bpf_reg_state d = constant(x), s;
			struct bpf_insn insn = insn_of(op, 0);
			u8 code = BPF_OP(bpf_op_info[op].code);

			if (!computes(op) || code == BPF_DIV || code == BPF_MOD)
				continue;
			if (is_shift(op))
				y &= 31;
			s = constant(y);
			adjust_scalar_min_max_vals(&insn, &d, s);
			if (!tnum_equals_const(d.var_off, concrete_alu(&insn, x, y)))
				fail_msg("%s(%#" PRIx64 ", %#" PRIx64 ")", bpf_op_info[op].name, x,
					 y);
			assert_true(d.umin_value == d.umax_value && d.smin_value == d.smax_value &&
				    d.u32_min_value == d.u32_max_value &&
				    d.s32_min_value == d.s32_max_value);
		}
	}
}

/* Precision that programs rely on: an index masked, scaled and moved stays bounded. */
static void useful_bounds(void **state)
{
	struct bpf_insn and = {.code = BPF_ALU64 | BPF_AND | BPF_K};
	struct bpf_insn mul = {.code = BPF_ALU64 | BPF_MUL | BPF_K};
	struct bpf_insn sub = {.code = BPF_ALU64 | BPF_SUB | BPF_K};
	struct bpf_insn lsh = {.code = BPF_ALU64 | BPF_LSH | BPF_K};
	struct bpf_insn arsh = {.code = BPF_ALU64 | BPF_ARSH | BPF_K};
	struct bpf_insn neg = {.code = BPF_ALU64 | BPF_NEG};
	struct bpf_reg_state r = {.type = SCALAR_VALUE};

	__mark_reg_unknown(&r);
	adjust_scalar_min_max_vals(&and, &r, constant(15));
	assert_true(r.umin_value == 0 && r.umax_value == 15);
	adjust_scalar_min_max_vals(&mul, &r, constant(12));
	assert_true(r.umax_value == 180 && r.smax_value == 180 && tnum_is_aligned(r.var_off, 4));
	adjust_scalar_min_max_vals(&sub, &r, constant(100));
	assert_true(r.smin_value == -100 && r.smax_value == 80);
	adjust_scalar_min_max_vals(&neg, &r, constant(0));
	assert_true(r.smin_value == -80 && r.smax_value == 100);
	/* the old way to sign-extend */
	adjust_scalar_min_max_vals(&lsh, &r, constant(32));
	adjust_scalar_min_max_vals(&arsh, &r, constant(32));
	assert_true(r.smin_value == -80 && r.smax_value == 100);
	/* the low half keeps its range where the whole has none */
	__mark_reg_unknown(&r);
	r.u32_min_value = r.s32_min_value = 1;
	r.u32_max_value = r.s32_max_value = 3;
	reg_bounds_sync(&r);
	adjust_scalar_min_max_vals(&lsh, &r, constant(4));
	assert_true(r.u32_min_value == 16 && r.u32_max_value == 48);
}

static void B_untracked_is_unknown(void **state)
{
	static const u8 ops[] = {BPF_DIV, BPF_MOD};
	struct bpf_reg_state r, s = {.type = SCALAR_VALUE};

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		struct bpf_insn insn = {.code = BPF_ALU64 | ops[i] | BPF_X};

		r = constant(7);
		adjust_scalar_min_max_vals(&insn, &r, constant(2));
		assert_true(tnum_is_unknown(r.var_off) && r.umax_value == UINT64_MAX);
	}
	__mark_reg_unknown(&s);
	s.umax_value = 5;
	reg_bounds_sync(&s);
	r = constant(1);
	adjust_scalar_min_max_vals(&(struct bpf_insn){.code = BPF_ALU64 | BPF_LSH | BPF_X}, &r, s);
	assert_true(tnum_is_unknown(r.var_off));
	r = constant(1);
	adjust_scalar_min_max_vals(&(struct bpf_insn){.code = BPF_ALU | BPF_RSH | BPF_X}, &r,
				   constant(32));
	assert_true(tnum_is_unknown(r.var_off));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(useful_bounds),
		cmocka_unit_test(A_small_ranges),
		cmocka_unit_test(A_random),
		cmocka_unit_test(constants_stay_constant),
		cmocka_unit_test(B_untracked_is_unknown),
	};

	return cmocka_run_group_tests_name("alu", tests, NULL, NULL);
}
