/*
 * test_bytes.c - keys and values as people type them (tools/lib/bytes.c)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "tools/lib/bytes.h"

#define W(...)                    \
	{                         \
		__VA_ARGS__, NULL \
	}

/* ok NULL: refused, and the sentence says `why`. */
struct row {
	const char *words[9];
	unsigned int size;
	bool trie;
	const char *bytes; /* hexadecimal */
	const char *why;
};

static const struct row rows[] = {
	{W("5"), 4, false, "05000000"},
	{W("0x1f"), 2, false, "1f00"},
	{W("-1"), 4, false, "ffffffff"},
	{W("-128"), 1, false, "80"},
	{W("-129"), 1, false, NULL, "does not fit into 1 byte"},
	{W("256"), 1, false, NULL, "256 does not fit into 1 byte (at most 255)"},
	{W("18446744073709551615"), 8, false, "ffffffffffffffff"},
	{W("18446744073709551616"), 8, false, NULL, "too large"},
	{W("10.0.0.1"), 4, false, "0a000001"},
	{W("2001:db8::1"), 16, false, "20010db8000000000000000000000001"},
	{W("10.0.0.0/8"), 8, true, "080000000a000000"},
	{W("10.0.0.1"), 8, true, "200000000a000001"},
	{W("10.0.0.0/33"), 8, true, NULL, "up to 32"},
	{W("10.0.0.0/8"), 4, false, NULL, "no number"},
	{W("02:00:00:00:00:0a"), 6, false, "02000000000a"},
	{W("\"eth0\""), 8, false, "6574683000000000"},
	{W("'eth0'"), 3, false, NULL, "room for 3"},
	{W("0a0b0c"), 3, false, "0a0b0c"},
	{W("0x0a0b0c"), 3, false, "0a0b0c"},
	{W("0a 0b 0c 0d"), 4, false, "0a0b0c0d"},
	{W("0a0b"), 3, false, NULL, "is not 3 bytes"},
	{W("zz"), 4, false, NULL, "no number"},
	{W("{\"a\":1}"), 4, false, NULL, "needs types"},
	{W("1", "0", "0x0a", "255"), 4, false, "01000aff"},
	{W("hex", "1", "0", "0a", "ff"), 4, false, "01000aff"},
	{W("1", "0"), 4, false, NULL, "2 bytes, and it has 4"},
	{W("1", "256"), 2, false, NULL, "'256' is no byte"},
	{W("hex", "1", "g"), 2, false, NULL, "hexadecimal"},
	{W(""), 4, false, NULL, "no number"},
};

static void test_rows(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct bytes_type type = {NULL, 0, row->size, row->trie};
		struct error_record why = {0};
		unsigned char out[16] = {0};
		char hex[33] = "";
		int argc = 0, err;

		while (row->words[argc])
			argc++;
		err = bytes_parse(argc, (char **)row->words, &type, out, &why);
		if (row->bytes) {
			for (unsigned int k = 0; k < row->size; k++)
				sprintf(hex + 2 * k, "%02x", out[k]);
			assert_int_equal(err, 0);
			assert_string_equal(hex, row->bytes);
		} else {
			assert_true(err < 0);
			assert_non_null(strstr(error_why(&why, err), row->why));
		}
		error_clear(&why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
