/*
 * test_address.c - addresses that several instructions use (fold.c), and those that walk through
 * loops (step.c)
 */
#include "jit/ir/ir.h"
#include "jit/jit.h"
#include "jit/ir/pass.h"
#include "tests/lib/jitprog.h"

static const u64 context[8] = {3, 5, 7, 11, 13, 17, 19, 23};

/* Run with the passes and without these; says how many fewer of these instructions there are. */
static s32 saved(u32 passes, const char *mnemonic, const struct bpf_insn *p, u32 cnt, u64 want)
{
	u32 with, without;
	struct bpf_prog *prog;

	jit_use_passes(JIT_PASS_COMBINE | passes);
	prog = jitprog_compile1(p, cnt);
	with = jitprog_count(prog, mnemonic);
	assert_int_equal(jitprog_call(prog, context), want);
	jitprog_free(prog);
	jit_use_passes(JIT_PASS_COMBINE);
	prog = jitprog_compile1(p, cnt);
	without = jitprog_count(prog, mnemonic);
	assert_int_equal(jitprog_call(prog, context), want);
	jitprog_free(prog);
	jit_use_passes(JIT_PASS_ALL);
	assert_int_equal(jitprog_run(p, cnt, &(struct jitprog_sub){0, MAX_BPF_STACK}, 1, context),
			 want);
	return (s32)(without - with);
}

#define SAVED(passes, mnemonic, want, ...)                         \
	({                                                         \
		const struct bpf_insn _p[] = {__VA_ARGS__};        \
		saved(passes, mnemonic, _p, ARRAY_SIZE(_p), want); \
	})

#define FOLDED(n, want, ...) assert_int_equal(SAVED(JIT_PASS_FOLD, "lea", want, __VA_ARGS__), n)

/* r3 = r1 + r2 */
#define ADDRESS(r3, r1, r2) BPF_MOV64_REG(r3, r1), BPF_ALU64_REG(BPF_ADD, r3, r2)

static void folds_into_each_use(void **state)
{
	/* two loads; a load and a look at the end; a store, and the last one overwrites it */
	FOLDED(1, 5 + 7, BPF_MOV64_IMM(2, 8), ADDRESS(3, 1, 2), BPF_LDX_MEM(BPF_DW, 0, 3, 0),
	       BPF_LDX_MEM(BPF_DW, 4, 3, 8), BPF_ALU64_REG(BPF_ADD, 0, 4), BPF_EXIT_INSN());
	FOLDED(1, 7, BPF_MOV64_IMM(2, 8), BPF_MOV64_IMM(0, 0), ADDRESS(3, 1, 2),
	       BPF_MOV64_REG(4, 3), BPF_ALU64_IMM(BPF_ADD, 4, 8), BPF_JMP_REG(BPF_JLE, 4, 1, 2),
	       BPF_LDX_MEM(BPF_DW, 3, 3, 8), BPF_MOV64_REG(0, 3), BPF_EXIT_INSN());
	FOLDED(1, 9, BPF_MOV64_IMM(2, -16), BPF_MOV64_IMM(4, 9), ADDRESS(3, 10, 2),
	       BPF_STX_MEM(BPF_DW, 3, 4, 8), BPF_LDX_MEM(BPF_DW, 3, 3, 8), BPF_MOV64_REG(0, 3),
	       BPF_EXIT_INSN());
}

static void keeps_what_is_read(void **state)
{
	/* as a value; as what is stored; where a jump goes */
	FOLDED(0, 5 + 8, BPF_MOV64_IMM(2, 8), ADDRESS(3, 1, 2), BPF_LDX_MEM(BPF_DW, 0, 3, 0),
	       BPF_LDX_MEM(BPF_DW, 4, 3, 8), BPF_ALU64_REG(BPF_SUB, 3, 1),
	       BPF_ALU64_REG(BPF_ADD, 0, 3), BPF_EXIT_INSN());
	FOLDED(0, 8, BPF_MOV64_IMM(2, -8), ADDRESS(3, 10, 2), BPF_STX_MEM(BPF_DW, 3, 3, 0),
	       BPF_LDX_MEM(BPF_DW, 0, 10, -8), BPF_ALU64_REG(BPF_SUB, 0, 10),
	       BPF_ALU64_IMM(BPF_NEG, 0, 0), BPF_EXIT_INSN());
	FOLDED(0, 8, BPF_MOV64_IMM(2, 8), ADDRESS(3, 1, 2), BPF_LDX_MEM(BPF_DW, 0, 3, 0),
	       BPF_JMP_IMM(BPF_JEQ, 0, 5, 2), BPF_LDX_MEM(BPF_DW, 0, 3, 8), BPF_EXIT_INSN(),
	       BPF_ALU64_REG(BPF_SUB, 3, 1), BPF_MOV64_REG(0, 3), BPF_EXIT_INSN());
	/* what it is made of changes in between */
	FOLDED(0, 5 + 7, BPF_MOV64_IMM(2, 8), ADDRESS(3, 1, 2), BPF_LDX_MEM(BPF_DW, 0, 3, 0),
	       BPF_MOV64_IMM(2, 0), BPF_LDX_MEM(BPF_DW, 4, 3, 8), BPF_ALU64_REG(BPF_ADD, 0, 4),
	       BPF_EXIT_INSN());
}

/* An address of an address that is folded itself: both or one, and no use is forgotten. */
static void folds_one_of_two(void **state)
{
	FOLDED(1, 5 + 7 + 7, BPF_MOV64_IMM(2, 8), ADDRESS(3, 1, 2), BPF_MOV64_REG(4, 3),
	       BPF_ALU64_IMM(BPF_ADD, 4, 8), BPF_LDX_MEM(BPF_DW, 0, 4, 0),
	       BPF_LDX_MEM(BPF_DW, 5, 4, 0), BPF_ALU64_REG(BPF_ADD, 0, 5),
	       BPF_LDX_MEM(BPF_DW, 3, 3, 0), BPF_ALU64_REG(BPF_ADD, 0, 3), BPF_EXIT_INSN());
}

/*
 * A loop over the context with R2 as its index: `at` is what it does at R1 + R2, 5 instructions.
 * A step costs an addition.
 */
#define LOOP(at, step, end)                                                            \
	BPF_MOV64_IMM(0, 0), BPF_MOV64_IMM(2, 0), at, BPF_ALU64_IMM(BPF_ADD, 2, step), \
		BPF_JMP_IMM(BPF_JNE, 2, end, -7), BPF_EXIT_INSN()
#define SUM \
	ADDRESS(3, 1, 2), BPF_LDX_MEM(BPF_DW, 3, 3, 0), BPF_ALU64_REG(BPF_ADD, 0, 3), BPF_JMP_A(0)

#define STEPPED(n, want, ...) assert_int_equal(-SAVED(JIT_PASS_STEP, "add", want, __VA_ARGS__), n)

static void steps_in_loops(void **state)
{
	STEPPED(1, 3 + 5 + 7 + 11 + 13 + 17 + 19 + 23, LOOP(SUM, 8, 64));
	STEPPED(1, 3 + 7 + 13 + 19, LOOP(SUM, 16, 64));
	/* by a copy, and what is read of it afterwards */
	STEPPED(1, 3 + 5 + 7 + 11 + 0 + 8 + 16 + 24, BPF_MOV64_IMM(0, 0), BPF_MOV64_IMM(2, 0),
		BPF_MOV64_REG(4, 2), ADDRESS(3, 1, 4), BPF_LDX_MEM(BPF_DW, 3, 3, 0),
		BPF_ALU64_REG(BPF_ADD, 0, 3), BPF_ALU64_IMM(BPF_ADD, 2, 8),
		BPF_ALU64_REG(BPF_ADD, 0, 4), BPF_JMP_IMM(BPF_JNE, 2, 32, -8), BPF_EXIT_INSN());
	/* backward; scaled */
	STEPPED(1, 11 + 7 + 5, BPF_MOV64_IMM(0, 0), BPF_MOV64_IMM(2, 24), SUM,
		BPF_ALU64_IMM(BPF_ADD, 2, -8), BPF_JMP_IMM(BPF_JNE, 2, 0, -7), BPF_EXIT_INSN());
	STEPPED(1, 3 + 5 + 7, BPF_MOV64_IMM(0, 0), BPF_MOV64_IMM(2, 0), BPF_MOV64_REG(3, 2),
		BPF_ALU64_IMM(BPF_LSH, 3, 3), BPF_ALU64_REG(BPF_ADD, 3, 1),
		BPF_LDX_MEM(BPF_DW, 3, 3, 0), BPF_ALU64_REG(BPF_ADD, 0, 3),
		BPF_ALU64_IMM(BPF_ADD, 2, 1), BPF_JMP_IMM(BPF_JNE, 2, 3, -7), BPF_EXIT_INSN());
	/* with a look at the end: the address itself is compared, and no other is computed */
	assert_int_equal(SAVED(JIT_PASS_FOLD | JIT_PASS_STEP, "lea", 3 + 5 + 7, BPF_MOV64_IMM(0, 0),
			       BPF_MOV64_IMM(2, 0), BPF_MOV64_REG(5, 1),
			       BPF_ALU64_IMM(BPF_ADD, 5, 31), ADDRESS(3, 1, 2), BPF_MOV64_REG(4, 3),
			       BPF_ALU64_IMM(BPF_ADD, 4, 8), BPF_JMP_REG(BPF_JGT, 4, 5, 4),
			       BPF_LDX_MEM(BPF_DW, 3, 3, 0), BPF_ALU64_REG(BPF_ADD, 0, 3),
			       BPF_ALU64_IMM(BPF_ADD, 2, 8), BPF_JMP_IMM(BPF_JNE, 2, 64, -9),
			       BPF_EXIT_INSN()),
			 1); /* of two; one is made before the loop */
	/* only on one of two ways */
	STEPPED(1, 3 + 5 + 5 + 7, BPF_MOV64_IMM(0, 0), BPF_MOV64_IMM(2, 0), BPF_MOV64_IMM(4, 0),
		ADDRESS(3, 1, 2), BPF_LDX_MEM(BPF_DW, 3, 3, 0), BPF_ALU64_REG(BPF_ADD, 0, 3),
		BPF_ALU64_IMM(BPF_ADD, 4, 1), BPF_JMP_IMM(BPF_JEQ, 4, 2, 1),
		BPF_ALU64_IMM(BPF_ADD, 2, 8), BPF_JMP_IMM(BPF_JNE, 4, 4, -8), BPF_EXIT_INSN());
}

static void steps_nothing_else(void **state)
{
	/* entered in its middle */
	STEPPED(0, 5 + 7, BPF_MOV64_IMM(0, 0), BPF_MOV64_IMM(2, 0), BPF_JMP_A(4), ADDRESS(3, 1, 2),
		BPF_LDX_MEM(BPF_DW, 3, 3, 0), BPF_ALU64_REG(BPF_ADD, 0, 3),
		BPF_ALU64_IMM(BPF_ADD, 2, 8), BPF_JMP_IMM(BPF_JNE, 2, 24, -6), BPF_EXIT_INSN());
	/* the base moves, the index is stepped twice, or is set */
	STEPPED(0, 3 + 7 + 13, BPF_MOV64_IMM(0, 0), BPF_MOV64_IMM(2, 0), ADDRESS(3, 1, 2),
		BPF_LDX_MEM(BPF_DW, 3, 3, 0), BPF_ALU64_REG(BPF_ADD, 0, 3),
		BPF_ALU64_IMM(BPF_ADD, 1, 8), BPF_ALU64_IMM(BPF_ADD, 2, 8),
		BPF_JMP_IMM(BPF_JNE, 2, 24, -7), BPF_EXIT_INSN());
	STEPPED(0, 3 + 7 + 13 + 19, BPF_MOV64_IMM(0, 0), BPF_MOV64_IMM(2, 0), SUM,
		BPF_ALU64_IMM(BPF_ADD, 2, 8), BPF_ALU64_IMM(BPF_ADD, 2, 8),
		BPF_JMP_IMM(BPF_JNE, 2, 64, -8), BPF_EXIT_INSN());
	STEPPED(0, 3 + 3 + 5, BPF_MOV64_IMM(0, 0), BPF_MOV64_IMM(2, 0), BPF_MOV64_IMM(4, 0), SUM,
		BPF_MOV64_REG(2, 4), BPF_ALU64_IMM(BPF_ADD, 4, 8), BPF_JMP_IMM(BPF_JNE, 4, 24, -8),
		BPF_EXIT_INSN());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folds_into_each_use), cmocka_unit_test(keeps_what_is_read),
		cmocka_unit_test(folds_one_of_two),    cmocka_unit_test(steps_in_loops),
		cmocka_unit_test(steps_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
