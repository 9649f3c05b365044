/*
 * test_log.c - the text buffer: growth, the bound, cutting back
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "util/log.h"

static void text_grows(void **state)
{
	struct bpf_log log;

	bpf_log_init(&log, 1, 0);
	assert_string_equal(bpf_log_text(&log), "");
	for (int i = 0; i < 10000; i++)
		bpf_log_printf(&log, "%d\n", i % 10);
	assert_int_equal(log.len, 20000);
	assert_int_equal(strlen(log.buf), 20000);
	assert_false(log.truncated);
	assert_memory_equal(log.buf + 19996, "8\n9\n", 5);
	bpf_log_free(&log);
	assert_null(log.buf);
}

static void one_long_line(void **state)
{
	struct bpf_log log;
	char big[5000];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	bpf_log_init(&log, 1, 0);
	bpf_log_printf(&log, "<%s>", big);
	assert_int_equal(log.len, sizeof(big) + 1);
	assert_int_equal(log.buf[log.len - 1], '>');
	bpf_log_free(&log);
}

static void the_bound_cuts(void **state)
{
	struct bpf_log log;

	bpf_log_init(&log, 1, 10);
	bpf_log_printf(&log, "12345678");
	assert_false(log.truncated);
	bpf_log_printf(&log, "abcd");
	assert_true(log.truncated);
	assert_string_equal(log.buf, "12345678ab");
	bpf_log_printf(&log, "more");
	assert_string_equal(log.buf, "12345678ab");
	bpf_log_reset(&log, 4);
	assert_false(log.truncated);
	bpf_log_printf(&log, "zz");
	assert_string_equal(log.buf, "1234zz");
	bpf_log_free(&log);

	/* Exactly full is not truncated. */
	bpf_log_init(&log, 1, 4);
	bpf_log_printf(&log, "1234");
	assert_false(log.truncated);
	assert_string_equal(log.buf, "1234");
	bpf_log_free(&log);
}

static void null_discards(void **state)
{
	bpf_log_printf(NULL, "%s", "nothing");
	bpf_log_reset(NULL, 0);
	bpf_log_free(NULL);
	assert_string_equal(bpf_log_text(NULL), "");
}

static void cutting_back(void **state)
{
	struct bpf_log log;

	bpf_log_init(&log, 2, 0);
	bpf_log_printf(&log, "one\n");
	bpf_log_printf(&log, "two\n");
	bpf_log_reset(&log, 4);
	assert_string_equal(log.buf, "one\n");
	bpf_log_reset(&log, 100); /* no longer than it is */
	assert_string_equal(log.buf, "one\n");
	bpf_log_free(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_grows),	  cmocka_unit_test(one_long_line),
		cmocka_unit_test(the_bound_cuts), cmocka_unit_test(null_discards),
		cmocka_unit_test(cutting_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
