/*
 * test_promote.c - slots of the stack in registers, and values that nobody reads
 */
#include "jit/ir/ir.h"
#include "jit/jit.h"
#include "jit/ir/pass.h"
#include "tests/lib/jitprog.h"

/* Run with one pass and without any; says how many fewer of these instructions there are. */
static s32 saved(u32 pass, const char *mnemonic, const struct bpf_insn *p, u32 cnt, u64 want)
{
	u64 ctx[4] = {5, 6, 7, 8};
	u32 with, without;
	struct bpf_prog *prog;

	jit_use_passes(pass);
	prog = jitprog_compile1(p, cnt);
	with = jitprog_count(prog, mnemonic);
	assert_int_equal(jitprog_call(prog, ctx),
			 want); /* which looks at the registers that C keeps */
	jitprog_free(prog);
	jit_use_passes(0);
	prog = jitprog_compile1(p, cnt);
	without = jitprog_count(prog, mnemonic);
	assert_int_equal(jitprog_call(prog, ctx), want);
	jitprog_free(prog);
	jit_use_passes(JIT_PASS_ALL);
	assert_int_equal(jitprog_run(p, cnt, &(struct jitprog_sub){0, MAX_BPF_STACK}, 1, ctx),
			 want);
	return (s32)(without - with);
}

#define SAVED(pass, mnemonic, want, ...)                         \
	({                                                       \
		const struct bpf_insn _p[] = {__VA_ARGS__};      \
		saved(pass, mnemonic, _p, ARRAY_SIZE(_p), want); \
	})

/* "sub" makes the frame: there is none if no slot is left (the saved registers are pushed). */
#define NO_FRAME(want, ...) assert_int_equal(SAVED(JIT_PASS_PROMOTE, "sub", want, __VA_ARGS__), 1)
#define FRAME(want, ...)    assert_int_equal(SAVED(JIT_PASS_PROMOTE, "sub", want, __VA_ARGS__), 0)

static void promotes_whole_slots(void **state)
{
	NO_FRAME(5 + 6, BPF_LDX_MEM(BPF_DW, 2, 1, 0), BPF_STX_MEM(BPF_DW, 10, 2, -8),
		 BPF_LDX_MEM(BPF_DW, 2, 1, 8), BPF_STX_MEM(BPF_DW, 10, 2, -16),
		 BPF_LDX_MEM(BPF_DW, 0, 10, -8), BPF_LDX_MEM(BPF_DW, 2, 10, -16),
		 BPF_ALU64_REG(BPF_ADD, 0, 2), BPF_EXIT_INSN());
	/* a word is extended with zeros, whoever wrote it; its neighbour is another one */
	NO_FRAME(0xfffffffd, BPF_MOV64_IMM(2, -4), BPF_STX_MEM(BPF_W, 10, 2, -4),
		 BPF_ST_MEM(BPF_W, 10, -8, 1), BPF_LDX_MEM(BPF_W, 0, 10, -4),
		 BPF_LDX_MEM(BPF_W, 3, 10, -8), BPF_ALU64_REG(BPF_ADD, 0, 3), BPF_EXIT_INSN());
	NO_FRAME(0xffffffff, BPF_ST_MEM(BPF_W, 10, -8, -1), BPF_LDX_MEM(BPF_W, 0, 10, -8),
		 BPF_EXIT_INSN());
	NO_FRAME(-1ULL, BPF_ST_MEM(BPF_DW, 10, -8, -1), BPF_LDX_MEM(BPF_DW, 0, 10, -8),
		 BPF_EXIT_INSN());
	/* over a loop, and over calls: then only registers that C keeps */
	SAVED(JIT_PASS_PROMOTE, "sub", 5 * 4, BPF_LDX_MEM(BPF_DW, 6, 1, 0),
	      BPF_ST_MEM(BPF_DW, 10, -8, 0), BPF_MOV64_IMM(7, 4), BPF_LDX_MEM(BPF_DW, 2, 10, -8),
	      BPF_ALU64_REG(BPF_ADD, 2, 6), BPF_STX_MEM(BPF_DW, 10, 2, -8), BPF_MOV64_IMM(1, 1),
	      BPF_MOV64_IMM(2, 1), BPF_MOV64_IMM(3, 1), BPF_MOV64_IMM(4, 1), BPF_MOV64_IMM(5, 1),
	      CALL_C(jitprog_helper), BPF_ALU64_IMM(BPF_SUB, 7, 1), BPF_JMP_IMM(BPF_JNE, 7, 0, -11),
	      BPF_LDX_MEM(BPF_DW, 0, 10, -8), BPF_EXIT_INSN());
}

/* What is stored and never loaded goes. */
static void drops_dead_stores(void **state)
{
	NO_FRAME(5, BPF_LDX_MEM(BPF_DW, 0, 1, 0), BPF_STX_MEM(BPF_DW, 10, 0, -8),
		 BPF_ST_MEM(BPF_W, 10, -24, 3), BPF_EXIT_INSN());
}

static void keeps_shared_slots(void **state)
{
	/* R10 goes to somebody else */
	FRAME(9, BPF_ST_MEM(BPF_DW, 10, -8, 9), BPF_MOV64_REG(2, 10), BPF_LDX_MEM(BPF_DW, 0, 2, -8),
	      BPF_EXIT_INSN());
	/* other sizes, an odd place, a sign */
	FRAME(0x0201, BPF_ST_MEM(BPF_B, 10, -8, 1), BPF_ST_MEM(BPF_B, 10, -7, 2),
	      BPF_LDX_MEM(BPF_H, 0, 10, -8), BPF_EXIT_INSN());
	FRAME(0x700000009, BPF_ST_MEM(BPF_W, 10, -8, 9), BPF_ST_MEM(BPF_W, 10, -4, 7),
	      BPF_LDX_MEM(BPF_DW, 0, 10, -8), BPF_EXIT_INSN());
	FRAME(7, BPF_ST_MEM(BPF_DW, 10, -8, 7), BPF_LDX_MEM(BPF_W, 0, 10, -8), BPF_EXIT_INSN());
	FRAME(0, BPF_ST_MEM(BPF_DW, 10, -8, 7), BPF_LDX_MEM(BPF_W, 0, 10, -4), BPF_EXIT_INSN());
	FRAME(9, BPF_ST_MEM(BPF_DW, 10, -8, 0), BPF_ST_MEM(BPF_DW, 10, -16, 0),
	      BPF_ST_MEM(BPF_DW, 10, -12, 9), BPF_LDX_MEM(BPF_W, 0, 10, -12), BPF_EXIT_INSN());
	FRAME(-1ULL, BPF_ST_MEM(BPF_W, 10, -8, -1), BPF_LDX_MEMSX(BPF_W, 0, 10, -8),
	      BPF_EXIT_INSN());
	/* an atomic */
	FRAME(9, BPF_ST_MEM(BPF_DW, 10, -8, 7), BPF_MOV64_IMM(2, 2),
	      BPF_ATOMIC_OP(BPF_DW, BPF_ADD, 10, 2, -8), BPF_LDX_MEM(BPF_DW, 0, 10, -8),
	      BPF_EXIT_INSN());
}

/* The registers of a caller's slots are not those of its subprogram's. */
static void keeps_callers_apart(void **state)
{
	const struct bpf_insn p[] = {
		BPF_ST_MEM(BPF_DW, 10, -8, 40),
		BPF_ST_MEM(BPF_DW, 10, -16, 2),
		BPF_CALL_REL(4),
		BPF_LDX_MEM(BPF_DW, 0, 10, -8),
		BPF_LDX_MEM(BPF_DW, 2, 10, -16),
		BPF_ALU64_REG(BPF_ADD, 0, 2),
		BPF_EXIT_INSN(),
		BPF_ST_MEM(BPF_DW, 10, -8, 1),
		BPF_ST_MEM(BPF_DW, 10, -16, 2),
		BPF_LDX_MEM(BPF_DW, 0, 10, -8),
		BPF_LDX_MEM(BPF_DW, 3, 10, -16),
		BPF_ALU64_REG(BPF_ADD, 0, 3),
		BPF_EXIT_INSN(),
	};
	const struct jitprog_sub subs[] = {{0, 16}, {7, 16}};

	assert_int_equal(jitprog_run(p, ARRAY_SIZE(p), subs, 2, NULL), 42);
}

/* More slots than registers: those of the inner loop first. */
static void prefers_loops(void **state)
{
	struct bpf_insn p[64];
	u32 n = 0;

	for (int k = 1; k <= 20; k++)
		p[n++] = (struct bpf_insn)BPF_ST_MEM(BPF_DW, 10, -8 * k, k);
	p[n++] = (struct bpf_insn)BPF_MOV64_IMM(0, 0);
	for (int k = 1; k <= 20; k++) {
		p[n++] = (struct bpf_insn)BPF_LDX_MEM(BPF_DW, 1, 10, -8 * k);
		p[n++] = (struct bpf_insn)BPF_ALU64_REG(BPF_ADD, 0, 1);
	}
	p[n++] = (struct bpf_insn)BPF_EXIT_INSN();
	assert_int_equal(jitprog_run(p, n, &(struct jitprog_sub){0, 160}, 1, NULL), 210);
}

static void drops_dead_values(void **state)
{
	assert_int_equal(SAVED(JIT_PASS_DEAD, "imul", 7, BPF_MOV64_IMM(0, 7), BPF_MOV64_IMM(2, 3),
			       BPF_ALU64_REG(BPF_MUL, 2, 0), BPF_ALU64_REG(BPF_MUL, 2, 2),
			       BPF_EXIT_INSN()),
			 2);
	/* on the other way it is read */
	assert_int_equal(SAVED(JIT_PASS_DEAD, "imul", 49, BPF_MOV64_IMM(0, 7), BPF_MOV64_REG(2, 0),
			       BPF_ALU64_REG(BPF_MUL, 2, 0), BPF_JMP_IMM(BPF_JEQ, 0, 8, 1),
			       BPF_MOV64_REG(0, 2), BPF_EXIT_INSN()),
			 0);
	/* a constant of 64 bits that goes leaves others alone: R0 lives over the division */
	assert_int_equal(SAVED(JIT_PASS_DEAD | JIT_PASS_PROMOTE, "movabs", 5,
			       BPF_LDX_MEM(BPF_DW, 0, 1, 0), BPF_MOV64_IMM(2, 100),
			       BPF_MOV64_IMM(3, 7), BPF_STX_MEM(BPF_DW, 10, 3, -8),
			       BPF_ALU64_REG(BPF_DIV, 2, 3), BPF_STX_MEM(BPF_DW, 1, 2, 8),
			       BPF_LD_IMM64(4, 0x1234567890), BPF_LDX_MEM(BPF_DW, 3, 10, -8),
			       BPF_STX_MEM(BPF_DW, 1, 3, 16), BPF_EXIT_INSN()),
			 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(promotes_whole_slots), cmocka_unit_test(drops_dead_stores),
		cmocka_unit_test(keeps_shared_slots),	cmocka_unit_test(keeps_callers_apart),
		cmocka_unit_test(prefers_loops),	cmocka_unit_test(drops_dead_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
