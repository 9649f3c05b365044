/*
 * test_insn.c - the decoder: each row decodes to itself, and nothing else decodes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "insn/insn.h"
#include "uapi/bpf_insn.h"

/* An instruction that the row describes, its free fields filled. */
static struct bpf_insn sample(int op)
{
	const struct bpf_op_info *info = &bpf_op_info[op];

	return BPF_RAW_INSN(info->code, info->dst == OPF_REG ? 3 : 0, info->src ? 1 : 0,
			    info->off >= OPF_ANY ? -5 : info->off,
			    info->imm >= OPF_ANY ? -77 : info->imm);
}

static void test_rows_decode_to_themselves(void **state)
{
	for (int op = 0; op < BPF_OP_MAX; op++) {
		struct bpf_insn insn = sample(op);

		if (bpf_insn_decode(&insn) != op)
			fail_msg("%s decodes to %d", bpf_op_info[op].name, bpf_insn_decode(&insn));
	}
}

/* Every row's reserved fields, one at a time, at values that the row does not describe. */
static void test_reserved_fields(void **state)
{
	static const s32 others[] = {1, -1, 2, 3, 9, 17, 0x50, 0x7fff, -0x8000};
	u32 refused = 0;

	for (int op = 0; op < BPF_OP_MAX; op++) {
		const struct bpf_op_info *info = &bpf_op_info[op];
		struct bpf_insn insn;

		for (u32 i = 0; i < ARRAY_SIZE(others); i++) {
			insn = sample(op);
			insn.off = others[i];
			if (info->off < OPF_ANY && others[i] != info->off) {
				/* It may be another row's (div and sdiv); never this one's. */
				assert_int_not_equal(bpf_insn_decode(&insn), op);
				refused++;
			}
			insn = sample(op);
			insn.imm = others[i];
			if (info->imm < OPF_ANY && others[i] != info->imm) {
				assert_int_not_equal(bpf_insn_decode(&insn), op);
				refused++;
			}
		}
		insn = sample(op);
		insn.dst_reg = info->dst == OPF_NONE ? 1 : 11;
		assert_int_equal(bpf_insn_decode(&insn), -EINVAL);
		insn = sample(op);
		insn.src_reg = info->src == OPF_NONE ? 1 : info->src == OPF_CALLKIND ? 3 : 11;
		assert_int_equal(bpf_insn_decode(&insn), -EINVAL);
	}
	assert_true(refused > 1000);
}

static void expect(struct bpf_insn insn, int op)
{
	assert_int_equal(bpf_insn_decode(&insn), op);
}

/* Variants of one code byte, and the holes between them. */
static void test_variants(void **state)
{
	expect(BPF_ALU64_REG_OFF(BPF_DIV, 1, 2, 0), BPF_OP_ALU64_DIV_X);
	expect(BPF_ALU64_REG_OFF(BPF_DIV, 1, 2, 1), BPF_OP_ALU64_SDIV_X);
	expect(BPF_ALU64_REG_OFF(BPF_DIV, 1, 2, 2), -EINVAL);
	expect(BPF_ALU64_REG_OFF(BPF_ADD, 1, 2, 1), -EINVAL);
	expect(BPF_ALU32_IMM_OFF(BPF_MOD, 1, 2, 1), BPF_OP_ALU32_SMOD_K);
	expect(BPF_MOVSX64_REG(1, 2, 32), BPF_OP_ALU64_MOVSX32);
	expect(BPF_MOVSX32_REG(1, 2, 16), BPF_OP_ALU32_MOVSX16);
	expect(BPF_MOVSX32_REG(1, 2, 32), -EINVAL);
	expect(BPF_ALU64_IMM_OFF(BPF_MOV, 1, 2, 8), -EINVAL);
	expect(BPF_ENDIAN(BPF_TO_BE, 1, 64), BPF_OP_END_BE64);
	expect(BPF_ENDIAN(BPF_TO_BE, 1, 8), -EINVAL);
	expect(BPF_BSWAP(1, 32), BPF_OP_BSWAP32);
	expect(BPF_RAW_INSN(BPF_ALU64 | BPF_END | BPF_TO_BE, 1, 0, 0, 32), -EINVAL);
	expect(BPF_ATOMIC_OP(BPF_W, BPF_CMPXCHG, 1, 2, 4), BPF_OP_ATOMIC32_CMPXCHG);
	expect(BPF_ATOMIC_OP(BPF_H, BPF_ADD, 1, 2, 4), -EINVAL);
	expect(BPF_ATOMIC_OP(BPF_W, BPF_SUB, 1, 2, 4), -EINVAL);
	expect(BPF_ATOMIC_OP(BPF_DW, BPF_XCHG & ~BPF_FETCH, 1, 2, 4), -EINVAL);
	expect(BPF_LD_ABS(BPF_DW, 0), -EINVAL);
	expect(BPF_LDX_MEMSX(BPF_DW, 1, 2, 0), -EINVAL);
	expect(BPF_JMP32_A(5), BPF_OP_JA32);
	expect(BPF_RAW_INSN(BPF_JMP32 | BPF_JA, 0, 0, 5, 0), -EINVAL);
	expect(BPF_RAW_INSN(BPF_JMP | BPF_JA, 0, 0, 5, 5), -EINVAL);
	expect(BPF_RAW_INSN(BPF_JMP32 | BPF_EXIT, 0, 0, 0, 0), -EINVAL);
	expect(BPF_RAW_INSN(BPF_JMP32 | BPF_CALL, 0, 0, 0, 1), -EINVAL);
	expect(BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, 1, 6, 0, 1), BPF_OP_LD_IMM64);
	expect(BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, 1, 7, 0, 1), -EINVAL);
	expect(BPF_RAW_INSN(0, 0, 0, 0, 0), -EINVAL);
}

/* Every code byte: decodes in some form exactly if it is in the table. */
static void test_code_bytes(void **state)
{
	u32 known = 0;

	for (int code = 0; code < 256; code++) {
		int op = bpf_op_by_code(code);
		bool listed = false;

		for (int i = 0; i < BPF_OP_MAX; i++)
			listed |= bpf_op_info[i].code == code;
		assert_int_equal(op >= 0, listed);
		if (op >= 0)
			assert_int_equal(bpf_op_info[op].code, code);
		known += listed;
	}
	assert_int_equal(known, 127);
}

#define R(n) (1u << (n))

static void regs(struct bpf_insn insn, u32 reads, u32 writes)
{
	int op = bpf_insn_decode(&insn);
	u16 r, w;

	assert_true(op >= 0);
	bpf_insn_regs(op, &insn, &r, &w);
	if (r != reads || w != writes)
		fail_msg("%s reads %x and writes %x", bpf_op_info[op].name, r, w);
}

/* A form of each format, and those of one format that differ. */
static void test_registers(void **state)
{
	const struct bpf_insn imm64[] = {BPF_LD_IMM64_RAW(3, BPF_PSEUDO_MAP_IDX, 5)};

	regs(BPF_ALU64_IMM(BPF_ADD, 3, 1), R(3), R(3));
	regs(BPF_ALU32_REG(BPF_LSH, 3, 4), R(3) | R(4), R(3));
	regs(BPF_ALU64_REG_OFF(BPF_MOD, 3, 4, 1), R(3) | R(4), R(3));
	regs(BPF_MOV64_IMM(3, 1), 0, R(3));
	regs(BPF_MOV32_REG(3, 10), R(10), R(3));
	regs(BPF_MOVSX64_REG(3, 4, 8), R(4), R(3));
	regs(BPF_RAW_INSN(BPF_ALU64 | BPF_NEG, 3, 0, 0, 0), R(3), R(3));
	regs(BPF_ENDIAN(BPF_TO_BE, 3, 16), R(3), R(3)); /* its BPF_X is no register */
	regs(BPF_BSWAP(3, 64), R(3), R(3));
	regs(imm64[0], 0, R(3)); /* nor is its src */
	regs(BPF_LD_ABS(BPF_H, 12), R(6), CALLER_SAVED);
	regs(BPF_LD_IND(BPF_B, 7, 12), R(6) | R(7), CALLER_SAVED);
	regs(BPF_LDX_MEM(BPF_W, 3, 4, 8), R(4), R(3));
	regs(BPF_LDX_MEMSX(BPF_B, 3, 4, 8), R(4), R(3));
	regs(BPF_ST_MEM(BPF_DW, 10, -8, 1), R(10), 0);
	regs(BPF_STX_MEM(BPF_DW, 10, 4, -8), R(10) | R(4), 0);
	regs(BPF_ATOMIC_OP(BPF_W, BPF_XOR, 3, 4, 0), R(3) | R(4), 0);
	regs(BPF_ATOMIC_OP(BPF_DW, BPF_ADD | BPF_FETCH, 3, 4, 0), R(3) | R(4), R(4));
	regs(BPF_ATOMIC_OP(BPF_W, BPF_XCHG, 3, 4, 0), R(3) | R(4), R(4));
	regs(BPF_ATOMIC_OP(BPF_DW, BPF_CMPXCHG, 3, 4, 0), R(3) | R(4) | R(0), R(0));
	regs(BPF_JMP_IMM(BPF_JSET, 3, 1, 5), R(3), 0);
	regs(BPF_JMP32_REG(BPF_JSLT, 3, 4, 5), R(3) | R(4), 0);
	regs(BPF_JMP_A(5), 0, 0);
	regs(BPF_JMP32_A(5), 0, 0);
	regs(BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 5), CALL_ARGS, CALLER_SAVED);
	regs(BPF_EXIT_INSN(), R(0), 0);
	regs(BPF_RAW_INSN(BPF_JMP | BPF_TAIL_CALL, 0, 0, 0, 0), CALL_ARGS, CALLER_SAVED);
	regs(BPF_RAW_INSN(BPF_ST | BPF_NOSPEC, 0, 0, 0, 0), 0, 0);
}

/* What a row says nothing of is neither read nor written, but for R0 to R6 where a row says so. */
static void test_registers_of_every_row(void **state)
{
	for (int op = 0; op < BPF_OP_MAX; op++) {
		const struct bpf_op_info *info = &bpf_op_info[op];
		struct bpf_insn insn = sample(op);
		u16 fields = 0, reads, writes;
		bool load, fetch;

		if (info->dst == OPF_REG)
			insn.dst_reg = 8, fields |= R(8);
		if (info->src == OPF_REG)
			insn.src_reg = 9, fields |= R(9);
		bpf_insn_regs(op, &insn, &reads, &writes);
		assert_int_equal((reads | writes) & ~0x7f, fields);
		load = BPF_CLASS(info->code) == BPF_LD || BPF_CLASS(info->code) == BPF_LDX;
		fetch = info->format == BPF_FMT_FETCH;
		if (load || BPF_CLASS(info->code) == BPF_ALU || BPF_CLASS(info->code) == BPF_ALU64)
			assert_int_equal(writes & ~0x7f, fields & R(8));
		else
			assert_int_equal(writes & ~0x7f, fetch ? R(9) : 0);
		assert_int_equal(reads & R(9), fields & R(9));
	}
}

static void test_rewritten(void **state)
{
	struct bpf_insn insn = BPF_MOV64_REG(BPF_REG_AX, BPF_REG_1);

	assert_int_equal(bpf_insn_decode(&insn), -EINVAL);
	assert_int_equal(bpf_insn_decode_rewritten(&insn), BPF_OP_ALU64_MOV_X);
	insn.dst_reg = BPF_REG_AX + 1;
	assert_int_equal(bpf_insn_decode_rewritten(&insn), -EINVAL);
}

static void test_imm64(void **state)
{
	const struct bpf_insn two[] = {BPF_LD_IMM64(3, 0x8899aabbccddeeff)};
	struct bpf_insn second = two[1];

	assert_true(bpf_insn_is_imm64(two));
	assert_true(bpf_insn_imm64(two) == 0x8899aabbccddeeff);
	assert_true(bpf_insn_valid_imm64(&second));
	second.off = 1;
	assert_false(bpf_insn_valid_imm64(&second));
}

static void test_sizes(void **state)
{
	assert_int_equal(bpf_size_to_bytes(BPF_LDX | BPF_MEM | BPF_B), 1);
	assert_int_equal(bpf_size_to_bytes(BPF_LDX | BPF_MEM | BPF_H), 2);
	assert_int_equal(bpf_size_to_bytes(BPF_LDX | BPF_MEM | BPF_W), 4);
	assert_int_equal(bpf_size_to_bytes(BPF_LDX | BPF_MEM | BPF_DW), 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_decode_to_themselves),
		cmocka_unit_test(test_reserved_fields),
		cmocka_unit_test(test_variants),
		cmocka_unit_test(test_code_bytes),
		cmocka_unit_test(test_registers),
		cmocka_unit_test(test_registers_of_every_row),
		cmocka_unit_test(test_rewritten),
		cmocka_unit_test(test_imm64),
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
