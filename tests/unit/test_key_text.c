/*
 * test_key_text.c - names of keys (fs/maps/text/key_text.c): guarantees A (what is printed is a
 * name, and comes back) and B (prefixes)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <bpf/btf.h>
#include "btf/btf.h"
#include "fs/maps/text/key_text.h"

#define KEY 40

static struct btf *raw;
static struct bpf_map map = {.map_type = BPF_MAP_TYPE_HASH, .key_size = KEY};
static int t_int, t_name, t_key, t_union;

static int begin(void **state)
{
	int t_char, t_u8, t_enum, t_point, t_points, t_bytes;
	const void *bytes;
	u32 len;

	raw = btf__new_empty();
	t_int = btf__add_int(raw, "int", 4, BTF_INT_SIGNED);
	t_u8 = btf__add_int(raw, "unsigned char", 1, 0);
	t_char = btf__add_int(raw, "char", 1, BTF_INT_SIGNED);
	t_name = btf__add_array(raw, t_int, t_char, 6);
	t_bytes = btf__add_array(raw, t_int, t_u8, 4);
	t_enum = btf__add_enum(raw, "color", 4);
	btf__add_enum_value(raw, "RED", 0);
	btf__add_enum_value(raw, "BLUE", -1);
	t_point = btf__add_struct(raw, "point", 8);
	btf__add_field(raw, "x", t_int, 0, 0);
	btf__add_field(raw, "c", t_enum, 32, 0);
	t_points = btf__add_array(raw, t_int, t_point, 2);
	t_key = btf__add_struct(raw, "key", KEY);
	btf__add_field(raw, "name", t_name, 0, 0);
	btf__add_field(raw, "low", t_int, 64, 5);
	btf__add_field(raw, "high", t_int, 69, 11);
	btf__add_field(raw, "color", t_enum, 96, 0);
	btf__add_field(raw, "at", t_points, 128, 0);
	btf__add_field(raw, "mac", t_bytes, 256, 0);
	btf__add_field(raw, "byte", t_u8, 288, 0);
	t_union = btf__add_union(raw, "either", 4);
	btf__add_field(raw, "a", t_int, 0, 0);
	bytes = btf__raw_data(raw, &len);
	return bpf_btf_new(bytes, len, &map.btf);
}

static int end(void **state)
{
	bpf_btf_put(map.btf);
	btf__free(raw);
	return 0;
}

static void of_type(int type, u32 size)
{
	map.btf_key_type_id = (u32)type;
	map.key_size = size;
}

static void prints(enum key_form form, const void *key, const char *want)
{
	struct fs_text text = {0};
	u8 again[KEY];

	key_print(&map, form, key, &text);
	assert_string_equal(text.buf, want);
	assert_int_equal(key_parse(&map, form, text.buf, text.len, again), 0);
	assert_memory_equal(again, key, map.key_size);
	fs_text_free(&text);
}

static void forms(void **state)
{
	int number = -7;

	of_type(t_int, 4);
	prints(KEYS_NUMBER, &number, "4294967289");
	prints(KEYS_BTF, &number, "-7");
	prints(KEYS_HEX, "\x0a\0\0\1", "0a000001");
	prints(KEYS_IP, "\x0a\0\0\1", "10.0.0.1");
	of_type(t_name, 6);
	prints(KEYS_BTF, "ab c/d", "ab%20c%2fd");
	prints(KEYS_BTF, "%\xff#\0\0\0", "%25%ff%23");
	prints(KEYS_BTF, "a\0b\0\0\0", "610062000000");
	prints(KEYS_BTF, "\0\0\0\0\0\0", "000000000000");
	prints(KEYS_BTF, "..\0\0\0\0", "2e2e00000000");
	assert_false(key_form_fits(&map, KEYS_IP));
	of_type(t_union, 4);
	assert_false(key_form_fits(&map, KEYS_BTF));
}

static void by_field(void **state)
{
	static const char text[] =
		"name=ab,low=-3,high=1000,color=BLUE,at.0.x=-1,at.1.x=7,mac=0a0b0c0d";
	static const char *const wrong[] = {"",		"name",	    "nope=1",	    "low=16",
					    "low=",	"mac=0a",   "low=1,",	    ",low=1",
					    "color=NO", "at.2.x=1", "name=1234567", "name=%4",
					    "low=1 ",	"byte=-1",  "byte=256"};
	u8 key[KEY];

	of_type(t_key, KEY);
	assert_true(key_form_fits(&map, KEYS_BTF));
	assert_int_equal(key_parse(&map, KEYS_BTF, text, strlen(text), key), 0);
	prints(KEYS_BTF, key,
	       "name=ab,low=-3,high=1000,color=BLUE,at.0.x=-1,at.0.c=RED,at.1.x=7,at.1.c=RED,"
	       "mac=0a0b0c0d,byte=0");
	for (u32 i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(key_parse(&map, KEYS_BTF, wrong[i], strlen(wrong[i]), key),
				 -EINVAL);
}

static void any_bytes(void **state)
{
	u8 key[KEY], again[KEY];
	u32 seed = 1, by_name = 0;

	of_type(t_key, KEY);
	for (u32 round = 0; round < 20000; round++) {
		struct fs_text text = {0};

		for (u32 i = 0; i < KEY; i++) {
			seed = seed * 1664525 + 1013904223;
			key[i] = seed >> (round % 2 ? 24 : 26);
		}
		if (round % 4) { /* padding */
			memset(key + 6, 0, 2);
			memset(key + 10, 0, 2);
			memset(key + 37, 0, 3);
		}
		key_print(&map, KEYS_BTF, key, &text);
		assert_true(text.len && text.len < 256 && !strpbrk(text.buf, "/ \n"));
		by_name += text.len != 2 * KEY;
		assert_int_equal(key_parse(&map, KEYS_BTF, text.buf, text.len, again), 0);
		assert_memory_equal(again, key, KEY);
		fs_text_free(&text);
	}
	assert_true(by_name > 5000);
}

static void prefixes(void **state)
{
	static const enum key_form forms[] = {KEYS_NUMBER, KEYS_HEX, KEYS_IP};
	static const char *const wrong[] = {"10.0.0.0", "10.0.0.0_33", "10.0.0_8",
					    "_8",	"10.0.0.0_",   "10.0.0.0_x"};
	u8 key[8];

	of_type(0, 8);
	map.map_type = BPF_MAP_TYPE_LPM_TRIE;
	for (u32 i = 0; i < ARRAY_SIZE(forms); i++) {
		assert_int_equal(key_parse(&map, forms[i], "10.0.0.0_8", 10, key), 0);
		assert_memory_equal(key + 4, "\x0a\0\0\0", 4);
		for (u32 k = 0; k < ARRAY_SIZE(wrong); k++)
			assert_int_equal(key_parse(&map, forms[i], wrong[k], strlen(wrong[k]), key),
					 -EINVAL);
	}
	prints(KEYS_IP, key, "10.0.0.0_8");
	map.map_type = BPF_MAP_TYPE_HASH;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms),
		cmocka_unit_test(by_field),
		cmocka_unit_test(any_bytes),
		cmocka_unit_test(prefixes),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
