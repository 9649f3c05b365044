/*
 * test_json_parse.c - keys and values from JSON (engine/text/json_parse.c): guarantees A (nothing
 * outside is written), B (what was printed comes back), C (bounds)
 *
 * The bytes lie between two guards, and whole round trips go over random bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <bpf/btf.h>
#include "text/json_print.h"
#include "text/json_parse.h"

#define ROOM  64
#define GUARD 16

static struct btf *raw;
static struct bpf_btf *btf;
static int t_int, t_u8, t_char, t_u64, t_bool, t_name, t_enum, t_double, t_ptr, t_union, t_all,
	t_wide;

static int begin(void **state)
{
	const void *bytes;
	int t_bytes, t_point, t_grid;
	u32 len;

	raw = btf__new_empty();
	t_int = btf__add_int(raw, "int", 4, BTF_INT_SIGNED);
	t_u8 = btf__add_int(raw, "unsigned char", 1, 0);
	t_char = btf__add_int(raw, "char", 1, BTF_INT_SIGNED);
	t_u64 = btf__add_int(raw, "u64", 8, 0);
	t_bool = btf__add_int(raw, "_Bool", 1, BTF_INT_BOOL);
	t_wide = btf__add_int(raw, "__int128", 16, 0);
	t_name = btf__add_array(raw, t_int, t_char, 8);
	t_bytes = btf__add_array(raw, t_int, t_u8, 8);
	t_enum = btf__add_enum(raw, "color", 4);
	btf__add_enum_value(raw, "RED", 0);
	btf__add_enum_value(raw, "BLUE", -1);
	t_double = btf__add_float(raw, "double", 8);
	t_ptr = btf__add_ptr(raw, 0);
	t_point = btf__add_struct(raw, "point", 8);
	btf__add_field(raw, "x", t_int, 0, 0);
	btf__add_field(raw, "y", t_int, 32, 0);
	t_grid = btf__add_array(raw, t_int, t_point, 2);
	t_union = btf__add_union(raw, "views", 8);
	btf__add_field(raw, "text", t_name, 0, 0);
	btf__add_field(raw, "number", t_u64, 0, 0);
	btf__add_field(raw, "real", t_double, 0, 0);
	btf__add_field(raw, "bytes", t_bytes, 0, 0);
	t_all = btf__add_struct(raw, "all", 56);
	btf__add_field(raw, "grid", t_grid, 0, 0);
	btf__add_field(raw, "color", t_enum, 128, 0);
	btf__add_field(raw, "low", t_int, 160, 3);
	btf__add_field(raw, "high", t_int, 163, 13);
	btf__add_field(raw, "on", t_bool, 176, 0);
	btf__add_field(raw, NULL, t_union, 192, 0);
	btf__add_field(raw, "name", t_name, 256, 0);
	btf__add_field(raw, "where", t_ptr, 320, 0);
	btf__add_field(raw, "views", t_union, 384, 0);
	bytes = btf__raw_data(raw, &len);
	return bpf_btf_new(bytes, len, &btf);
}

static int end(void **state)
{
	bpf_btf_put(btf);
	btf__free(raw);
	return 0;
}

static u8 room[GUARD + ROOM + GUARD], *const data = room + GUARD;
static struct error_record why;

static int parse(int type, u32 size, const char *text)
{
	u8 said[ROOM] = {0};
	char *copy = strdup(text); /* so that reading beyond it is found */
	int err;

	error_clear(&why);
	memset(room, 0x5a, GUARD);
	memset(data + size, 0x5a, sizeof(room) - GUARD - size);
	err = json_parse(copy, strlen(text), btf, type, data, said, size, &why);
	for (u32 i = 0; i < GUARD; i++)
		assert_true(room[i] == 0x5a && data[size + i] == 0x5a);
	free(copy);
	return err;
}

static void scalars(void **state)
{
	static const struct {
		int *type;
		u32 size;
		const char *text;
		s64 want;
		int err;
	} rows[] = {
		{&t_int, 4, "-2147483648", INT32_MIN, 0},
		{&t_int, 4, " 0x7fffffff ", INT32_MAX, 0},
		{&t_int, 4, "\"12\"", 12, 0},
		{&t_int, 4, "2147483648", 0, -ERANGE},
		{&t_int, 4, "-2147483649", 0, -ERANGE},
		{&t_int, 4, "true", 0, -EINVAL},
		{&t_int, 4, "1 2", 0, -EINVAL},
		{&t_int, 4, "1.5", 0, -EINVAL},
		{&t_int, 4, "-", 0, -EINVAL},
		{&t_int, 4, "[1]", 0, -EINVAL},
		{&t_int, 4, "\"1", 0, -EINVAL},
		{&t_u64, 8, "18446744073709551615", -1, 0},
		{&t_u64, 8, "18446744073709551616", 0, -ERANGE},
		{&t_u64, 8, "-1", 0, -ERANGE},
		{&t_bool, 1, "true", 1, 0},
		{&t_bool, 1, "false", 0, 0},
		{&t_bool, 1, "7", 7, 0},
		{&t_enum, 4, "\"BLUE\"", -1, 0},
		{&t_enum, 4, "RED", 0, 0},
		{&t_enum, 4, "-5", -5, 0},
		{&t_enum, 4, "\"GREEN\"", 0, -EINVAL},
		{&t_ptr, 8, "\"0xffff\"", 0xffff, 0},
	};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		s64 got = rows[i].want < 0 ? -1 : 0;

		memset(data, 0, ROOM);
		assert_int_equal(parse(*rows[i].type, rows[i].size, rows[i].text), rows[i].err);
		if (rows[i].err) {
			assert_true(why.err == EINVAL || why.err == ERANGE);
			assert_true(why.why && why.why[0]);
			continue;
		}
		memcpy(&got, data, rows[i].size);
		assert_true(got == rows[i].want);
	}
}

static void parts(void **state)
{
	u8 said[8] = {0};

	memset(data, 0xff, ROOM);
	assert_int_equal(parse(t_all, 56, "{\"grid\":[{\"y\":1}],\"low\":2,\"name\":\"ab\"}"), 0);
	assert_memory_equal(data, "\xff\xff\xff\xff\1\0\0\0\xff\xff\xff\xff", 12);
	assert_int_equal(data[20], 0xfa);
	assert_memory_equal(data + 32, "ab\0\0\0\0\0\0\xff", 9);
	assert_int_equal(parse(t_all, 56, "{}"), 0);
	assert_int_equal(parse(t_all, 56, "{\"number\":5}"), 0);
	assert_memory_equal(data + 24, "\5\0\0\0\0\0\0\0", 8);
	assert_int_equal(json_parse("[1,2]", 5, btf, t_name, data, said, 8, NULL), 0);
	assert_memory_equal(said, "\1\1\0\0\0\0\0\0", 8);
}

static void refused(void **state)
{
	static const char *const rows[] = {
		"{",
		"}",
		"{\"grid\"}",
		"{\"grid\":}",
		"{\"grid\":[}",
		"{\"grid\":[1,2]}",
		"{\"nope\":1}",
		"{\"low\":4}",
		"{\"low\":-5}",
		"{\"name\":\"123456789\"}",
		"{\"name\":\"\\q\"}",
		"{\"name\":\"\\ud800\"}",
		"{\"name\":\"\\u12\"}",
		"{\"low\":1,}",
		"{\"low\":1 \"high\":2}",
		"{\"low\":1}x",
		"{\"grid\":[{},{},{}]}",
		"{\"low\\u0000\":1}",
		"{low:1}",
		"[]",
		"\"\"",
	};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_true(parse(t_all, 56, rows[i]) < 0);
		assert_true(why.err == EINVAL || why.err == ERANGE);
		assert_true(why.why && why.why[0]);
	}
}

/* B; padding, and what is behind a string's NUL outside of a union, is not printed. */
static void round_trips(void **state)
{
	u8 was[ROOM];
	u32 seed = 1;

	for (u32 round = 0; round < 20000; round++) {
		struct fs_text text = {0}, again = {0};

		for (u32 i = 0; i < 56; i++) {
			seed = seed * 1664525 + 1013904223;
			data[i] = round % 3 ? seed >> 24 : seed >> 28 ? seed >> 24 & 0x7f : 0;
		}
		if (round % 5 == 0)
			memset(data + 24, round % 2 ? 0xff : 0, 8); /* a NaN among the views */
		memcpy(was, data, 56);
		json_value(&text, btf, t_all, data, 56);
		memset(data, 0, 56);
		assert_int_equal(parse(t_all, 56, text.buf), 0);
		assert_memory_equal(data, was, 22);
		assert_int_equal(data[22], was[22]);
		assert_memory_equal(data + 24, was + 24, 8);
		assert_memory_equal(data + 40, was + 40, 16);
		json_value(&again, btf, t_all, data, 56);
		assert_string_equal(again.buf, text.buf);
		fs_text_free(&text);
		fs_text_free(&again);
	}
}

static void without_types(void **state)
{
	u8 bytes[16];
	u32 four = 0;

	assert_int_equal(json_parse("7", 1, NULL, 0, &four, NULL, 4, NULL), 0);
	assert_int_equal(four, 7);
	assert_int_equal(json_parse("\"0a0b0c\"", 8, NULL, 0, bytes, NULL, 3, NULL), 0);
	assert_memory_equal(bytes, "\x0a\x0b\x0c", 3);
	assert_int_equal(json_parse("\"0a0b\"", 6, NULL, 0, bytes, NULL, 3, NULL), -EINVAL);
	assert_int_equal(json_parse("\"000102030405060708090a0b0c0d0e0f\"", 34, btf, t_wide, bytes,
				    NULL, 16, NULL),
			 0);
	assert_int_equal(bytes[15], 15);
}

static void extents(void **state)
{
	static const struct {
		const char *s;
		int want;
	} rows[] = {
		{"", 0},	{"  ", 0},	   {"{}", 2},	   {" {\"a\":[1]} ,", 10},
		{"{", 0},	{"\"a", 0},	   {"\"a\\\"", 0}, {"\"a\\\"\"", 5},
		{"12,", 2},	{"-1", 2},	   {"]", -EINVAL}, {"{\"a]}\":[{}]}x", 12},
		{",", -EINVAL}, {"[\"]\",[]]", 8}, {"true}", 4},
	};
	const char *value;
	size_t n, pos = 0, count = 0;

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(json_extent(rows[i].s, strlen(rows[i].s)), rows[i].want);
	assert_true(json_member("{\"a\":1, \"key\" : {\"b\":2} }", 25, "key", &value, &n));
	assert_memory_equal(value, " {\"b\":2}", n);
	assert_false(json_member("{\"a\":1}", 7, "key", &value, &n));
	assert_false(json_member("{\"a\"", 4, "a", &value, &n));
	while (json_element("[1,{},[2]]", 10, &pos, &value, &n))
		count++;
	assert_int_equal(count, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(scalars, begin, end),
		cmocka_unit_test_setup_teardown(parts, begin, end),
		cmocka_unit_test_setup_teardown(refused, begin, end),
		cmocka_unit_test_setup_teardown(round_trips, begin, end),
		cmocka_unit_test_setup_teardown(without_types, begin, end),
		cmocka_unit_test(extents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
