/*
 * test_reasons.c - the table of reasons: every wording can be printed, and hints come from data
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "insn/reg.h"
#include "tests/lib/reason.h"

static const struct {
	const char *wording, *hint;
} rows[] = {
#define X(code, err, wording, hint) {wording, hint},
	BPF_REASON_TABLE(X)
#undef X
};

/* Each row uses known letters only, and no more numbers and names than a reason holds. */
static void wordings(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		u32 nums = 0, names = 0;

		for (const char *p = rows[i].wording; (p = strchr(p, '%')); p++) {
			nums += !!strchr("dxh", p[1]);
			names += p[1] == 's';
			if (!p[1] || !strchr("rtdxhs", p[1]))
				fail_msg("\"%s\": %%%c", rows[i].wording, p[1]);
		}
		assert_true(nums <= ARRAY_SIZE(((struct bpf_reason *)0)->num));
		assert_true(names <= ARRAY_SIZE(((struct bpf_reason *)0)->name));
		if (rows[i].hint)
			assert_true(*rows[i].hint);
	}
}

static void texts(void **state)
{
	struct bpf_reason r = {.code = REASON_ACCESS_PACKET, .reg = 2, .num = {-14, 1, 7, -14, 0}};
	char text[128], small[8];

	bpf_reason_text(&r, text, sizeof(text));
	assert_string_equal(text, "invalid access to packet, off=-14 size=1, R2(id=7,off=-14,r=0)");
	assert_int_equal(bpf_reason_text(&r, small, sizeof(small)), 7);
	assert_string_equal(small, "invalid");
	r = (struct bpf_reason){.code = REASON_OPCODE, .num = {7}};
	bpf_reason_text(&r, text, sizeof(text));
	assert_string_equal(text, "unknown opcode 07");
	assert_int_equal(bpf_reason_errno(REASON_OPCODE), -EINVAL);
	assert_int_equal(bpf_reason_errno(REASON_ERRNO), 0);
}

static void hints(void **state)
{
	static struct bpf_verdict v;
	struct bpf_reason inner = {.code = REASON_ACCESS_MAP_VALUE, .num = {8, 8, 1}};
	struct bpf_reason outer = {.code = REASON_MAX_OUTSIDE, .reg = 1};
	struct bpf_reason null = {.code = REASON_MEM_ACCESS,
				  .type = PTR_TO_MAP_VALUE | PTR_MAYBE_NULL};

	assert_null(bpf_verdict_hint(&v));
	v.reasons[v.reason_cnt++] = inner;
	assert_string_equal(bpf_verdict_hint(&v), bpf_reason_hint(&inner));
	v.reasons[v.reason_cnt++] = outer; /* which knows more */
	assert_string_equal(bpf_verdict_hint(&v), bpf_reason_hint(&outer));
	assert_string_equal(reason_of(&v),
			    "invalid access to map value, value_size=8 off=8 size=1; "
			    "R1 max value is outside of the allowed memory range");
	assert_non_null(strstr(bpf_reason_hint(&null), "bpf_map_lookup_elem"));
	null.type = SCALAR_VALUE;
	assert_null(bpf_reason_hint(&null));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wordings),
		cmocka_unit_test(texts),
		cmocka_unit_test(hints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
