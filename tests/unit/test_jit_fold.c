/*
 * test_jit_fold.c - jit/passes/fold.c: an address that several instructions use is computed in each
 * of them, and only where that is the same
 *
 * What comes out is counted: a `lea` that is left has not been folded. R3 is R1 + R2 + 8.
 */
#include "jit/ir/ir.h"
#include "jit/jit.h"
#include "jit/ir/pass.h"
#include "tests/lib/jitprog.h"

static struct {
	u64 index;
	u64 v[16];
} ctx;

static int begin(void **state)
{
	ctx.index = 16;
	for (u32 i = 0; i < ARRAY_SIZE(ctx.v); i++)
		ctx.v[i] = 1ULL << i;
	return 0;
}

static void check(u32 line, const struct bpf_insn *p, u32 cnt, u32 leas, u64 want)
{
	struct bpf_prog *prog = jitprog_compile1(p, cnt);
	u32 found = jitprog_count(prog, "lea");
	u64 got = jitprog_run(p, cnt, &(struct jitprog_sub){0, MAX_BPF_STACK}, 1, &ctx);

	jitprog_free(prog);
	if (!JITPROG_X86)
		found = leas;
	if (found != leas || got != want)
		print_error("line %u: %u times lea, 0x%lx\n", line, found, got);
	assert_int_equal(found, leas);
	assert_int_equal(got, want);
}

#define CHECK(leas, want, ...)                                   \
	do {                                                     \
		const struct bpf_insn _p[] = {__VA_ARGS__};      \
		check(__LINE__, _p, ARRAY_SIZE(_p), leas, want); \
	} while (0)

#define R3_IS_R1_R2_8                                                                    \
	BPF_LDX_MEM(BPF_DW, 2, 1, 0), BPF_MOV64_REG(3, 1), BPF_ALU64_IMM(BPF_ADD, 3, 8), \
		BPF_ALU64_REG(BPF_ADD, 3, 2)
#define LOAD(dst, off) BPF_LDX_MEM(BPF_DW, dst, 3, off)
#define LOAD_ADD(off)  LOAD(4, off), BPF_ALU64_REG(BPF_ADD, 0, 4)

static void all_its_uses_take_it(void **state)
{
	CHECK(0, 1 << 2 | 1 << 3, R3_IS_R1_R2_8, LOAD(0, 0), LOAD_ADD(8), BPF_EXIT_INSN());
	/* as many as there is room for, and one more */
	CHECK(0, 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5, R3_IS_R1_R2_8, LOAD(0, 0), LOAD_ADD(8),
	      LOAD_ADD(16), LOAD_ADD(24), BPF_EXIT_INSN());
	CHECK(1, 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6, R3_IS_R1_R2_8, LOAD(0, 0), LOAD_ADD(8),
	      LOAD_ADD(16), LOAD_ADD(24), LOAD_ADD(32), BPF_EXIT_INSN());
	/* the last one into the register itself; stores */
	CHECK(0, 1 << 2 | 1 << 3, R3_IS_R1_R2_8, LOAD(0, 0), LOAD(3, 8),
	      BPF_ALU64_REG(BPF_ADD, 0, 3), BPF_EXIT_INSN());
	CHECK(0, 77 + 16, R3_IS_R1_R2_8, BPF_ST_MEM(BPF_DW, 3, 104, 77),
	      BPF_STX_MEM(BPF_DW, 3, 2, 96), LOAD(0, 104), LOAD_ADD(96), BPF_EXIT_INSN());
	/* an address of it, which is folded in turn where it is one alone */
	CHECK(1, 1 << 2 | 1 << 4, R3_IS_R1_R2_8, BPF_MOV64_REG(5, 3), BPF_ALU64_IMM(BPF_ADD, 5, 16),
	      LOAD(0, 0), BPF_LDX_MEM(BPF_DW, 4, 5, 0), BPF_ALU64_REG(BPF_ADD, 0, 4),
	      BPF_ALU64_REG(BPF_SUB, 5, 1), BPF_JMP_IMM(BPF_JEQ, 5, 40, 1), BPF_MOV64_IMM(0, 0),
	      BPF_EXIT_INSN());
}

/* An address of it: only one of both can be in the other's uses. */
static void one_of_two_goes(void **state)
{
	CHECK(1, 1 << 4 | 1 << 5 | 1 << 2, R3_IS_R1_R2_8, BPF_MOV64_REG(5, 3),
	      BPF_ALU64_IMM(BPF_ADD, 5, 16), BPF_LDX_MEM(BPF_DW, 0, 5, 0),
	      BPF_LDX_MEM(BPF_DW, 4, 5, 8), BPF_ALU64_REG(BPF_ADD, 0, 4), LOAD_ADD(0),
	      BPF_EXIT_INSN());
}

static void a_value_stays_one(void **state)
{
	CHECK(1, (1 << 2) + 24, R3_IS_R1_R2_8, LOAD(0, 0), BPF_ALU64_REG(BPF_SUB, 3, 1),
	      BPF_ALU64_REG(BPF_ADD, 0, 3), BPF_EXIT_INSN());
	/* it stores itself */
	CHECK(1, (1 << 2) + 24, R3_IS_R1_R2_8, LOAD(0, 0), BPF_STX_MEM(BPF_DW, 3, 3, 96),
	      LOAD(4, 96), BPF_ALU64_REG(BPF_SUB, 4, 1), BPF_ALU64_REG(BPF_ADD, 0, 4),
	      BPF_EXIT_INSN());
	/* it is read with its lower half only, by a sign-extending load as well as by others */
	CHECK(1, 1 << 2 | 1 << 3, R3_IS_R1_R2_8, LOAD(0, 0), BPF_MOV32_REG(5, 3), LOAD_ADD(8),
	      BPF_JMP_IMM(BPF_JNE, 5, 0, 1), BPF_MOV64_IMM(0, 0), BPF_EXIT_INSN());
}

static void what_it_is_made_of_changes(void **state)
{
	/* base, index */
	CHECK(1, 1 << 2 | 1 << 3, R3_IS_R1_R2_8, LOAD(0, 0), BPF_MOV64_IMM(1, 0), LOAD_ADD(8),
	      BPF_EXIT_INSN());
	CHECK(1, 1 << 2 | 1 << 3, R3_IS_R1_R2_8, LOAD(0, 0), BPF_MOV64_IMM(2, 0), LOAD_ADD(8),
	      BPF_EXIT_INSN());
	/* one of its own uses changes it, before the next use and after the last one */
	CHECK(1, 1 << 2 | 1 << 3, R3_IS_R1_R2_8, LOAD(2, 0), LOAD(4, 8),
	      BPF_ALU64_REG(BPF_OR, 4, 2), BPF_MOV64_REG(0, 4), BPF_EXIT_INSN());
	CHECK(0, 1 << 2 | 1 << 3, R3_IS_R1_R2_8, LOAD(0, 0), LOAD(2, 8),
	      BPF_ALU64_REG(BPF_ADD, 0, 2), BPF_EXIT_INSN());
	/* it moves on: the accesses are of two addresses, each whole */
	CHECK(0, 1 << 2 | 1 << 3, R3_IS_R1_R2_8, LOAD(0, 0), BPF_ALU64_IMM(BPF_ADD, 3, 8),
	      LOAD_ADD(0), BPF_EXIT_INSN());
}

static void a_jump_leaves_where_it_is_needed(void **state)
{
	for (ctx.index = 0; ctx.index <= 16; ctx.index += 16) {
		u64 one = 1 << ctx.index / 8;

		/* needed behind it, and not where it is not taken */
		CHECK(1, ctx.index ? one * 3 : one * 5, R3_IS_R1_R2_8, LOAD(0, 0),
		      BPF_JMP_IMM(BPF_JEQ, 2, 0, 3), LOAD_ADD(8), BPF_EXIT_INSN(), LOAD_ADD(16),
		      BPF_EXIT_INSN());
		/* dead behind it */
		CHECK(0, ctx.index ? one * 3 : one, R3_IS_R1_R2_8, LOAD(0, 0),
		      BPF_JMP_IMM(BPF_JEQ, 2, 0, 2), LOAD_ADD(8), BPF_EXIT_INSN());
	}
}

/* Code that is entered from elsewhere: there the register is another address. */
static void two_ways_meet(void **state)
{
	for (ctx.index = 0; ctx.index <= 16; ctx.index += 16)
		CHECK(2, ctx.index ? 1 << 2 | 1 << 3 : 1 << 7 | 1 << 8,
		      BPF_LDX_MEM(BPF_DW, 2, 1, 0), BPF_MOV64_REG(3, 1),
		      BPF_ALU64_IMM(BPF_ADD, 3, 64), BPF_JMP_IMM(BPF_JEQ, 2, 0, 3),
		      BPF_MOV64_REG(3, 1), BPF_ALU64_IMM(BPF_ADD, 3, 8),
		      BPF_ALU64_REG(BPF_ADD, 3, 2), LOAD(0, 0), LOAD_ADD(8), BPF_EXIT_INSN());
}

#define CASE(f) cmocka_unit_test_setup(f, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(all_its_uses_take_it),
		CASE(one_of_two_goes),
		CASE(a_value_stays_one),
		CASE(what_it_is_made_of_changes),
		CASE(a_jump_leaves_where_it_is_needed),
		CASE(two_ways_meet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
