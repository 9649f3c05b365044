/*
 * test_classic_check.c - the checker's rules and what it says
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "tests/lib/classic.h"
#include "tests/lib/classic_rows.h"

static void refused(const struct sock_filter *insns, u32 cnt, const char *why)
{
	struct bpf_log log;

	bpf_log_init(&log, 0, 0);
	assert_int_equal(bpf_check_classic(insns, cnt, &log), -EINVAL);
	if (!strstr(bpf_log_text(&log), why))
		fail_msg("says \"%s\", not \"%s\"", bpf_log_text(&log), why);
	bpf_log_free(&log);
}

#define REFUSED(why, ...)                                \
	refused((const struct sock_filter[])__VA_ARGS__, \
		sizeof((struct sock_filter[])__VA_ARGS__) / sizeof(struct sock_filter), why)

static void test_says_what_and_where(void **state)
{
	REFUSED("instruction 1: unknown code 0xff", {LDA(0), S(0xff, 0), RETK(0)});
	REFUSED("instruction 0: division by the constant 0", {ALUK(MOD, 0), RETK(0)});
	REFUSED("instruction 0: shift by 32 or more", {ALUK(LSH, 32), RETK(0)});
	REFUSED("instruction 0: M[] has 16 words", {ST(16), RETK(0)});
	REFUSED("instruction 0: jump beyond the end", {JA(1), RETK(0)});
	REFUSED("instruction 0: branch beyond the end", {J(BPF_JEQ | BPF_K, 0, 0, 1), RETK(0)});
	REFUSED("instruction 0: unknown ancillary offset", {LD(W, 0xffffffff), RETK(0)});
	REFUSED("instruction 1: the last one must be RET", {RETK(0), LDA(0)});
	REFUSED("instruction 0: reads a word of M[]", {LDM(3), RETK(0)});
	refused(NULL, 0, "1 to 4096 instructions");
	refused(classic_rows[0].insns, 4097, "1 to 4096 instructions");
}

/* One instruction of each code before a RET: which of the 65,536 are instructions. */
static void test_every_code(void **state)
{
	u32 allowed = 0;

	for (u32 code = 0; code < 65536; code++) {
		const struct sock_filter insns[] = {
			ST(1), STX(1), {(u16)code, 0, 0, 1}, RETK(0), RETK(0)};

		allowed += !bpf_check_classic(insns, ARRAY_SIZE(insns), NULL);
	}
	/* ld 9, ldx 4, st 2, alu 21, jmp 9, ret 2, misc 2 */
	assert_int_equal(allowed, 49);
}

static void test_every_ancillary(void **state)
{
	static const u8 sizes[] = {BPF_W, BPF_H, BPF_B};

	for (u32 s = 0; s < ARRAY_SIZE(sizes); s++)
		for (u32 n = 0; n < 4096; n++) {
			const struct sock_filter insns[] = {
				S(BPF_LD | sizes[s] | BPF_ABS, (u32)SKF_AD_OFF + n), RETA};
			int want = n < SKF_AD_MAX && n % 4 == 0 ? 0 : -EINVAL;

			assert_int_equal(bpf_check_classic(insns, 2, NULL), want);
			assert_int_equal(bpf_anc_number(insns), want ? -1 : (int)n);
		}
}

/* Every constant operand near its limit. */
static void test_limits(void **state)
{
	for (u32 k = 0; k < 40; k++) {
		const struct sock_filter shift[] = {ALUK(RSH, k), RETA};
		const struct sock_filter store[] = {ST(k), RETA};
		const struct sock_filter jump[] = {JA(k), LDA(1), LDA(2), RETA};
		const struct sock_filter yes[] = {J(BPF_JGT | BPF_X, 0, (u8)k, 0), LDA(1), RETA};

		assert_int_equal(bpf_check_classic(shift, 2, NULL), k < 32 ? 0 : -EINVAL);
		assert_int_equal(bpf_check_classic(store, 2, NULL), k < 16 ? 0 : -EINVAL);
		assert_int_equal(bpf_check_classic(jump, 4, NULL), k < 3 ? 0 : -EINVAL);
		assert_int_equal(bpf_check_classic(yes, 3, NULL), k < 2 ? 0 : -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_says_what_and_where),
		cmocka_unit_test(test_every_code),
		cmocka_unit_test(test_every_ancillary),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
