/*
 * test_classic_convert.c - every row of the table runs and gives what it must, or is refused
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "classic/create.h"
#include "insn/disasm.h"
#include "tests/lib/classic.h"
#include "tests/lib/classic_rows.h"

static void test_rows(void **state)
{
	u32 failed = 0;

	for (size_t i = 0; i < ARRAY_SIZE(classic_rows); i++) {
		const struct classic_row *row = &classic_rows[i];
		struct bpf_prog *prog;
		struct bpf_log log;
		u32 got = 0;
		int err;

		bpf_log_init(&log, 0, 0);
		err = bpf_prog_create(row->insns, row->cnt, &log, &prog);
		if (!err) {
			got = classic_run(prog, row->data ? row->data : "", row->len);
			bpf_prog_destroy(prog);
		}
		if ((row->refused ? -EINVAL : 0) != err || (!err && got != row->want)) {
			print_error("%s: error %d, result %#x, not %#x\n%s\n", row->name, err, got,
				    row->want, bpf_log_text(&log));
			failed++;
		}
		bpf_log_free(&log);
	}
	print_message("%zu rows\n", ARRAY_SIZE(classic_rows));
	assert_int_equal(failed, 0);
	assert_true(ARRAY_SIZE(classic_rows) >= 120);
}

/* The largest program, whose every instruction becomes as much as one can. */
static void test_largest(void **state)
{
	struct sock_filter *insns = malloc(BPF_MAXINSNS * sizeof(*insns));
	struct bpf_prog *prog;

	assert_non_null(insns);
	for (u32 i = 0; i < BPF_MAXINSNS - 1; i++)
		insns[i] = (struct sock_filter)MSH(i % 4);
	insns[0] = (struct sock_filter)LDA(21);
	insns[BPF_MAXINSNS - 1] = (struct sock_filter)RETA;
	assert_int_equal(bpf_prog_create(insns, BPF_MAXINSNS, NULL, &prog), 0);
	assert_int_equal(classic_run(prog, "abcd", 4), 21);
	assert_int_equal(classic_run(prog, "abc", 3), 0);
	bpf_prog_destroy(prog);

	/* A jump over nearly all of it. */
	insns[1] = (struct sock_filter)JA(BPF_MAXINSNS - 3);
	assert_int_equal(bpf_prog_create(insns, BPF_MAXINSNS, NULL, &prog), 0);
	assert_int_equal(classic_run(prog, "", 0), 21);
	bpf_prog_destroy(prog);
	assert_int_equal(bpf_prog_create(insns, BPF_MAXINSNS + 1, NULL, &prog), -EINVAL);
	assert_int_equal(bpf_prog_create(insns, 0, NULL, &prog), -EINVAL);
	free(insns);
}

/* Thousands of branches: what can be told apart by them must not be explored way by way. */
static void test_many_branches(void **state)
{
	struct sock_filter *insns = malloc(BPF_MAXINSNS * sizeof(*insns));
	struct bpf_prog *prog;
	u8 data[256];
	u32 want = 0;

	assert_non_null(insns);
	for (u32 i = 0; i + 4 < BPF_MAXINSNS; i += 4) {
		insns[i] = (struct sock_filter)LD(B, i / 4 % 256);
		insns[i + 1] = (struct sock_filter)J(BPF_JSET | BPF_K, 1, 0, 2);
		insns[i + 2] = (struct sock_filter)TXA;
		insns[i + 3] = (struct sock_filter)TAX;
	}
	insns[BPF_MAXINSNS - 4] = (struct sock_filter)LDXI(5);
	insns[BPF_MAXINSNS - 3] = (struct sock_filter)TXA;
	insns[BPF_MAXINSNS - 2] = (struct sock_filter)TAX;
	insns[BPF_MAXINSNS - 1] = (struct sock_filter)RETA;
	for (u32 i = 0; i < sizeof(data); i++)
		data[i] = (u8)(i * 7);
	want = 5;
	assert_int_equal(bpf_prog_create(insns, BPF_MAXINSNS, NULL, &prog), 0);
	assert_int_equal(classic_run(prog, data, sizeof(data)), want);
	bpf_prog_destroy(prog);
	free(insns);
}

static void test_text_of_the_output(void **state)
{
	const struct sock_filter insns[] = {LD(H, 12), J(BPF_JEQ | BPF_K, 0x800, 0, 1), RETK(96),
					    RETK(0)};
	static const char *const want[] = {
		"(b4) w0 = 0",
		"(b4) w7 = 0",
		"(bf) r6 = r1",
		"(28) r0 = *(u16 *)skb[12]",
		"(56) if w0 != 0x800 goto pc+2",
		"(b4) w0 = 96",
		"(95) exit",
		"(b4) w0 = 0",
		"(95) exit",
	};
	struct bpf_insn out[BPF_CLASSIC_PROLOGUE + 4 * BPF_CLASSIC_EXPAND];
	u32 orig[BPF_CLASSIC_PROLOGUE + 4 * BPF_CLASSIC_EXPAND];
	char line[128];
	int n = bpf_convert_filter(insns, ARRAY_SIZE(insns), out, orig);

	assert_int_equal(n, ARRAY_SIZE(want));
	for (int i = 0; i < n; i++) {
		bpf_disasm(&out[i], NULL, line, sizeof(line));
		assert_string_equal(line, want[i]);
	}
	assert_int_equal(orig[3], 0);
	assert_int_equal(orig[4], 1);
	assert_int_equal(orig[6], 2);
	assert_int_equal(orig[8], 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_many_branches),
		cmocka_unit_test(test_text_of_the_output),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
