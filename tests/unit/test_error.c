/*
 * test_error.c - engine/text/error.c and fs/lib/error_log.c: the first reason stays; the log is
 * bounded, and each user's own
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "text/error.h"
#include "fs/lib/error_log.h"

static void the_first_reason_stays(void **state)
{
	struct error_record e = {0};

	assert_int_equal(error_set(&e, EINVAL, "key_size is %u", 7), -EINVAL);
	assert_int_equal(error_set(&e, EACCES, "somebody further out guesses"), -EACCES);
	assert_int_equal(e.err, EINVAL);
	assert_string_equal(error_why(&e, -EINVAL), "key_size is 7");
	error_clear(&e);
	assert_int_equal(e.err, 0);
	assert_int_equal(error_set(NULL, EBUSY, "nobody asks"), -EBUSY);
	assert_string_equal(error_why(&e, -EBUSY), strerror(EBUSY));
}

/* No sentence is an empty one: what cannot be printed has the C library's words. */
static void an_empty_sentence_is_one(void **state)
{
	static const char *volatile too_wide = "%2147483648d";
	struct error_record e = {0};

	error_set(&e, EINVAL, "%s", "");
	assert_string_equal(error_why(&e, -EINVAL), "");
	error_clear(&e);
	assert_null(e.why);
	error_set(&e, EINVAL, too_wide, 1);
	assert_int_equal(e.err, EINVAL);
	assert_string_equal(error_why(&e, -EINVAL), strerror(EINVAL));
	error_clear(&e);
}

static u_int count_lines(const char *s)
{
	u_int n = 0;

	for (; s && *s; s++)
		n += *s == '\n';
	return n;
}

static void each_user_sees_the_own_last_lines(void **state)
{
	struct fs_text text = {0}, before = {0};
	u_int halved = 0;
	char why[32];

	error_log_add(5000002, "a\nb", "mkdir", EPERM, "two\nlines");
	for (int i = 0; i < 3000; i++) {
		snprintf(why, sizeof(why), "number %d\n", i);
		error_log_add(5000001, "maps/m/type", "write", EINVAL, why);
		error_log_print(5000001, &text);
		assert_true(text.len <= 65536 && text.buf[text.len - 1] == '\n');
		assert_non_null(strstr(text.buf, why));
		if (text.len > before.len) { /* what somebody has read stays where it was */
			assert_int_equal(before.len && memcmp(text.buf, before.buf, before.len), 0);
		} else { /* whole lines of the older half went */
			assert_true(text.len > 32000);
			assert_non_null(memmem(before.buf, before.len, text.buf,
					       strcspn(text.buf, "\n") + 1));
			halved++;
		}
		fs_text_free(&before);
		before = text;
		text = (struct fs_text){0};
	}
	assert_in_range(halved, 2, 10);
	fs_text_free(&before);
	error_log_print(5000002, &text);
	assert_int_equal(count_lines(text.buf), 1);
	assert_non_null(strstr(text.buf, "a b: mkdir: EPERM: two lines\n"));
	fs_text_free(&text);
	error_log_print(5000003, &text);
	assert_int_equal(text.len, 0);
}

static void a_line_is_not_longer_than_the_log(void **state)
{
	char *why = malloc(1 << 20);
	struct fs_text text = {0};

	memset(why, 'x', 1 << 20);
	why[(1 << 20) - 1] = 0;
	for (u_int i = 0; i < 10; i++)
		error_log_add(5000004, "long", "write", EINVAL, why);
	error_log_add(5000004, "short", "write", EINVAL, "last");
	error_log_print(5000004, &text);
	assert_true(text.len < 65536 && count_lines(text.buf) > 1);
	assert_non_null(strstr(text.buf, "short: write: EINVAL: last\n"));
	fs_text_free(&text);
	free(why);
}

static void who_failed_longest_ago_is_forgotten(void **state)
{
	struct fs_text text = {0};

	error_log_add(6000000, "x", "open", EIO, "the first");
	for (uid_t uid = 6000001; uid < 6000300; uid++)
		error_log_add(uid, "x", "open", EIO, "more");
	error_log_print(6000000, &text);
	assert_int_equal(text.len, 0);
	error_log_print(6000299, &text);
	assert_int_equal(count_lines(text.buf), 1);
	fs_text_free(&text);
}

static void what_it_is_about_goes_before_the_reason(void **state)
{
	struct error_record e = {0};

	error_set(&e, EINVAL, "no key of this map");
	error_about(&e, -EINVAL, "line 2 (zz 2)");
	assert_int_equal(e.err, EINVAL);
	assert_string_equal(error_why(&e, -EINVAL), "line 2 (zz 2): no key of this map");
	error_clear(&e);
	error_about(&e, -EIO, "line 3 (1 1)");
	assert_int_equal(e.err, EIO);
	assert_string_equal(error_why(&e, -EIO), "line 3 (1 1): Input/output error");
	error_clear(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_reason_stays),
		cmocka_unit_test(an_empty_sentence_is_one),
		cmocka_unit_test(what_it_is_about_goes_before_the_reason),
		cmocka_unit_test(each_user_sees_the_own_last_lines),
		cmocka_unit_test(a_line_is_not_longer_than_the_log),
		cmocka_unit_test(who_failed_longest_ago_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
