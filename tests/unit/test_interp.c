/*
 * test_interp.c - the interpreter alone: every row on boundary operands, then what needs a whole
 * program
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "run/interp.h"
#include "run/run.h"
#include "tests/lib/rawprog.h"
#include "tests/lib/testop.h"
#include "tests/lib/testprog.h"
#include "uapi/bpf_insn.h"

/* ---- single instructions */

static void run_op(const struct testop *op, void *priv)
{
	struct bpf_insn buf[TESTOP_MAX_INSNS];
	u32 cnt = testop_build(op, TESTOP_RAW, buf), *runs = priv;
	struct bpf_prog *prog = rawprog_new(buf, cnt);

	assert_true(cnt <= TESTOP_MAX_INSNS);
	assert_non_null(prog);
	for (u32 i = 0; i < op->pair_cnt; i++) {
		struct testop_packet pkt = {.a = op->pairs[i][0], .b = op->pairs[i][1]};
		struct testop_out want;

		testop_expect(op, pkt.a, pkt.b, &want);
		assert_int_equal(bpf_interp_run(&pkt, prog), 0);
		if (memcmp(&want, &pkt.out, sizeof(want))) {
			print_error("%s on %#llx, %#llx\n", testop_name(op),
				    (unsigned long long)pkt.a, (unsigned long long)pkt.b);
			assert_memory_equal(&want, &pkt.out, sizeof(want));
		}
		++*runs;
	}
	rawprog_free(prog);
}

static void test_every_operand(void **state)
{
	u32 runs = 0, ops = testop_each(TESTOP_OPERANDS, run_op, &runs);

	print_message("%u operations, %u runs\n", ops, runs);
	assert_true(ops > 1000 && runs > 50000);
}

static void test_every_register(void **state)
{
	u32 runs = 0, ops = testop_each(TESTOP_REGISTERS, run_op, &runs);

	print_message("%u operations, %u runs\n", ops, runs);
	assert_true(ops > 5000);
}

/* ---- coverage: a row of the opcode table that no test runs is a fault of the tests */

static bool covered[BPF_OP_MAX];

static void cover_op(const struct testop *op, void *priv)
{
	covered[bpf_insn_decode(&op->insn)] = true;
}

static void cover_row(const struct testprog *row)
{
	for (u32 i = 0; i < testprog_len(row); i++) {
		const struct bpf_insn *insn = &row->insns[i];

		assert_true(bpf_insn_decode(insn) >= 0);
		covered[bpf_insn_decode(insn)] = true;
		if (insn->code == (BPF_JMP | BPF_CALL) && insn->imm == BPF_FUNC_tail_call)
			covered[BPF_OP_TAIL_CALL] = true; /* what it is rewritten to */
		i += bpf_insn_is_imm64(insn);
	}
}

static void test_tables_cover_every_row(void **state)
{
	testop_each(TESTOP_OPERANDS, cover_op, NULL);
	covered[BPF_OP_NOSPEC] = true; /* test_barrier() */
	for (u32 i = 0; i < testprog_cnt; i++)
		if (!testprogs[i].reject)
			cover_row(&testprogs[i]);
	for (int op = 0; op < BPF_OP_MAX; op++)
		if (!covered[op])
			fail_msg("%s is in no test", bpf_op_info[op].name);
}

/* ---- whole programs */

static u64 run(const struct bpf_insn *insns, u32 cnt, const void *ctx)
{
	struct bpf_prog *prog = rawprog_new(insns, cnt);
	u64 ret;

	assert_non_null(prog);
	ret = bpf_interp_run(ctx, prog);
	rawprog_free(prog);
	return ret;
}

#define RUN(ctx, ...)                                           \
	({                                                      \
		const struct bpf_insn _insns[] = {__VA_ARGS__}; \
		run(_insns, ARRAY_SIZE(_insns), ctx);           \
	})

static void test_imm64(void **state)
{
	assert_true(RUN(NULL, BPF_LD_IMM64(BPF_REG_0, 0xdeadbeefcafebabe), BPF_EXIT_INSN()) ==
		    0xdeadbeefcafebabe);
	assert_true(RUN(NULL, BPF_LD_IMM64(BPF_REG_0, 0x80000000), BPF_EXIT_INSN()) == 0x80000000);
	assert_true(RUN(NULL, BPF_LD_IMM64(BPF_REG_0, -1), BPF_EXIT_INSN()) == UINT64_MAX);
}

static void test_jumps_over_imm64(void **state)
{
	assert_true(RUN(NULL, BPF_JMP_A(2), BPF_LD_IMM64(BPF_REG_0, 1), BPF_LD_IMM64(BPF_REG_0, 42),
			BPF_EXIT_INSN()) == 42);
	assert_true(RUN(NULL, BPF_JMP32_A(2), BPF_LD_IMM64(BPF_REG_0, 1),
			BPF_LD_IMM64(BPF_REG_0, 43), BPF_EXIT_INSN()) == 43);
}

static void test_loop_back(void **state)
{
	/* The sum of 1 to 1000, with a conditional jump back and then with gotol back. */
	assert_true(RUN(NULL, BPF_MOV64_IMM(BPF_REG_0, 0), BPF_MOV64_IMM(BPF_REG_1, 1000),
			BPF_ALU64_REG(BPF_ADD, BPF_REG_0, BPF_REG_1),
			BPF_ALU64_IMM(BPF_SUB, BPF_REG_1, 1),
			BPF_JMP_IMM(BPF_JNE, BPF_REG_1, 0, -3), BPF_EXIT_INSN()) == 500500);
	assert_true(RUN(NULL, BPF_MOV64_IMM(BPF_REG_0, 0), BPF_MOV64_IMM(BPF_REG_1, 1000),
			BPF_ALU64_REG(BPF_ADD, BPF_REG_0, BPF_REG_1),
			BPF_ALU64_IMM(BPF_SUB, BPF_REG_1, 1), BPF_JMP_IMM(BPF_JEQ, BPF_REG_1, 0, 1),
			BPF_JMP32_A(-4), BPF_EXIT_INSN()) == 500500);
}

static void test_far_jump(void **state)
{
	u32 cnt = 70000;
	struct bpf_insn *insns = calloc(cnt, sizeof(*insns));
	u64 ret;

	assert_non_null(insns);
	for (u32 i = 0; i < cnt; i++)
		insns[i] = BPF_MOV64_IMM(BPF_REG_0, 1);
	insns[0] = BPF_MOV64_IMM(BPF_REG_0, 7);
	insns[1] = BPF_JMP32_A(cnt - 3);
	insns[cnt - 1] = BPF_EXIT_INSN();
	ret = run(insns, cnt, NULL);
	free(insns);
	assert_true(ret == 7);
}

/* f(n) = n ? n + f(n - 1) : 0, as deep as `n`; each frame keeps n in R6 and on its stack. */
static u64 recurse(int n)
{
	return RUN(NULL, BPF_MOV64_IMM(BPF_REG_1, n), BPF_MOV64_IMM(BPF_REG_6, 1000),
		   BPF_CALL_REL(2), BPF_ALU64_REG(BPF_ADD, BPF_REG_0, BPF_REG_6), BPF_EXIT_INSN(),
		   /* f: */
		   BPF_MOV64_REG(BPF_REG_6, BPF_REG_1),
		   BPF_STX_MEM(BPF_DW, BPF_REG_10, BPF_REG_1, -512), BPF_MOV64_IMM(BPF_REG_0, 0),
		   BPF_JMP_IMM(BPF_JEQ, BPF_REG_1, 0, 6), BPF_ALU64_IMM(BPF_SUB, BPF_REG_1, 1),
		   BPF_CALL_REL(-6), BPF_LDX_MEM(BPF_DW, BPF_REG_1, BPF_REG_10, -512),
		   BPF_JMP_REG(BPF_JEQ, BPF_REG_1, BPF_REG_6, 1), BPF_EXIT_INSN(),
		   BPF_ALU64_REG(BPF_ADD, BPF_REG_0, BPF_REG_1), BPF_EXIT_INSN());
}

static void test_eight_frames(void **state)
{
	assert_true(recurse(0) == 1000);
	assert_true(recurse(6) == 1021); /* main and seven frames of f */
	assert_true(recurse(7) == 0); /* a ninth frame: the run ends */
}

static u64 sum5(u64 a, u64 b, u64 c, u64 d, u64 e)
{
	return a + 10 * b + 100 * c + 1000 * d + 10000 * e;
}

static void test_helper_call(void **state)
{
	assert_true(RUN(NULL, BPF_MOV64_IMM(BPF_REG_1, 1), BPF_MOV64_IMM(BPF_REG_2, 2),
			BPF_MOV64_IMM(BPF_REG_3, 3), BPF_MOV64_IMM(BPF_REG_4, 4),
			BPF_MOV64_IMM(BPF_REG_5, 5), BPF_MOV64_IMM(BPF_REG_6, 6),
			BPF_EMIT_CALL(BPF_CALL_IMM(sum5)),
			BPF_ALU64_REG(BPF_MUL, BPF_REG_0, BPF_REG_6),
			BPF_EXIT_INSN()) == 6 * 54321);
}

/* ---- memory */

static void test_context(void **state)
{
	u64 ctx[2] = {11, 22};

	assert_true(RUN(ctx, BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_1, 8), BPF_EXIT_INSN()) == 22);
}

static void test_unaligned(void **state)
{
	u8 ctx[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};

	assert_true(RUN(ctx, BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_1, 1), BPF_EXIT_INSN()) ==
		    0x0807060504030201);
	RUN(ctx, BPF_ST_MEM(BPF_W, BPF_REG_1, 3, 0x44332211), BPF_MOV64_IMM(BPF_REG_0, 0),
	    BPF_EXIT_INSN());
	assert_int_equal(ctx[3], 0x11);
	assert_int_equal(ctx[6], 0x44);
	assert_int_equal(ctx[7], 7);
}

/* ---- atomics: threads that do the same to one word lose nothing */

#define ATOMIC_THREADS 4
#define ATOMIC_ROUNDS  20000

static struct bpf_prog *atomic_prog;
static u64 atomic_words[3]; /* 64-bit sum, 32-bit sum, sum by compare and exchange */

static u64 run_once(const struct bpf_prog *prog, const void *ctx)
{
	u64 ret;

	bpf_run_enter();
	ret = bpf_prog_run(prog, ctx);
	bpf_run_exit();
	return ret;
}

static void *atomic_thread(void *arg)
{
	run_once(atomic_prog, atomic_words);
	return NULL;
}

static void test_atomics_of_threads(void **state)
{
	const struct bpf_insn insns[] = {
		BPF_MOV64_IMM(BPF_REG_6, ATOMIC_ROUNDS),
		BPF_MOV64_IMM(BPF_REG_2, 3),
		BPF_ATOMIC_OP(BPF_DW, BPF_ADD, BPF_REG_1, BPF_REG_2, 0),
		BPF_ATOMIC_OP(BPF_W, BPF_ADD | BPF_FETCH, BPF_REG_1, BPF_REG_2, 8),
		BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_1, 16), /* retry: */
		BPF_MOV64_REG(BPF_REG_3, BPF_REG_0),
		BPF_MOV64_REG(BPF_REG_4, BPF_REG_0),
		BPF_ALU64_IMM(BPF_ADD, BPF_REG_4, 5),
		BPF_ATOMIC_OP(BPF_DW, BPF_CMPXCHG, BPF_REG_1, BPF_REG_4, 16),
		BPF_JMP_REG(BPF_JNE, BPF_REG_0, BPF_REG_3, -6),
		BPF_ALU64_IMM(BPF_SUB, BPF_REG_6, 1),
		BPF_JMP_IMM(BPF_JNE, BPF_REG_6, 0, -11),
		BPF_MOV64_IMM(BPF_REG_0, 0),
		BPF_EXIT_INSN(),
	};
	const u64 rounds = (u64)ATOMIC_THREADS * ATOMIC_ROUNDS;
	pthread_t threads[ATOMIC_THREADS];

	memset(atomic_words, 0, sizeof(atomic_words));
	atomic_prog = rawprog_new(insns, ARRAY_SIZE(insns));
	assert_non_null(atomic_prog);
	for (int i = 0; i < ATOMIC_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, atomic_thread, NULL), 0);
	for (int i = 0; i < ATOMIC_THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_words[0], 3 * rounds);
	assert_int_equal(atomic_words[1], 3 * rounds); /* fits 32 bits; the upper half stays 0 */
	assert_int_equal(atomic_words[2], 5 * rounds);
	rawprog_free(atomic_prog);
}

static void test_barrier(void **state)
{
	assert_int_equal(RUN(NULL, BPF_MOV64_IMM(BPF_REG_0, 5),
			     BPF_RAW_INSN(BPF_ST | BPF_NOSPEC, 0, 0, 0, 0), BPF_EXIT_INSN()),
			 5);
}

static void test_ax_register(void **state)
{
	/* The rewriter may use R11 (BPF_REG_AX). */
	assert_true(RUN(NULL, BPF_MOV64_IMM(BPF_REG_AX, 9), BPF_MOV64_REG(BPF_REG_0, BPF_REG_AX),
			BPF_EXIT_INSN()) == 9);
}

static void test_end_of_program(void **state)
{
	assert_true(RUN(NULL, BPF_MOV64_IMM(BPF_REG_0, 3)) == 0);
}

static void test_prepare_refuses(void **state)
{
	static const struct bpf_insn bad[][2] = {
		{BPF_JMP_A(1), BPF_EXIT_INSN()},
		{BPF_JMP_A(-2), BPF_EXIT_INSN()},
		{BPF_JMP32_A(INT32_MAX), BPF_EXIT_INSN()},
		{BPF_CALL_REL(1), BPF_EXIT_INSN()},
		{BPF_RAW_INSN(0xff, 0, 0, 0, 0), BPF_EXIT_INSN()},
		{BPF_MOV64_REG(BPF_REG_AX + 1, 0), BPF_EXIT_INSN()},
		{BPF_EXIT_INSN(), BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, 0, 0, 0, 0)},
		{BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, 1), BPF_EXIT_INSN()},
		{BPF_LD_IMM64_RAW(BPF_REG_1, BPF_PSEUDO_FUNC, 5)},
	};

	for (u32 i = 0; i < ARRAY_SIZE(bad); i++)
		assert_null(rawprog_new(bad[i], 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_operand),
		cmocka_unit_test(test_every_register),
		cmocka_unit_test(test_tables_cover_every_row),
		cmocka_unit_test(test_imm64),
		cmocka_unit_test(test_jumps_over_imm64),
		cmocka_unit_test(test_loop_back),
		cmocka_unit_test(test_far_jump),
		cmocka_unit_test(test_eight_frames),
		cmocka_unit_test(test_helper_call),
		cmocka_unit_test(test_context),
		cmocka_unit_test(test_unaligned),
		cmocka_unit_test(test_atomics_of_threads),
		cmocka_unit_test(test_barrier),
		cmocka_unit_test(test_ax_register),
		cmocka_unit_test(test_end_of_program),
		cmocka_unit_test(test_prepare_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
