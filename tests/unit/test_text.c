/*
 * test_text.c - keys, values and numbers as text (engine/text/value_text.c), and what was written
 * and not used yet (fs/lib/write_buffer.c)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "fs/lib/write_buffer.h"
#include "text/value_text.h"

static int u64_of(const char *s, u64 max, u64 *out)
{
	return text_parse_u64(s, strlen(s), max, out);
}

static void numbers(void **state)
{
	u64 v = 0;

	assert_int_equal(u64_of("17\n", 100, &v), TEXT_COMPLETE);
	assert_int_equal(v, 17);
	assert_int_equal(u64_of(" 0x1F ", UINT64_MAX, &v), TEXT_COMPLETE);
	assert_int_equal(v, 31);
	assert_int_equal(u64_of("18446744073709551615", UINT64_MAX, &v), TEXT_COMPLETE);
	assert_true(v == UINT64_MAX);
	assert_int_equal(u64_of("18446744073709551616", UINT64_MAX, &v), -ERANGE);
	assert_int_equal(u64_of("101", 100, &v), -ERANGE);
	assert_int_equal(u64_of("-1", 100, &v), -EINVAL);
	assert_int_equal(u64_of("1 2", 100, &v), -EINVAL);
	assert_int_equal(u64_of("12a", 1000, &v), -EINVAL);
	assert_int_equal(u64_of("\n", 100, &v), TEXT_INCOMPLETE);
	assert_int_equal(u64_of("0x", 100, &v), TEXT_INCOMPLETE);
	assert_int_equal(u64_of("0xg", 100, &v), -EINVAL);
}

static int value_of(const char *s, void *out, size_t size)
{
	return text_parse_value(s, strlen(s), out, size);
}

static void values(void **state)
{
	u8 b[16];
	u32 w;
	u16 h;

	assert_int_equal(value_of("300\n", &h, 2), TEXT_COMPLETE);
	assert_int_equal(h, 300);
	assert_int_equal(value_of("65536", &h, 2), -ERANGE);
	assert_int_equal(value_of("01 00 00 80", &w, 4), TEXT_COMPLETE);
	assert_int_equal(w, 0x80000001);
	assert_int_equal(value_of("01 00 00", &w, 4), TEXT_INCOMPLETE);
	assert_int_equal(value_of("01 00 00 00 00", &w, 4), -EINVAL);
	assert_int_equal(value_of("00 11\n22", b, 3), TEXT_COMPLETE);
	assert_memory_equal(b, "\x00\x11\x22", 3);
	assert_int_equal(value_of("001122", b, 3), TEXT_COMPLETE);
	assert_int_equal(value_of("00112", b, 3), TEXT_INCOMPLETE);
	assert_int_equal(value_of("0 0", b, 3), -EINVAL);
	assert_int_equal(value_of("zz", b, 3), -EINVAL);
	assert_int_equal(value_of("00112233", b, 3), -EINVAL);
}

static void keys(void **state)
{
	u8 b[8];
	u32 w;

	assert_int_equal(text_parse_key("42", 2, &w, 4), 0);
	assert_int_equal(w, 42);
	assert_int_equal(text_parse_key("42 ", 3, &w, 4), -EINVAL);
	assert_int_equal(text_parse_key("", 0, &w, 4), -EINVAL);
	assert_int_equal(text_parse_key("4294967296", 10, &w, 4), -EINVAL);
	assert_int_equal(text_parse_key("0a0b0c", 6, b, 3), 0);
	assert_int_equal(text_parse_key("0a0b", 4, b, 3), -EINVAL);
}

/* Whatever is printed reads back as the same bytes, for every size. */
static void round_trip(void **state)
{
	u8 in[70], out[70];
	size_t size, i, round;

	srand(1);
	for (size = 1; size < sizeof(in); size++)
		for (round = 0; round < 20; round++) {
			struct fs_text text = {0};

			for (i = 0; i < size; i++)
				in[i] = rand();
			text_print_value(&text, in, size);
			assert_int_equal(text_parse_value(text.buf, text.len, out, size),
					 TEXT_COMPLETE);
			assert_memory_equal(in, out, size);
			text.len = 0;
			text_print_key(&text, in, size);
			assert_int_equal(text_parse_key(text.buf, text.len, out, size), 0);
			assert_memory_equal(in, out, size);
			fs_text_free(&text);
		}
}

/* No prefix of a hexadecimal value is taken for the whole, and none is refused. */
static void prefixes(void **state)
{
	const char *s = "de ad be ef 01";
	u8 out[5];
	size_t n;

	for (n = 0; n < strlen(s); n++)
		assert_int_equal(text_parse_value(s, n, out, 5), TEXT_INCOMPLETE);
	assert_int_equal(text_parse_value(s, n, out, 5), TEXT_COMPLETE);
}

static void lines_and_words(void **state)
{
	const char *s = "one two\n\nthree", *p;
	size_t pos = 0, n, k = 0, w;

	assert_true(text_next_line(s, strlen(s), false, &pos, &p, &n));
	assert_int_equal(n, 7);
	assert_true(text_next_word(s, n, &k, &p, &w));
	assert_int_equal(w, 3);
	assert_true(text_next_word(s, n, &k, &p, &w));
	assert_memory_equal(p, "two", 3);
	assert_false(text_next_word(s, n, &k, &p, &w));
	assert_true(text_next_line(s, strlen(s), false, &pos, &p, &n));
	assert_int_equal(n, 0);
	assert_false(text_next_line(s, strlen(s), false, &pos, &p, &n));
	assert_true(text_next_line(s, strlen(s), true, &pos, &p, &n));
	assert_int_equal(n, 5);
	assert_false(text_next_line(s, strlen(s), true, &pos, &p, &n));
}

static void pending_writes(void **state)
{
	struct write_buffer p = {0};
	struct error_record why = {0};

	assert_int_equal(write_buffer_add(&p, "ab", 2, 0, false, 8, NULL), 0);
	assert_int_equal(write_buffer_add(&p, "cd", 2, 2, false, 8, NULL), 0);
	assert_int_equal(p.len, 4);
	assert_int_equal(write_buffer_add(&p, "x", 1, 7, false, 8, &why), -EINVAL); /* a gap */
	assert_non_null(strstr(why.why, "goes on where the last write ended, at 4"));
	error_clear(&why);
	assert_int_equal(write_buffer_add(&p, "x", 1, 2, false, 8, NULL), -EINVAL); /* back */
	assert_int_equal(write_buffer_add(&p, "12345", 5, 4, false, 8, &why), -EFBIG);
	assert_non_null(strstr(why.why, "more than 8 bytes"));
	error_clear(&why);
	write_buffer_drop(&p, 3);
	assert_memory_equal(p.buf, "d", 1);
	assert_int_equal(write_buffer_add(&p, "e", 1, 4, false, 8, NULL), 0);
	assert_int_equal(p.len, 2);
	assert_int_equal(write_buffer_add(&p, "z", 1, 0, false, 8, NULL), 0); /* begins anew */
	assert_int_equal(p.len, 1);
	assert_false(write_buffer_blank(&p));
	assert_int_equal(write_buffer_add(&p, "y", 1, 99, true, 8, NULL),
			 0); /* O_APPEND: no offset */
	assert_int_equal(p.len, 2);
	write_buffer_drop(&p, 2);
	assert_true(write_buffer_blank(&p));
	write_buffer_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),	  cmocka_unit_test(values),
		cmocka_unit_test(keys),		  cmocka_unit_test(round_trip),
		cmocka_unit_test(prefixes),	  cmocka_unit_test(lines_and_words),
		cmocka_unit_test(pending_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
