/*
 * test_divmod.c - quotient and remainder by one division (passes/divmod.c)
 */
#include "jit/jit.h"
#include "tests/lib/jitprog.h"

/* Compiled with the pass: how many multiplications are left. */
static u32 left(const struct bpf_insn *p, u32 cnt, u64 want)
{
	struct bpf_prog *prog = jitprog_compile1(p, cnt);
	u32 found = jitprog_count(prog, JITPROG_X86 ? "imul" : "mul");

	jitprog_free(prog);
	assert_int_equal(jitprog_run(p, cnt, &(struct jitprog_sub){0, MAX_BPF_STACK}, 1, NULL),
			 want);
	return found;
}

#define LEFT(want, ...)                                     \
	({                                                  \
		const struct bpf_insn _p[] = {__VA_ARGS__}; \
		left(_p, ARRAY_SIZE(_p), want);             \
	})

#define OP(class, op, dst, src) BPF_RAW_INSN(class | op | BPF_X, dst, src, 0, 0)
#define DIVMOD(class, q, x, y, between)                                                        \
	OP(class, BPF_MOV, q, x), OP(class, BPF_DIV, q, y), between, OP(class, BPF_MUL, q, y), \
		OP(class, BPF_SUB, x, q)
#define SUM(x, r) BPF_ALU64_REG(BPF_ADD, r, x), BPF_MOV64_REG(0, r), BPF_EXIT_INSN()

/* The quotient goes to r, which is neither of the three. */
#define BOTH(class, q, x, y, r, a, b)                                                          \
	BPF_MOV64_IMM(x, a), BPF_MOV64_IMM(y, b), DIVMOD(class, q, x, y, BPF_MOV64_REG(r, q)), \
		BPF_MOV64_IMM(q, 0), BPF_ALU64_IMM(BPF_LSH, r, 32), SUM(x, r)

/* Of all registers that the machine wants for itself. */
static void divides_once(void **state)
{
	u64 want = 142857ULL << 32 | 1;

	assert_int_equal(LEFT(want, BOTH(BPF_ALU64, 6, 7, 8, 9, 1000000, 7)), 0);
	assert_int_equal(LEFT(want, BOTH(BPF_ALU64, 0, 3, 8, 9, 1000000, 7)), 0);
	assert_int_equal(LEFT(want, BOTH(BPF_ALU64, 3, 0, 8, 9, 1000000, 7)), 0);
	assert_int_equal(LEFT(want, BOTH(BPF_ALU, 2, 3, 0, 9, 1000000, 7)), 0);
	assert_int_equal(LEFT(want, BOTH(BPF_ALU, 2, 0, 3, 9, 1000000, 7)), 0);
	/* by zero: 0, and the dividend; its upper half is gone in 32 bits */
	assert_int_equal(LEFT(1000000, BOTH(BPF_ALU64, 6, 7, 8, 9, 1000000, 0)), 0);
	assert_int_equal(LEFT((u32)-5, BOTH(BPF_ALU, 6, 7, 8, 9, -5, 0)), 0);
	assert_int_equal(LEFT(-5, BOTH(BPF_ALU64, 6, 7, 8, 9, -5, 0)), 0);
}

static void keeps_other_things(void **state)
{
	u64 want = 142857ULL << 32 | 1;

	/* the product is read; one of the three changes in between; the widths differ */
	assert_int_equal(LEFT(want + 999999, BPF_MOV64_IMM(7, 1000000), BPF_MOV64_IMM(8, 7),
			      DIVMOD(BPF_ALU64, 6, 7, 8, BPF_MOV64_REG(9, 6)),
			      BPF_ALU64_IMM(BPF_LSH, 9, 32), BPF_ALU64_REG(BPF_ADD, 7, 6),
			      SUM(7, 9)),
			 1);
	assert_int_equal(LEFT(1000000 - 142857 * 5, BPF_MOV64_IMM(7, 1000000), BPF_MOV64_IMM(8, 7),
			      DIVMOD(BPF_ALU64, 6, 7, 8, BPF_MOV64_IMM(8, 5)), BPF_MOV64_IMM(6, 0),
			      SUM(7, 6)),
			 1);
	assert_int_equal(LEFT(1 + 1000000, BPF_MOV64_IMM(7, 1000000), BPF_MOV64_IMM(8, 7),
			      DIVMOD(BPF_ALU64, 6, 7, 8, BPF_MOV64_REG(9, 7)), BPF_MOV64_IMM(6, 0),
			      SUM(7, 9)),
			 1);
	assert_int_equal(LEFT(1, BPF_MOV64_IMM(7, 1000000), BPF_MOV64_IMM(8, 7),
			      OP(BPF_ALU64, BPF_MOV, 6, 7), OP(BPF_ALU64, BPF_DIV, 6, 8),
			      OP(BPF_ALU, BPF_MUL, 6, 8), OP(BPF_ALU64, BPF_SUB, 7, 6),
			      BPF_MOV64_IMM(6, 0), SUM(7, 6)),
			 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(divides_once),
		cmocka_unit_test(keeps_other_things),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
