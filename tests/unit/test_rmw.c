/*
 * test_rmw.c - load, modify and store in one machine instruction, and what must stay three
 */
#include "jit/ir/ir.h"
#include "jit/jit.h"
#include "jit/ir/pass.h"
#include "tests/lib/jitprog.h"

/* The value that R0 = buf[0] has afterwards is in *out; how many loads there were is returned. */
static u32 loads_of(const struct bpf_insn *p, u32 cnt, u64 *out)
{
	static const u64 start[4] = {0xff00ff00ff00ff01, 2, 3, 4};
	struct bpf_prog *prog;
	u64 buf[4];
	u32 loads;

	jit_use_passes(JIT_PASS_RMW);
	prog = jitprog_compile1(p, cnt);
	loads = jitprog_count(prog, "mov") + jitprog_count(prog, "movzx");
	memcpy(buf, start, sizeof(buf));
	jitprog_call(prog, buf);
	*out = buf[0];
	jitprog_free(prog);
	/* without the pass: the same */
	jit_use_passes(0);
	prog = jitprog_compile1(p, cnt);
	memcpy(buf, start, sizeof(buf));
	jitprog_call(prog, buf);
	assert_int_equal(buf[0], *out);
	assert_true(jitprog_count(prog, "mov") + jitprog_count(prog, "movzx") >= loads);
	jitprog_free(prog);
	jit_use_passes(JIT_PASS_ALL);
	return loads;
}

/* R0 and R2 are 7 first, and 0 at the end. */
#define CHECK(want_loads, want, ...)                                                    \
	do {                                                                            \
		const struct bpf_insn _p[] = {BPF_MOV64_IMM(0, 7), BPF_MOV64_IMM(3, 9), \
					      __VA_ARGS__,	   BPF_MOV64_IMM(2, 0), \
					      BPF_MOV64_IMM(0, 0), BPF_EXIT_INSN()};    \
		u64 _out;                                                               \
		u32 _loads = loads_of(_p, ARRAY_SIZE(_p), &_out);                       \
		assert_int_equal(_out, want);                                           \
		if (JITPROG_X86)                                                        \
			assert_int_equal(_loads, want_loads);                           \
	} while (0)

/* Moves that each of the programs has: two constants, and the frame's. */
#define BASE 3

static void fuses_constants(void **state)
{
	/* every size, and an immediate that has as many bits */
	CHECK(BASE, 0xff00ff00ff00ff81, BPF_LDX_MEM(BPF_B, 2, 1, 0),
	      BPF_ALU64_IMM(BPF_ADD, 2, 0x80), BPF_STX_MEM(BPF_B, 1, 2, 0));
	CHECK(BASE, 0xff00ff00ff001001, BPF_LDX_MEM(BPF_H, 2, 1, 0),
	      BPF_ALU32_IMM(BPF_AND, 2, 0x10ff), BPF_ALU64_IMM(BPF_ADD, 3, 0),
	      BPF_STX_MEM(BPF_H, 1, 2, 0));
	CHECK(BASE, 0xff00ff007f00ff01, BPF_LDX_MEM(BPF_W, 2, 1, 0),
	      BPF_ALU32_IMM(BPF_XOR, 2, 0x80000000), BPF_STX_MEM(BPF_W, 1, 2, 0));
	CHECK(BASE, 0xff00ff00ff00ff00, BPF_LDX_MEM(BPF_DW, 2, 1, 0), BPF_ALU64_IMM(BPF_SUB, 2, 1),
	      BPF_STX_MEM(BPF_DW, 1, 2, 0));
	CHECK(BASE, 0xff00ff00ff00ff03, BPF_LDX_MEM(BPF_DW, 2, 1, 0), BPF_ALU64_IMM(BPF_OR, 2, 2),
	      BPF_STX_MEM(BPF_DW, 1, 2, 0));
	CHECK(BASE, 0xff00ff00ff00ff00, BPF_LDX_MEM(BPF_DW, 2, 1, 0), BPF_ALU64_IMM(BPF_ADD, 2, -1),
	      BPF_STX_MEM(BPF_DW, 1, 2, 0));
}

static void fuses_registers(void **state)
{
	CHECK(BASE, 0xff00ff00ff00ff0a, BPF_LDX_MEM(BPF_DW, 2, 1, 0), BPF_ALU64_REG(BPF_ADD, 2, 3),
	      BPF_STX_MEM(BPF_DW, 1, 2, 0));
	CHECK(BASE, 0xff00ff00ff00fef8, BPF_LDX_MEM(BPF_DW, 2, 1, 0), BPF_ALU64_REG(BPF_SUB, 2, 3),
	      BPF_STX_MEM(BPF_DW, 1, 2, 0));
	/* the other way round */
	CHECK(BASE, 0xff00ff00ff00ff08, BPF_LDX_MEM(BPF_W, 2, 1, 0), BPF_ALU32_REG(BPF_ADD, 0, 2),
	      BPF_STX_MEM(BPF_W, 1, 0, 0));
	CHECK(BASE, 0xff00ff00ff00ff08, BPF_LDX_MEM(BPF_B, 2, 1, 0), BPF_ALU64_REG(BPF_ADD, 2, 0),
	      BPF_STX_MEM(BPF_B, 1, 2, 0));
}

static void keeps_what_is_none(void **state)
{
	/* the new value is read again: it comes back to the first word */
	CHECK(BASE + 3, 0xff00ff00ff00ff02, BPF_LDX_MEM(BPF_DW, 2, 1, 0),
	      BPF_ALU64_IMM(BPF_ADD, 2, 1), BPF_STX_MEM(BPF_DW, 1, 2, 0),
	      BPF_STX_MEM(BPF_DW, 1, 2, 8));
	/* so is the old one */
	CHECK(BASE + 3, 0xff00ff00ff00ff08, BPF_LDX_MEM(BPF_DW, 2, 1, 0),
	      BPF_ALU64_REG(BPF_ADD, 0, 2), BPF_STX_MEM(BPF_DW, 1, 0, 0),
	      BPF_STX_MEM(BPF_DW, 1, 2, 8));
	/* a difference the other way round */
	CHECK(BASE + 2, 0x00ff00ff00ff0106, BPF_LDX_MEM(BPF_DW, 2, 1, 0),
	      BPF_ALU64_REG(BPF_SUB, 0, 2), BPF_STX_MEM(BPF_DW, 1, 0, 0));
	/* 32 bits are computed and 64 stored */
	CHECK(BASE + 2, 0xff00ff02, BPF_LDX_MEM(BPF_DW, 2, 1, 0), BPF_ALU32_IMM(BPF_ADD, 2, 1),
	      BPF_STX_MEM(BPF_DW, 1, 2, 0));
	/* another place, another size */
	CHECK(BASE + 2, 3, BPF_LDX_MEM(BPF_DW, 2, 1, 8), BPF_ALU64_IMM(BPF_ADD, 2, 1),
	      BPF_STX_MEM(BPF_DW, 1, 2, 0));
	CHECK(BASE + 2, 0x0000000000000002, BPF_LDX_MEM(BPF_B, 2, 1, 0),
	      BPF_ALU64_IMM(BPF_ADD, 2, 1), BPF_STX_MEM(BPF_DW, 1, 2, 0));
	/* memory changes in between */
	CHECK(BASE + 3, 0xff00ff00ff00ff02, BPF_LDX_MEM(BPF_DW, 2, 1, 0),
	      BPF_ST_MEM(BPF_DW, 1, 0, 5), BPF_ALU64_IMM(BPF_ADD, 2, 1),
	      BPF_STX_MEM(BPF_DW, 1, 2, 0));
	/* the operand changes before the store */
	CHECK(BASE + 4, 0xff00ff00ff00ff0a, BPF_LDX_MEM(BPF_DW, 2, 1, 0),
	      BPF_ALU64_REG(BPF_ADD, 2, 3), BPF_MOV64_IMM(3, 100), BPF_STX_MEM(BPF_DW, 1, 2, 0),
	      BPF_STX_MEM(BPF_DW, 1, 3, 8));
	/* there is another way to the store */
	CHECK(BASE + 3, 7, BPF_MOV64_REG(2, 0), BPF_JMP_IMM(BPF_JEQ, 0, 7, 2),
	      BPF_LDX_MEM(BPF_DW, 2, 1, 0), BPF_ALU64_IMM(BPF_ADD, 2, 1),
	      BPF_STX_MEM(BPF_DW, 1, 2, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fuses_constants),
		cmocka_unit_test(fuses_registers),
		cmocka_unit_test(keeps_what_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
