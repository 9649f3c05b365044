/*
 * test_combine.c - several BPF instructions in one machine instruction, and dumps of the result
 */
#include "jit/ir/ir.h"
#include "helpers/helpers.h"
#include "jit/jit.h"
#include "jit/ir/pass.h"
#include "tests/lib/jitprog.h"

#include "tests/lib/capstone.h"

/* ---- combined instructions: what comes out, and that it is as short as it should be */

static u64 run_counting(const struct bpf_insn *p, u32 cnt, const void *ctx, const char *mnemonic,
			u32 want)
{
	struct bpf_prog *prog;
	u32 found;

	jit_use_passes(JIT_PASS_ALL & ~JIT_PASS_FOLD); /* which takes combine.c's work further */
	prog = jitprog_compile1(p, cnt);
	found = jitprog_count(prog, mnemonic);
	jit_use_passes(JIT_PASS_ALL);
	jitprog_free(prog);
	if (JITPROG_X86 && found != want)
		print_error("%u times %s\n", found, mnemonic);
	if (JITPROG_X86)
		assert_int_equal(found, want);
	return jitprog_run(p, cnt, &(struct jitprog_sub){0, MAX_BPF_STACK}, 1, ctx);
}

#define COUNT(ctx, mnemonic, want, ...)                                \
	({                                                             \
		const struct bpf_insn _p[] = {__VA_ARGS__};            \
		run_counting(_p, ARRAY_SIZE(_p), ctx, mnemonic, want); \
	})

static const u64 rotated = 0x8123456789abcdef;

static void combine_rotation(void **state)
{
	u64 want = rotated << 13 | rotated >> 51;
	u32 want32 = (u32)rotated << 7 | (u32)rotated >> 25;

	/* in place, with something between */
	assert_int_equal(COUNT(&rotated, "shr", 0, BPF_LDX_MEM(BPF_DW, 0, 1, 0),
			       BPF_MOV64_REG(2, 0), BPF_ALU64_IMM(BPF_RSH, 2, 51),
			       BPF_MOV64_IMM(3, 5), BPF_ALU64_IMM(BPF_LSH, 0, 13),
			       BPF_ALU64_REG(BPF_OR, 0, 2), BPF_EXIT_INSN()),
			 want);
	/* into another register, by adding, 32 bits */
	assert_int_equal(COUNT(&rotated, "shr", 0, BPF_LDX_MEM(BPF_DW, 3, 1, 0),
			       BPF_MOV32_REG(2, 3), BPF_ALU32_IMM(BPF_RSH, 2, 25),
			       BPF_MOV32_REG(0, 3), BPF_ALU32_IMM(BPF_LSH, 0, 7),
			       BPF_ALU32_REG(BPF_ADD, 0, 2), BPF_EXIT_INSN()),
			 want32);
}

/* What looks like a rotation and is none keeps its shifts. */
static void combine_no_rotation(void **state)
{
	u64 l = rotated << 13, r = rotated >> 51;

	/* the shifted half is used again */
	assert_int_equal(COUNT(&rotated, "shr", 1, BPF_LDX_MEM(BPF_DW, 0, 1, 0),
			       BPF_MOV64_REG(2, 0), BPF_ALU64_IMM(BPF_RSH, 2, 51),
			       BPF_ALU64_IMM(BPF_LSH, 0, 13), BPF_ALU64_REG(BPF_OR, 0, 2),
			       BPF_ALU64_REG(BPF_ADD, 0, 2), BPF_EXIT_INSN()),
			 (l | r) + r);
	/* was used before */
	assert_int_equal(COUNT(&rotated, "shr", 1, BPF_LDX_MEM(BPF_DW, 0, 1, 0),
			       BPF_MOV64_REG(2, 0), BPF_ALU64_IMM(BPF_RSH, 2, 51),
			       BPF_ALU64_IMM(BPF_LSH, 0, 13), BPF_MOV64_REG(3, 0),
			       BPF_ALU64_REG(BPF_OR, 0, 2), BPF_ALU64_REG(BPF_ADD, 0, 3),
			       BPF_EXIT_INSN()),
			 (l | r) + l);
	/* two values */
	assert_int_equal(COUNT(&rotated, "shr", 1, BPF_LDX_MEM(BPF_DW, 0, 1, 0),
			       BPF_MOV64_REG(2, 0), BPF_ALU64_IMM(BPF_RSH, 2, 51),
			       BPF_ALU64_IMM(BPF_ADD, 0, 1), BPF_ALU64_IMM(BPF_LSH, 0, 13),
			       BPF_ALU64_REG(BPF_OR, 0, 2), BPF_EXIT_INSN()),
			 (rotated + 1) << 13 | r);
	/* 64 bits of two 32-bit copies; the widths of shift and union differ */
	assert_int_equal(COUNT(&rotated, "shr", 1, BPF_LDX_MEM(BPF_DW, 3, 1, 0),
			       BPF_MOV32_REG(2, 3), BPF_ALU64_IMM(BPF_RSH, 2, 51),
			       BPF_MOV64_REG(0, 3), BPF_ALU64_IMM(BPF_LSH, 0, 13),
			       BPF_ALU64_REG(BPF_OR, 0, 2), BPF_EXIT_INSN()),
			 l);
	/* a jump comes between */
	assert_int_equal(COUNT(&rotated, "shr", 1, BPF_LDX_MEM(BPF_DW, 0, 1, 0),
			       BPF_MOV64_REG(2, 0), BPF_ALU64_IMM(BPF_RSH, 2, 51),
			       BPF_ALU64_IMM(BPF_LSH, 0, 13), BPF_JMP_IMM(BPF_JEQ, 0, 7, 1),
			       BPF_ALU64_REG(BPF_OR, 0, 2), BPF_EXIT_INSN()),
			 l | r);
}

static void combine_extension(void **state)
{
	assert_int_equal(COUNT(&rotated, "shr", 0, BPF_LDX_MEM(BPF_DW, 0, 1, 0),
			       BPF_ALU64_IMM(BPF_LSH, 0, 32), BPF_ALU64_IMM(BPF_RSH, 0, 32),
			       BPF_EXIT_INSN()),
			 0x89abcdef);
	assert_int_equal(COUNT(&rotated, "movsxd", 1, BPF_LDX_MEM(BPF_DW, 2, 1, 0),
			       BPF_MOV64_REG(0, 2), BPF_ALU64_IMM(BPF_LSH, 0, 32),
			       BPF_ALU64_IMM(BPF_ARSH, 0, 32), BPF_EXIT_INSN()),
			 0xffffffff89abcdef);
}

static void combine_address(void **state)
{
	struct {
		u64 index, v[8];
	} ctx = {.index = 16, .v = {1, 2, 3, 4, 5, 6, 7, 8}};

	/* into the load, with and without a saved register between rbp and R10 */
	assert_int_equal(COUNT(&ctx, "add", 0, BPF_LDX_MEM(BPF_DW, 2, 1, 0), BPF_MOV64_REG(3, 1),
			       BPF_ALU64_IMM(BPF_ADD, 3, 8), BPF_ALU64_REG(BPF_ADD, 3, 2),
			       BPF_LDX_MEM(BPF_DW, 0, 3, 8), BPF_EXIT_INSN()),
			 4);
	assert_int_equal(COUNT(&ctx, "add", 0, BPF_MOV64_IMM(6, 9), BPF_LDX_MEM(BPF_DW, 2, 1, 0),
			       BPF_MOV64_REG(3, 10), BPF_ALU64_IMM(BPF_ADD, 3, -64),
			       BPF_ALU64_REG(BPF_ADD, 3, 2), BPF_STX_MEM(BPF_DW, 3, 6, 8),
			       BPF_LDX_MEM(BPF_DW, 0, 10, -40), BPF_EXIT_INSN()),
			 9);
	/* scaled */
	assert_int_equal(COUNT(&ctx, "add", 0, BPF_MOV64_IMM(2, 3), BPF_MOV64_REG(3, 2),
			       BPF_ALU64_IMM(BPF_LSH, 3, 3), BPF_ALU64_REG(BPF_ADD, 3, 1),
			       BPF_LDX_MEM(BPF_DW, 0, 3, 8), BPF_EXIT_INSN()),
			 4);
	/* kept in its register when it is read again */
	assert_int_equal(COUNT(&ctx, "lea", 1, BPF_LDX_MEM(BPF_DW, 2, 1, 0), BPF_MOV64_REG(3, 1),
			       BPF_ALU64_IMM(BPF_ADD, 3, 8), BPF_ALU64_REG(BPF_ADD, 3, 2),
			       BPF_LDX_MEM(BPF_DW, 0, 3, 8), BPF_LDX_MEM(BPF_DW, 4, 3, 0),
			       BPF_ALU64_REG(BPF_ADD, 0, 4), BPF_EXIT_INSN()),
			 7);
	/* what it is made of changes before the access */
	assert_int_equal(COUNT(&ctx, "lea", 1, BPF_LDX_MEM(BPF_DW, 2, 1, 0), BPF_MOV64_REG(3, 1),
			       BPF_ALU64_IMM(BPF_ADD, 3, 8), BPF_ALU64_REG(BPF_ADD, 3, 2),
			       BPF_MOV64_IMM(2, 0), BPF_LDX_MEM(BPF_DW, 0, 3, 8), BPF_EXIT_INSN()),
			 4);
}

/*
 * R0 is read later than the program says, so the division between must keep rax. Found by fuzz_jit.
 */
static void combine_keeps_sources_alive(void **state)
{
	assert_int_equal(COUNT(&rotated, "movsxd", 1, BPF_LDX_MEM(BPF_DW, 0, 1, 0),
			       BPF_MOV64_IMM(2, 100), BPF_MOV64_IMM(3, 7), BPF_MOV64_REG(4, 0),
			       BPF_ALU64_REG(BPF_DIV, 2, 3), BPF_ALU64_IMM(BPF_LSH, 4, 32),
			       BPF_ALU64_IMM(BPF_ARSH, 4, 32), BPF_MOV64_REG(0, 2),
			       BPF_ALU64_REG(BPF_ADD, 0, 4), BPF_EXIT_INSN()),
			 0xffffffff89abcdef + 14);
}

/* The slot is read where the helper would be called. */
static void inlines_processor_id(void **state)
{
	bpf_func_t func = bpf_base_func_proto(BPF_FUNC_get_smp_processor_id, NULL)->func;
	const struct bpf_insn p[] = {CALL_C(func), BPF_EXIT_INSN()};
	struct bpf_prog *prog = jitprog_compile1(p, 2);

	assert_int_equal(jitprog_count(prog, JITPROG_X86 ? "call" : "bl"), 0);
	assert_int_equal(bpf_prog_run(prog, NULL), func(0, 0, 0, 0, 0));
	bpf_run_enter();
	assert_int_equal(bpf_prog_run(prog, NULL), bpf_this.slot);
	bpf_run_exit();
	jitprog_free(prog);
}

static void combine_jump_over_jump(void **state)
{
	for (u64 n = 0; n < 3; n++)
		assert_int_equal(COUNT(&n, "jmp", 0, BPF_LDX_MEM(BPF_DW, 2, 1, 0),
				       BPF_MOV64_IMM(0, 1), BPF_JMP_IMM(BPF_JSET, 2, 1, 1),
				       BPF_JMP_A(1), BPF_MOV64_IMM(0, 2), BPF_EXIT_INSN()),
				 n == 1 ? 2 : 1);
}

/* ---- dumps */

/*
 * Every byte belongs to an instruction that a disassembler knows, and offsets are where
 * instructions start.
 */
static void dump_decodes(void **state)
{
	const struct bpf_insn p[] = {
		BPF_MOV64_REG(6, 1),
		BPF_LD_IMM64(2, 0x1234567890abcdef),
		BPF_ALU64_REG(BPF_LSH, 2, 6),
		BPF_ALU64_IMM(BPF_DIV, 2, 7),
		BPF_ALU64_REG_OFF(BPF_MOD, 2, 1, 1),
		BPF_STX_MEM(BPF_DW, 10, 2, -8),
		BPF_ATOMIC_OP(BPF_W, BPF_XOR | BPF_FETCH, 10, 2, -8),
		BPF_JMP_IMM(BPF_JSGT, 2, 1000, -3),
		CALL_C(jitprog_helper),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *prog = jitprog_compile1(p, ARRAY_SIZE(p));
	u32 len, cnt, next = 0, seen = 0;
	const u8 *code = bpf_jit_code(prog, &len);
	const u32 *offs = bpf_jit_offsets(prog, &cnt);
	cs_insn *insn;
	csh cs;

	assert_int_equal(cnt, prog->len + 1);
	assert_int_equal(offs[0], 0);
	assert_int_equal(offs[prog->len], len);
	assert_int_equal(cs_open(JITPROG_CS_ARCH, JITPROG_CS_MODE, &cs), CS_ERR_OK);
	size_t n = cs_disasm(cs, code, len, (u64)code, 0, &insn);

	for (size_t i = 0; i < n; i++) {
		assert_int_equal(insn[i].address - (u64)code, next);
		for (u32 k = 0; k < cnt; k++)
			seen += offs[k] == next && offs[k] != offs[k ? k - 1 : cnt - 1];
		next += insn[i].size;
	}
	assert_int_equal(next, len);
	assert_true(seen >= prog->len - 2);
	cs_free(insn, n);
	cs_close(&cs);
	jitprog_free(prog);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(combine_rotation),
		cmocka_unit_test(combine_no_rotation),
		cmocka_unit_test(combine_extension),
		cmocka_unit_test(combine_address),
		cmocka_unit_test(combine_keeps_sources_alive),
		cmocka_unit_test(combine_jump_over_jump),
		cmocka_unit_test(inlines_processor_id),
		cmocka_unit_test(dump_decodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
