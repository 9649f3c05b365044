/*
 * test_json_print.c - keys and values as JSON (engine/text/json_print.c): guarantees A (one valid
 * value), B (nothing outside is read), C (bounds)
 *
 * Types are written with libbpf's btf.h and go through bpf_btf_new(), as those of an object do. The
 * bytes lie at the end of a page that is followed by one that cannot be read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <cmocka.h>
#include <bpf/btf.h>
#include "text/json_print.h"

static char *page; /* two; the second is not there */

static struct btf *raw;
static int t_int, t_u8, t_char, t_u64, t_bool;

static int begin(void **state)
{
	page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED || mprotect(page + 4096, 4096, PROT_NONE))
		return -1;
	raw = btf__new_empty();
	t_int = btf__add_int(raw, "int", 4, BTF_INT_SIGNED);
	t_u8 = btf__add_int(raw, "unsigned char", 1, 0);
	t_char = btf__add_int(raw, "char", 1, BTF_INT_SIGNED);
	t_u64 = btf__add_int(raw, "u64", 8, 0);
	t_bool = btf__add_int(raw, "_Bool", 1, BTF_INT_BOOL);
	return 0;
}

static int end(void **state)
{
	btf__free(raw);
	munmap(page, 8192);
	return 0;
}

/* The JSON of these bytes; free() it. */
static char *json(int type, const void *data, u32 size)
{
	struct fs_text text = {0};
	struct bpf_btf *btf;
	const void *bytes;
	u32 len;

	bytes = btf__raw_data(raw, &len);
	assert_int_equal(bpf_btf_new(bytes, len, &btf), 0);
	memcpy(page + 4096 - size, data, size);
	json_value(&text, btf, type, page + 4096 - size, size);
	assert_int_equal(text.err, 0);
	bpf_btf_put(btf);
	return text.buf;
}

static void is(int type, const void *data, u32 size, const char *want)
{
	char *got = json(type, data, size);

	assert_string_equal(got, want);
	free(got);
}

static void strings(void **state)
{
	static const struct {
		const char *s, *want;
		size_t len;
	} rows[] = {
		{"a\"b\\c", "\"a\\\"b\\\\c\"", 5},
		{"\n\t\x01\x7f", "\"\\n\\t\\u0001\\u007f\"", 4},
		{"caf\xc3\xa9", "\"caf\xc3\xa9\"", 5},
		{"\xf0\x9f\x90\x9d", "\"\xf0\x9f\x90\x9d\"", 4},
		{"\xc3", "\"\\ufffd\"", 1}, /* cut */
		{"\xc0\x80", "\"\\ufffd\\ufffd\"", 2}, /* too long a form */
		{"\xe0\x80\x80", "\"\\ufffd\\ufffd\\ufffd\"", 3},
		{"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"", 3}, /* a surrogate */
		{"\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"", 4},
		{"\xff", "\"\\ufffd\"", 1},
		{"", "\"\"", 0},
	};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fs_text text = {0};

		json_string(&text, rows[i].s, rows[i].len);
		assert_string_equal(text.buf, rows[i].want);
		fs_text_free(&text);
	}
}

static void without_types(void **state)
{
	is(0, "\x05", 1, "5");
	is(0, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, "18446744073709551615");
	is(0, "\x01\xab\x00", 3, "\"01ab00\"");
	is(t_int, "\x01\x02", 2, "513"); /* another size than the type's */
	is(4711, "\x01\x02", 2, "513"); /* no such type */
}

static void numbers(void **state)
{
	int e, f4, f8, big, ptr;
	double d = 0.5;
	float inf = -__builtin_inff();

	is(t_int, "\xff\xff\xff\xff", 4, "-1");
	is(t_char, "A", 1, "65");
	is(t_bool, "\x01", 1, "true");
	is(t_bool, "\x02", 1, "2");
	big = btf__add_int(raw, "u128", 16, 0);
	is(big, "0123456789abcdef", 16, "\"30313233343536373839616263646566\"");
	f4 = btf__add_float(raw, "float", 4);
	f8 = btf__add_float(raw, "double", 8);
	is(f4, &inf, 4, "\"-inf\"");
	is(f4, "\x00\x00\xc0\x7f", 4, "\"nan\"");
	is(f8, &d, 8, "0.5");
	e = btf__add_enum(raw, "e", 4);
	btf__add_enum_value(raw, "MINUS", -1);
	btf__add_enum_value(raw, "FIVE", 5);
	is(e, "\xff\xff\xff\xff", 4, "\"MINUS\"");
	is(e, "\x05\x00\x00\x00", 4, "\"FIVE\"");
	is(e, "\x06\x00\x00\x00", 4, "6");
	e = btf__add_enum64(raw, "wide", 8, false);
	btf__add_enum64_value(raw, "TOP", 1ull << 63);
	is(e, "\0\0\0\0\0\0\0\x80", 8, "\"TOP\"");
	ptr = btf__add_ptr(raw, 0);
	is(ptr, "\x10\0\0\0\0\0\0\0", 8, "\"0x10\"");
}

static void arrays(void **state)
{
	int text = btf__add_array(raw, t_int, t_char, 4),
	    none = btf__add_array(raw, t_int, t_int, 0);
	int rows = btf__add_array(raw, t_int, text, 2), empty, many;

	is(text, "ab\0\0", 4, "\"ab\"");
	is(text, "abcd", 4, "\"abcd\"");
	is(text, "ab\0x", 4, "\"ab\"");
	is(text, "\0\0\0\0", 4, "\"\"");
	is(text, "a\xff\0\0", 4, "[97,-1,0,0]");
	is(rows, "ab\0\0\x01\0\0\0", 8, "[\"ab\",[1,0,0,0]]");
	is(btf__add_array(raw, t_int, t_u8, 3), "abc", 3, "[97,98,99]");
	is(none, "", 0, "[]");
	/* four billion elements without a byte */
	empty = btf__add_struct(raw, "empty", 0);
	many = btf__add_array(raw, t_int, empty, 0xffffffff);
	is(many, "", 0, "[]");
}

static void structs(void **state)
{
	int in, un, s, e;

	e = btf__add_enum(raw, "bit", 4);
	btf__add_enum_value(raw, "ON", 1);
	in = btf__add_struct(raw, NULL, 4);
	btf__add_field(raw, "inner", t_int, 0, 0);
	un = btf__add_union(raw, NULL, 4);
	btf__add_field(raw, "word", t_int, 0, 0);
	btf__add_field(raw, NULL, in, 0, 0);
	s = btf__add_struct(raw, "s", 8);
	btf__add_field(raw, NULL, un, 0, 0);
	btf__add_field(raw, "low", t_int, 32, 3);
	btf__add_field(raw, NULL, t_int, 35, 2); /* padding */
	btf__add_field(raw, "flag", e, 37, 1);
	btf__add_field(raw, "q\"\xff", t_u64, 32, 10);
	is(s, "\x07\0\0\0\x25\x01\0\0", 8,
	   "{\"word\":7,\"inner\":7,\"low\":-3,\"flag\":\"ON\",\"q\\\"\\ufffd\":293}");
	is(btf__add_struct(raw, "nothing", 0), "", 0, "{}");
}

static void datasec(void **state)
{
	int a = btf__add_var(raw, "a", BTF_VAR_GLOBAL_ALLOCATED, t_int);
	int b = btf__add_var(raw, "b", BTF_VAR_STATIC, t_u64), sec, far;

	sec = btf__add_datasec(raw, ".data", 16);
	btf__add_datasec_var_info(raw, a, 0, 4);
	btf__add_datasec_var_info(raw, b, 8, 8);
	is(sec, "\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0", 16, "{\"a\":1,\"b\":2}");
	/* B: a variable that ends beyond the section, and one that begins there */
	far = btf__add_datasec(raw, ".bss", 12);
	btf__add_datasec_var_info(raw, b, 8, 8);
	is(far, "\x01\0\0\0\0\0\0\0\x02\0\0\0", 12, "\"010000000000000002000000\"");
	far = btf__add_datasec(raw, ".far", 4);
	btf__add_datasec_var_info(raw, a, 0xfffffff0, 4);
	is(far, "\x01\0\0\0", 4, "1");
}

/* C: unions of unions show 2^40 views of one byte; names of a megabyte come often. */
static void fan_out(void **state)
{
	int id = t_u8, s;
	char *name;

	for (int i = 0; i < 40; i++) {
		int next = btf__add_union(raw, "u", 1);

		btf__add_field(raw, "a", id, 0, 0);
		btf__add_field(raw, "b", id, 0, 0);
		id = next;
	}
	is(id, "\x07", 1, "7");

	name = malloc(1 << 20);
	memset(name, 'n', (1 << 20) - 1);
	name[(1 << 20) - 1] = 0;
	s = btf__add_union(raw, "names", 1);
	for (int i = 0; i < 1000; i++)
		btf__add_field(raw, name, t_u8, 0, 0);
	is(s, "\x07", 1, "7");
	free(name);
}

/* C: what finds nothing to put in is work, too: who looks at a size bounds it, or gives up. */
static void work_is_bounded(void **state)
{
	const volatile bool cancel = true;
	struct fs_text bounded = {.most_work = 1000}, cancelled = {.cancel = &cancel};
	struct bpf_btf *btf;
	const void *bytes;
	int id = t_u8;
	u32 len;

	for (int i = 0; i < 40; i++) {
		int next = btf__add_union(raw, "u", 1);

		btf__add_field(raw, "a", id, 0, 0);
		btf__add_field(raw, "b", id, 0, 0);
		id = next;
	}
	bytes = btf__raw_data(raw, &len);
	assert_int_equal(bpf_btf_new(bytes, len, &btf), 0);
	json_value(&bounded, btf, (u32)id, "\x07", 1);
	assert_int_equal(bounded.err, -EFBIG);
	assert_in_range(bounded.work, 1001, 2000);
	json_value(&cancelled, btf, (u32)id, "\x07", 1);
	assert_int_equal(cancelled.err, -EINTR);
	assert_in_range(cancelled.work, 0, 10);
	fs_text_free(&bounded);
	fs_text_free(&cancelled);
	bpf_btf_put(btf);
}

/*
 * What is no type of a value, or contains itself, does not come so far; what passes is printed or
 * not, but never followed.
 */
static void not_values(void **state)
{
	int proto = btf__add_func_proto(raw, t_int), fwd, td, v;

	is(proto, "\x01", 1, "1");
	fwd = btf__add_fwd(raw, "later", BTF_FWD_STRUCT);
	is(fwd, "\x01", 1, "1");
	td = btf__add_typedef(raw, "t", btf__add_const(raw, t_int));
	is(td, "\x01\0\0\0", 4, "1");
	v = btf__add_var(raw, "v", BTF_VAR_STATIC, t_int);
	is(v, "\x02\0\0\0", 4, "2");
}

static void cycles_are_refused(void **state)
{
	struct bpf_btf *btf;
	const void *bytes;
	u32 len;
	int s;

	s = btf__add_struct(raw, "loop", 4);
	btf__add_field(raw, "again", s, 0, 0);
	bytes = btf__raw_data(raw, &len);
	assert_int_equal(bpf_btf_new(bytes, len, &btf), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings),
		cmocka_unit_test_setup_teardown(without_types, begin, end),
		cmocka_unit_test_setup_teardown(numbers, begin, end),
		cmocka_unit_test_setup_teardown(arrays, begin, end),
		cmocka_unit_test_setup_teardown(structs, begin, end),
		cmocka_unit_test_setup_teardown(datasec, begin, end),
		cmocka_unit_test_setup_teardown(fan_out, begin, end),
		cmocka_unit_test_setup_teardown(work_is_bounded, begin, end),
		cmocka_unit_test_setup_teardown(not_values, begin, end),
		cmocka_unit_test_setup_teardown(cycles_are_refused, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
