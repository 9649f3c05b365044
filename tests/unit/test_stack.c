/*
 * test_stack.c - what a program reads from stack that it did not write
 *
 * Linux lets privileged loaders read it, so it is accepted here; but it must not show what the
 * server or another program left on the native stack. Each program runs in the JIT and in the
 * interpreter on a stack full of 0xa5, and must see zeros.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <inttypes.h>
#include <stdio.h>
#include <cmocka.h>
#include "load.h"
#include "run/test_run.h"
#include "uapi/bpf_insn.h"
#include "map/create.h"
#include "map/syscall.h"

#define R0 BPF_REG_0
#define R1 BPF_REG_1
#define R2 BPF_REG_2
#define R3 BPF_REG_3
#define R4 BPF_REG_4
#define R6 BPF_REG_6
#define FP BPF_REG_10

static __attribute__((noinline)) void dirty_stack(void)
{
	volatile u8 junk[32768];

	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = 0xa5;
}

static u32 run(struct bpf_prog *prog)
{
	u8 packet[64] = {0};
	struct bpf_test_run test = {.data_in = packet, .data_size_in = sizeof(packet)};

	dirty_stack();
	assert_int_equal(bpf_prog_test_run(prog, &test), 0);
	return test.retval;
}

/* Loads, runs, and returns whether the frames of the program start as zeros. */
static bool expect_type(enum bpf_prog_type type, const struct bpf_insn *insns, u32 cnt,
			struct bpf_map *map, u32 want)
{
	struct bpf_prog_load_attr attr = {
		.prog_type = type,
		.license = "GPL",
		.insns = insns,
		.insn_cnt = cnt,
		.maps = &map,
		.map_cnt = map ? 1 : 0,
	};
	bool zeroed = false;

	for (int no_jit = 0; no_jit < 2; no_jit++) {
		struct bpf_prog *prog;
		struct bpf_log log;
		int err;

		bpf_log_init(&log, BPF_LOG_LEVEL1, 0);
		attr.no_jit = no_jit;
		err = bpf_prog_load(&attr, &log, NULL, NULL, &prog);
		if (err)
			fail_msg("%s\n%s", strerror(-err), bpf_log_text(&log));
		bpf_log_free(&log);
		zeroed = prog->zero_stack;
		assert_int_equal(run(prog), want);
		bpf_prog_put(prog);
	}
	return zeroed;
}

static bool expect(const struct bpf_insn *insns, u32 cnt, struct bpf_map *map, u32 want)
{
	return expect_type(BPF_PROG_TYPE_SCHED_CLS, insns, cnt, map, want);
}

#define EXPECT(WANT, ...)                        \
	expect((struct bpf_insn[]){__VA_ARGS__}, \
	       sizeof((struct bpf_insn[]){__VA_ARGS__}) / sizeof(struct bpf_insn), NULL, WANT)

static void every_slot(void **state)
{
	for (int off = -512; off < 0; off += 8) {
		EXPECT(0, BPF_LDX_MEM(BPF_DW, R0, FP, off), BPF_EXIT_INSN());
		EXPECT(0, BPF_LDX_MEM(BPF_DW, R0, FP, off), BPF_ALU64_IMM(BPF_RSH, R0, 32),
		       BPF_EXIT_INSN());
		EXPECT(0, BPF_LDX_MEM(BPF_B, R0, FP, off + 3), BPF_EXIT_INSN());
	}
}

static void what_was_written_is_not_touched(void **state)
{
	assert_false(EXPECT(7, BPF_ST_MEM(BPF_DW, FP, -8, 7), BPF_LDX_MEM(BPF_DW, R0, FP, -8),
			    BPF_EXIT_INSN()));
	/* half of a slot written, the other half read */
	EXPECT(0, BPF_ST_MEM(BPF_W, FP, -8, 7), BPF_LDX_MEM(BPF_W, R0, FP, -4), BPF_EXIT_INSN());
	EXPECT(7, BPF_ST_MEM(BPF_W, FP, -8, 7), BPF_LDX_MEM(BPF_DW, R0, FP, -8), BPF_EXIT_INSN());
}

/* Whatever room is left for the code when a function with a large frame begins. */
static void large_frames_of_many_functions(void **state)
{
	for (u32 funcs = 1; funcs <= 24; funcs++) {
		struct bpf_insn insns[24 * 4 + 2];
		u32 n = 0;

		for (u32 i = 0; i < funcs; i++, n++)
			insns[n] = BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0,
						(s32)(funcs + 2 * i - i));
		insns[n++] = BPF_EXIT_INSN();
		for (u32 i = 0; i < funcs; i++) {
			insns[n++] = BPF_LDX_MEM(BPF_DW, R0, FP, -496);
			insns[n++] = BPF_EXIT_INSN();
		}
		assert_true(expect(insns, n, NULL, 0));
	}
}

/* A store at a variable offset writes one place of all that it may write. */
static void around_a_store_somewhere(void **state)
{
	assert_true(EXPECT(0, BPF_LDX_MEM(BPF_W, R1, R1, 0), BPF_ALU64_IMM(BPF_AND, R1, 0),
			   BPF_EMIT_CALL(BPF_FUNC_get_prandom_u32), BPF_ALU64_IMM(BPF_AND, R0, 8),
			   BPF_MOV64_REG(R2, FP), BPF_ALU64_REG(BPF_ADD, R2, R0),
			   BPF_ST_MEM(BPF_DW, R2, -24, 0), BPF_LDX_MEM(BPF_DW, R0, FP, -24),
			   BPF_LDX_MEM(BPF_DW, R1, FP, -16), BPF_ALU64_REG(BPF_OR, R0, R1),
			   BPF_EXIT_INSN()));
}

/* One way writes, the other does not, and the second is pruned by what the first found safe. */
static void beyond_a_pruned_path(void **state)
{
	EXPECT(0, BPF_LDX_MEM(BPF_W, R6, R1, 0), BPF_MOV64_IMM(R2, 0), BPF_MOV64_IMM(R3, 0),
	       BPF_MOV64_IMM(R4, 0), BPF_MOV64_IMM(R0, 0), BPF_JMP_IMM(BPF_JNE, R6, 12345, 2),
	       BPF_JMP_IMM(BPF_JNE, R6, 54321, 2), BPF_EXIT_INSN(), BPF_JMP_A(2),
	       BPF_EMIT_CALL(BPF_FUNC_get_prandom_u32), BPF_STX_MEM(BPF_DW, FP, R0, -8),
	       BPF_MOV64_IMM(R1, 0), BPF_MOV64_IMM(R1, 0), BPF_MOV64_IMM(R1, 0),
	       BPF_MOV64_IMM(R1, 0), BPF_LDX_MEM(BPF_DW, R0, FP, -8), BPF_EXIT_INSN());
	/* the way that writes is walked first, the other one later */
	EXPECT(0, BPF_LDX_MEM(BPF_W, R6, R1, 0), BPF_MOV64_IMM(R0, 0), BPF_MOV64_IMM(R2, 0),
	       BPF_MOV64_IMM(R3, 0), BPF_MOV64_IMM(R4, 0), BPF_JMP_IMM(BPF_JNE, R6, 12345, 2),
	       BPF_EMIT_CALL(BPF_FUNC_get_prandom_u32), BPF_STX_MEM(BPF_DW, FP, R0, -8),
	       BPF_MOV64_IMM(R1, 0), BPF_JMP_IMM(BPF_JEQ, R6, 77, 0),
	       BPF_JMP_IMM(BPF_JEQ, R6, 78, 0), BPF_LDX_MEM(BPF_DW, R0, FP, -8), BPF_EXIT_INSN());
}

/*
 * The way that does not write is never walked to its read: it is pruned where the ways join, which
 * is far enough behind for a state to have been kept there.
 */
static void where_the_second_way_is_pruned(void **state)
{
	struct bpf_insn insns[64];
	u32 n = 0;

	insns[n++] = BPF_LDX_MEM(BPF_W, R3, R1, 0);
	insns[n++] = BPF_LDX_MEM(BPF_W, R6, R1, 4);
	insns[n++] = BPF_JMP_IMM(BPF_JNE, R3, 12345, 1);
	insns[n++] = BPF_STX_MEM(BPF_DW, FP, R6, -8);
	insns[n++] = BPF_MOV64_IMM(R3, 0);
	insns[n++] = BPF_MOV64_IMM(R0, 0);
	for (u32 i = 0; i < 12; i++) {
		insns[n++] = BPF_MOV64_IMM(R1, 0);
		insns[n++] = BPF_JMP_IMM(BPF_JEQ, R6, 70000 + (s32)i, 1);
		insns[n++] = BPF_MOV64_IMM(R1, 0);
	}
	insns[n++] = BPF_LDX_MEM(BPF_DW, R0, FP, -8);
	insns[n++] = BPF_EXIT_INSN();
	assert_true(expect(insns, n, NULL, 0));
}

static void in_functions(void **state)
{
	/* the callee's own frame, entered twice; the first time it leaves something there */
	EXPECT(0, BPF_MOV64_IMM(R1, 1), BPF_CALL_REL(3), BPF_MOV64_IMM(R1, 0), BPF_CALL_REL(1),
	       BPF_EXIT_INSN(), BPF_LDX_MEM(BPF_DW, R0, FP, -8), BPF_ST_MEM(BPF_DW, FP, -8, 99),
	       BPF_EXIT_INSN());
	/* the caller's frame, read by the callee */
	EXPECT(0, BPF_MOV64_REG(R1, FP), BPF_ALU64_IMM(BPF_ADD, R1, -16), BPF_CALL_REL(1),
	       BPF_EXIT_INSN(), BPF_LDX_MEM(BPF_DW, R0, R1, 0), BPF_EXIT_INSN());
}

/* A jump back to the first instruction is no new entry: what the loop keeps there stays. */
static void a_loop_to_the_start(void **state)
{
	EXPECT(5, BPF_LDX_MEM(BPF_DW, R0, FP, -8), BPF_ALU64_IMM(BPF_ADD, R0, 1),
	       BPF_STX_MEM(BPF_DW, FP, R0, -8), BPF_JMP_IMM(BPF_JGE, R0, 5, 1), BPF_JMP_A(-5),
	       BPF_EXIT_INSN());
}

/* A function whose first instruction is dropped is entered all the same. */
static void a_first_instruction_that_goes(void **state)
{
	EXPECT(0, BPF_JMP_A(0), BPF_LDX_MEM(BPF_DW, R0, FP, -8), BPF_EXIT_INSN());
	EXPECT(0, BPF_CALL_REL(1), BPF_EXIT_INSN(), BPF_JMP_A(0), BPF_LDX_MEM(BPF_DW, R0, FP, -8),
	       BPF_EXIT_INSN());
}

/* A helper that reads: bytes of a key that nobody wrote. */
static void as_a_key(void **state)
{
	const struct bpf_map_spec spec = {
		.map_type = BPF_MAP_TYPE_HASH,
		.key_size = 16,
		.value_size = 4,
		.max_entries = 4,
	};
	const struct bpf_insn insns[] = {
		BPF_ST_MEM(BPF_B, FP, -16, 0),		 BPF_MOV64_REG(R2, FP),
		BPF_ALU64_IMM(BPF_ADD, R2, -16),	 BPF_LD_MAP_IDX(R1, 0),
		BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem), BPF_JMP_IMM(BPF_JEQ, R0, 0, 1),
		BPF_LDX_MEM(BPF_W, R0, R0, 0),		 BPF_EXIT_INSN(),
	};
	u8 key[16] = {0};
	u32 value = 42;
	struct bpf_map *map;

	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
	assert_int_equal(bpf_map_update(map, key, &value, BPF_ANY), 0);
	expect(insns, ARRAY_SIZE(insns), map, 42);
	bpf_map_put(map);
}

/* xdp_load_bytes leaves its buffer alone when it fails, as in Linux; skb_load_bytes clears it. */
static void from_a_helper_that_fails(void **state)
{
	const struct bpf_insn insns[] = {
		BPF_MOV64_IMM(R2, 100000),
		BPF_MOV64_REG(R3, FP),
		BPF_ALU64_IMM(BPF_ADD, R3, -24),
		BPF_MOV64_IMM(R4, 20),
		BPF_EMIT_CALL(BPF_FUNC_xdp_load_bytes),
		BPF_LDX_MEM(BPF_DW, R0, FP, -24),
		BPF_LDX_MEM(BPF_W, R1, FP, -8),
		BPF_ALU64_REG(BPF_OR, R0, R1),
		BPF_EXIT_INSN(),
	};
	struct bpf_insn skb[ARRAY_SIZE(insns)];

	expect_type(BPF_PROG_TYPE_XDP, insns, ARRAY_SIZE(insns), NULL, 0);
	memcpy(skb, insns, sizeof(insns));
	skb[4].imm = BPF_FUNC_skb_load_bytes;
	expect_type(BPF_PROG_TYPE_SCHED_CLS, skb, ARRAY_SIZE(skb), NULL, 0);
}

/* A variable offset: each slot that it may reach. */
static void at_a_variable_offset(void **state)
{
	EXPECT(0, BPF_LDX_MEM(BPF_W, R6, R1, 0), BPF_ALU64_IMM(BPF_AND, R6, 56),
	       BPF_ALU64_IMM(BPF_SUB, R6, 64), BPF_ALU64_REG(BPF_ADD, R6, FP),
	       BPF_LDX_MEM(BPF_DW, R0, R6, 0), BPF_EXIT_INSN());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_slot),
		cmocka_unit_test(what_was_written_is_not_touched),
		cmocka_unit_test(large_frames_of_many_functions),
		cmocka_unit_test(around_a_store_somewhere),
		cmocka_unit_test(beyond_a_pruned_path),
		cmocka_unit_test(where_the_second_way_is_pruned),
		cmocka_unit_test(in_functions),
		cmocka_unit_test(a_loop_to_the_start),
		cmocka_unit_test(a_first_instruction_that_goes),
		cmocka_unit_test(as_a_key),
		cmocka_unit_test(from_a_helper_that_fails),
		cmocka_unit_test(at_a_variable_offset),
	};

	return cmocka_run_group_tests_name("stack", tests, NULL, NULL);
}
