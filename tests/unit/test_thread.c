/*
 * test_thread.c - jumps that go where they end up
 */
#include "jit/ir/ir.h"
#include "jit/jit.h"
#include "jit/ir/pass.h"
#include "tests/lib/jitprog.h"

static u32 count(u32 passes, const char *mnemonic, const struct bpf_insn *p, u32 cnt)
{
	struct bpf_prog *prog;
	u32 n;

	jit_use_passes(passes);
	prog = jitprog_compile1(p, cnt);
	n = jitprog_count(prog, mnemonic);
	jitprog_free(prog);
	jit_use_passes(JIT_PASS_ALL);
	return n;
}

static u64 run(const struct bpf_insn *p, u32 cnt, const void *ctx)
{
	return jitprog_run(p, cnt, &(struct jitprog_sub){0, MAX_BPF_STACK}, 1, ctx);
}

static void follows_chains(void **state)
{
	const struct bpf_insn p[] = {
		BPF_LDX_MEM(BPF_DW, 1, 1, 0),
		BPF_MOV64_IMM(0, 1),
		BPF_JMP_IMM(BPF_JEQ, 1, 5, 1),
		BPF_EXIT_INSN(),
		BPF_JMP_A(1),
		BPF_EXIT_INSN(),
		BPF_JMP_A(1),
		BPF_EXIT_INSN(),
		BPF_MOV64_IMM(0, 2),
		BPF_EXIT_INSN(),
	};

	assert_int_equal(count(JIT_PASS_THREAD, "jmp", p, ARRAY_SIZE(p)), 0);
	assert_int_equal(count(0, "jmp", p, ARRAY_SIZE(p)), 2);
	assert_int_equal(count(JIT_PASS_THREAD, "ret", p, ARRAY_SIZE(p)), 2);
	assert_int_equal(run(p, ARRAY_SIZE(p), &(u64){5}), 2);
	assert_int_equal(run(p, ARRAY_SIZE(p), &(u64){6}), 1);
}

/* Round and round, where nobody comes: it compiles. */
static void survives_circles(void **state)
{
	const struct bpf_insn p[] = {
		BPF_MOV64_IMM(0, 3), BPF_JMP_IMM(BPF_JEQ, 0, 3, 2), BPF_JMP_A(0), BPF_JMP_A(-2),
		BPF_EXIT_INSN(),
	};

	assert_int_equal(run(p, ARRAY_SIZE(p), NULL), 3);
}

static u64 values[4] = {11, 12, 13, 14};

/* The lookup of an array, and a comparison with NULL; R0 is 99 where it is taken. */
static void lookup(u8 op, u32 key, bool read_null, u64 want, u32 tests)
{
	const struct bpf_insn p[] = {
		BPF_LDX_MEM(BPF_W, 0, 1, 0),
		BPF_RAW_INSN(BPF_JMP32 | BPF_JGE | BPF_K, 0, 0, 5, 4),
		BPF_ALU64_IMM(BPF_LSH, 0, 3),
		BPF_LD_IMM64(1, (uintptr_t)values),
		BPF_ALU64_REG(BPF_ADD, 0, 1),
		BPF_JMP_A(1),
		BPF_MOV64_IMM(0, 0),
		BPF_JMP_IMM(op, 0, 0, 2),
		op == BPF_JEQ || read_null ? (struct bpf_insn)BPF_LDX_MEM(BPF_DW, 0, 0, 0)
					   : (struct bpf_insn)BPF_MOV64_IMM(0, 77),
		BPF_EXIT_INSN(),
		op == BPF_JNE ? (struct bpf_insn)BPF_LDX_MEM(BPF_DW, 0, 0, 0)
		: read_null   ? (struct bpf_insn)BPF_ALU64_IMM(BPF_ADD, 0, 99)
			      : (struct bpf_insn)BPF_MOV64_IMM(0, 99),
		BPF_EXIT_INSN(),
	};

	assert_int_equal(run(p, ARRAY_SIZE(p), &key), want);
	assert_int_equal(count(JIT_PASS_THREAD, "test", p, ARRAY_SIZE(p)), tests);
}

static void lookups_know(void **state)
{
	lookup(BPF_JEQ, 2, false, 13, 0);
	lookup(BPF_JEQ, 4, false, 99, 0);
	lookup(BPF_JNE, 3, false, 14, 0);
	lookup(BPF_JNE, 5, false, 77, 0);
	/* NULL is read: only the other side is shorter */
	lookup(BPF_JEQ, 2, true, 13, 1);
	lookup(BPF_JEQ, 4, true, 99, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_chains),
		cmocka_unit_test(survives_circles),
		cmocka_unit_test(lookups_know),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
