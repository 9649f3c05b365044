/*
 * test_disasm.c - the text of each format, and of every row as the running kernel's verifier prints
 * it
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "insn/disasm.h"
#include "tests/lib/kernel.h"
#include "tests/lib/testop.h"
#include "uapi/bpf_insn.h"

static const char *text_of(const struct bpf_insn *insn)
{
	static char buf[128];
	int n = bpf_disasm(insn, NULL, buf, sizeof(buf));

	assert_int_equal(n, strlen(buf));
	return buf;
}

#define EXPECT(TEXT, ...)                                      \
	do {                                                   \
		const struct bpf_insn insns[] = {__VA_ARGS__}; \
		assert_string_equal(text_of(insns), TEXT);     \
	} while (0)

static void test_formats(void **state)
{
	EXPECT("(07) r1 += -8", BPF_ALU64_IMM(BPF_ADD, 1, -8));
	EXPECT("(0c) w1 += w2", BPF_ALU32_REG(BPF_ADD, 1, 2));
	EXPECT("(c7) r3 s>>= 5", BPF_ALU64_IMM(BPF_ARSH, 3, 5));
	EXPECT("(3f) r1 s/= r2", BPF_SDIV64_REG(1, 2));
	EXPECT("(94) w1 s%= 7", BPF_SMOD32_IMM(1, 7));
	EXPECT("(bf) r1 = (s8)r2", BPF_MOVSX64_REG(1, 2, 8));
	EXPECT("(bf) r1 = (s32)r2", BPF_MOVSX64_REG(1, 2, 32));
	EXPECT("(bc) w1 = (s16)w2", BPF_MOVSX32_REG(1, 2, 16));
	EXPECT("(87) r4 = -r4", BPF_NEG64(4));
	EXPECT("(84) w4 = -w4", BPF_NEG32(4));
	EXPECT("(d4) r1 = le16 r1", BPF_ENDIAN(BPF_TO_LE, 1, 16));
	EXPECT("(dc) r1 = be64 r1", BPF_ENDIAN(BPF_TO_BE, 1, 64));
	EXPECT("(d7) r1 = bswap32 r1", BPF_BSWAP(1, 32));
	EXPECT("(18) r1 = 0xffffffff", BPF_LD_IMM64(1, 0xffffffff));
	EXPECT("(30) r0 = *(u8 *)skb[-4096]", BPF_LD_ABS(BPF_B, -4096));
	EXPECT("(48) r0 = *(u16 *)skb[r7 + 2]", BPF_LD_IND(BPF_H, 7, 2));
	EXPECT("(79) r1 = *(u64 *)(r10 -8)", BPF_LDX_MEM(BPF_DW, 1, 10, -8));
	EXPECT("(81) r1 = *(s32 *)(r2 +4)", BPF_LDX_MEMSX(BPF_W, 1, 2, 4));
	EXPECT("(72) *(u8 *)(r1 +0) = -1", BPF_ST_MEM(BPF_B, 1, 0, -1));
	EXPECT("(63) *(u32 *)(r1 +12) = r2", BPF_STX_MEM(BPF_W, 1, 2, 12));
	EXPECT("(db) lock *(u64 *)(r1 +0) += r2", BPF_ATOMIC_OP(BPF_DW, BPF_ADD, 1, 2, 0));
	EXPECT("(c3) r2 = atomic_fetch_xor((u32 *)(r1 -4), r2)",
	       BPF_ATOMIC_OP(BPF_W, BPF_XOR | BPF_FETCH, 1, 2, -4));
	EXPECT("(db) r2 = atomic64_xchg((u64 *)(r1 +8), r2)",
	       BPF_ATOMIC_OP(BPF_DW, BPF_XCHG, 1, 2, 8));
	EXPECT("(db) r0 = atomic64_cmpxchg((u64 *)(r1 +8), r0, r2)",
	       BPF_ATOMIC_OP(BPF_DW, BPF_CMPXCHG, 1, 2, 8));
	EXPECT("(a5) if r1 < 0xffffffff goto pc+3", BPF_JMP_IMM(BPF_JLT, 1, -1, 3));
	EXPECT("(6e) if w1 s> w2 goto pc-3", BPF_JMP32_REG(BPF_JSGT, 1, 2, -3));
	EXPECT("(45) if r1 & 0x4 goto pc+0", BPF_JMP_IMM(BPF_JSET, 1, 4, 0));
	EXPECT("(05) goto pc-1", BPF_JMP_A(-1));
	EXPECT("(06) gotol pc+100000", BPF_JMP32_A(100000));
	EXPECT("(85) call bpf_map_lookup_elem#1", BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem));
	EXPECT("(85) call unknown#9999", BPF_EMIT_CALL(9999));
	EXPECT("(85) call pc+5", BPF_CALL_REL(5));
	EXPECT("(95) exit", BPF_EXIT_INSN());
	EXPECT("(85) call bpf_tail_call#12", BPF_RAW_INSN(BPF_JMP | BPF_TAIL_CALL, 0, 0, 0, 0));
	EXPECT("(c2) nospec", BPF_RAW_INSN(BPF_ST | BPF_NOSPEC, 0, 0, 0, 0));
	EXPECT("BUG_ff", BPF_RAW_INSN(0xff, 0, 0, 0, 0));
	EXPECT("BUG_ld_00", BPF_RAW_INSN(0, 0, 0, 0, 0));
	EXPECT("BUG_db", BPF_ATOMIC_OP(BPF_DW, 0x33, 1, 2, 8));
}

static const char *say_map(void *priv, const struct bpf_insn *insn, u64 imm, char *buf, size_t len)
{
	if (!insn->src_reg)
		return NULL;
	snprintf(buf, len, "map[id:%llu]", (unsigned long long)imm);
	return buf;
}

static const char *say_func(void *priv, const struct bpf_insn *insn, char *buf, size_t len)
{
	return insn->src_reg == BPF_PSEUDO_CALL ? "+5#bpf_prog_x" : NULL;
}

static void test_names(void **state)
{
	const struct bpf_disasm_cbs cbs = {.call_name = say_func, .imm64 = say_map};
	const struct bpf_insn map[] = {BPF_LD_MAP_FD(1, 42)}, number[] = {BPF_LD_IMM64(1, 42)};
	const struct bpf_insn call = BPF_CALL_REL(5), helper = BPF_EMIT_CALL(5);
	char buf[64];

	bpf_disasm(map, &cbs, buf, sizeof(buf));
	assert_string_equal(buf, "(18) r1 = map[id:42]");
	bpf_disasm(number, &cbs, buf, sizeof(buf));
	assert_string_equal(buf, "(18) r1 = 0x2a");
	bpf_disasm(&call, &cbs, buf, sizeof(buf));
	assert_string_equal(buf, "(85) call pc+5#bpf_prog_x");
	bpf_disasm(&helper, &cbs, buf, sizeof(buf));
	assert_string_equal(buf, "(85) call bpf_ktime_get_ns#5");
}

static void test_short_buffer(void **state)
{
	const struct bpf_insn insn = BPF_MOV64_IMM(BPF_REG_0, 0);
	char buf[6] = "";

	assert_int_equal(bpf_disasm(&insn, NULL, buf, sizeof(buf)), strlen("(b7) r0 = 0"));
	assert_string_equal(buf, "(b7) ");
}

/* ---- the kernel's own words */

static char kernel_log[1 << 20];

/*
 * The kernel's line for instruction `index`: "3: (b7) r0 = 0 ; R0_w=0" without number and comment.
 */
static bool kernel_line(u32 index, char *buf, size_t len)
{
	char head[16];
	const char *line = kernel_log;
	size_t n = snprintf(head, sizeof(head), "%u: (", index);

	for (; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, head, n))
			break;
	}
	if (!line)
		return false;
	line += n - 1;
	n = strcspn(line, "\n;");
	while (n && line[n - 1] == ' ')
		n--;
	snprintf(buf, len, "%.*s", (int)n, line);
	return true;
}

static void compare_program(const struct bpf_insn *insns, u32 cnt, u32 *compared)
{
	const struct bpf_prog_load_attr attr = {
		.prog_type = BPF_PROG_TYPE_SCHED_CLS,
		.insns = insns,
		.insn_cnt = cnt,
	};
	int __do_close fd = kernel_prog_load(&attr, NULL, 2, kernel_log, sizeof(kernel_log));
	char want[256];

	(void)fd; /* only the log counts */
	for (u32 i = 0; i < cnt; i++) {
		if (kernel_line(i, want, sizeof(want))) {
			assert_string_equal(text_of(&insns[i]), want);
			++*compared;
		}
		if (bpf_insn_is_imm64(&insns[i]))
			i++;
	}
}

/* Also what the kernel then refuses is printed first, so the verdict does not matter here. */
static void compare_op(const struct testop *op, void *priv)
{
	struct bpf_insn buf[TESTOP_MAX_INSNS];

	compare_program(buf, testop_build(op, TESTOP_TC, buf), priv);
}

static void compare_other_rows(u32 *compared)
{
	const struct bpf_insn insns[] = {
		BPF_MOV64_REG(BPF_REG_6, BPF_REG_1),
		BPF_LD_ABS(BPF_B, 1),
		BPF_LD_ABS(BPF_H, 2),
		BPF_LD_ABS(BPF_W, -4096),
		BPF_MOV64_IMM(BPF_REG_7, 4),
		BPF_LD_IND(BPF_B, BPF_REG_7, 1),
		BPF_LD_IND(BPF_H, BPF_REG_7, -1),
		BPF_LD_IND(BPF_W, BPF_REG_7, 0),
		BPF_JMP_A(0),
		BPF_JMP32_A(0),
		BPF_EMIT_CALL(BPF_FUNC_ktime_get_ns),
		BPF_EXIT_INSN(),
	};
	const struct bpf_insn calls[] = {
		BPF_CALL_REL(1),
		BPF_EXIT_INSN(),
		BPF_EMIT_CALL(BPF_FUNC_get_prandom_u32),
		BPF_EXIT_INSN(),
	};
	u32 before = *compared;

	compare_program(insns, ARRAY_SIZE(insns), compared);
	assert_int_equal(*compared - before, ARRAY_SIZE(insns));
	compare_program(calls, ARRAY_SIZE(calls), compared);
	assert_int_equal(*compared - before, ARRAY_SIZE(insns) + ARRAY_SIZE(calls));
}

static void test_as_the_kernel(void **state)
{
	const char *why = kernel_unavailable();
	u32 compared = 0;

	if (why) {
		print_message("%s\n", why);
		skip();
	}
	testop_each(TESTOP_OPERANDS, compare_op, &compared);
	compare_other_rows(&compared);
	print_message("%u lines compared\n", compared);
	assert_true(compared > 50000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_short_buffer),
		cmocka_unit_test(test_as_the_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
