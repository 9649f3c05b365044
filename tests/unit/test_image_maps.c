/*
 * test_image_maps.c - what a process has mapped, and on its way (fs/agent/format/image.h)
 *
 * Each case is named by the letter of its guarantee.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "fs/agent/format/image.h"

static struct image img;

static int end(void **state)
{
	image_free(&img);
	return 0;
}

static void map(u64 start, u64 end_at, u64 offset, u64 ino, const char *path)
{
	const struct image_map m = {start, end_at, offset, ino, 5, 0, 0};

	assert_int_equal(image_add(&img, &m, path), 0);
}

/* "START-END@OFFSET PATH, ..." */
static void expect(const char *all)
{
	char text[512] = "";
	size_t n = 0;

	for (u32 i = 0; i < img.nr; i++)
		n += (size_t)snprintf(
			text + n, sizeof(text) - n, "%s%llx-%llx@%llx %s", i ? ", " : "",
			(unsigned long long)img.maps[i].start, (unsigned long long)img.maps[i].end,
			(unsigned long long)img.maps[i].offset, image_path(&img, &img.maps[i]));
	assert_string_equal(text, all);
}

static void a_replaces(void **state)
{
	map(0x5000, 0x7000, 0, 2, "/b");
	map(0x1000, 0x4000, 0x1000, 1, "/a");
	expect("1000-4000@1000 /a, 5000-7000@0 /b");
	map(0x2000, 0x3000, 0, 3, "/c"); /* in the middle */
	expect("1000-2000@1000 /a, 2000-3000@0 /c, 3000-4000@3000 /a, 5000-7000@0 /b");
	map(0x3800, 0x6000, 0, 4, "/d"); /* the end of one and the beginning of another */
	expect("1000-2000@1000 /a, 2000-3000@0 /c, 3000-3800@3000 /a, 3800-6000@0 /d, "
	       "6000-7000@1000 /b");
	map(0, 0x10000, 0, 0, ""); /* all */
	expect("0-10000@0 ");
	map(0x3000, 0x3000, 0, 5, "/e"); /* nothing */
	expect("0-10000@0 ");
}

static void a_joins(void **state)
{
	map(0x1000, 0x2000, 0x1000, 1, "/a");
	map(0x3000, 0x4000, 0x3000, 1, "/a");
	map(0x2000, 0x3000, 0x2000, 1, "/a");
	expect("1000-4000@1000 /a");
	map(0x4000, 0x5000, 0x8000, 1, "/a"); /* another part of it */
	expect("1000-4000@1000 /a, 4000-5000@8000 /a");
	map(0x5000, 0x6000, 0x9000, 2, "/a"); /* another file of that name */
	expect("1000-4000@1000 /a, 4000-5000@8000 /a, 5000-6000@9000 /a");
}

static void a_compares(void **state)
{
	struct image_map m = {0x2000, 0x3000, 0x2000, 1, 9, 0, 0};

	map(0x1000, 0x4000, 0x1000, 1, "/a");
	assert_true(image_holds(&img, &m, "/a"));
	assert_false(image_differs(&img, &m, "/a"));
	assert_false(image_holds(&img, &m, "/b"));
	assert_true(image_differs(&img, &m, "/b"));
	m.end = 0x5000;
	assert_false(image_holds(&img, &m, "/a"));
	assert_false(image_differs(&img, &m, "/a"));
	m.offset = 0;
	assert_true(image_differs(&img, &m, "/a"));
	assert_true(image_path_is_none("//anon") && image_path_is_none("") &&
		    image_path_is_none("[anon:jit]") && image_path_is_none("[heap]"));
	assert_false(image_path_is_none("/a") || image_path_is_none("[vdso]"));
}

static void c_bounded(void **state)
{
	static char path[IMAGE_NAMES];

	for (u32 i = 0; i < 2 * IMAGE_MAPS; i++)
		map(0x10000 + 0x2000ULL * i, 0x11000 + 0x2000ULL * i, 0, 1, "/a");
	assert_true(img.nr <= IMAGE_MAPS && img.nr >= IMAGE_MAPS - 2);
	end(NULL);
	memset(path, 'x', sizeof(path) - 1);
	map(0, 1, 0, 1, "/a");
	map(1, 2, 0, 1, path); /* too long with the other */
	map(2, 3, 0, 1, "/b");
	assert_int_equal(img.nr, 2);
}

static bool take(const void *message, size_t len)
{
	void *copy = malloc(len ? len : 1); /* so that a sanitizer sees what is read outside */
	struct image got;
	bool ok;

	memcpy(copy, message, len);
	ok = image_read(copy, len, &got);
	for (u32 i = 0; ok && i < got.nr; i++)
		assert_true(strlen(image_path(&got, &got.maps[i])) < IMAGE_NAMES);
	free(copy);
	return ok;
}

static void b_messages(void **state)
{
	static u64 message[IMAGE_MESSAGE / 8], bad[IMAGE_MESSAGE / 8];
	struct image copy, got;
	u32 seed = 12345;
	size_t len;

	map(0x1000, 0x2000, 0, 1, "/a");
	map(0x3000, 0x4000, 0, 0, "");
	img.id = 7;
	img.pid = 8;
	img.foreign = 1;
	img.ended = 9;
	len = image_write(&img, message);
	assert_true(image_read(message, len, &got));
	assert_true(got.id == 7 && got.pid == 8 && got.foreign && got.ended == 9 && got.nr == 2);
	assert_string_equal(image_path(&got, &got.maps[0]), "/a");
	assert_int_equal(image_copy(&copy, &got), 0);
	assert_memory_equal(copy.maps, img.maps, 2 * sizeof(*img.maps));
	image_free(&copy);
	for (size_t n = 0; n < len; n++)
		assert_false(take(message, n));
	for (u32 i = 0; i < 100000; i++) {
		memcpy(bad, message, len);
		for (u32 k = 0; k < 1 + i % 3; k++) {
			seed = seed * 1103515245 + 12345;
			((u8 *)bad)[(seed >> 8) % len] = (u8)(seed >> 24);
		}
		take(bad, len);
	}
	image_free(&img);
	assert_true(take(message, image_write(&img, message))); /* nothing is mapped */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_replaces, end),
		cmocka_unit_test_teardown(a_joins, end),
		cmocka_unit_test_teardown(a_compares, end),
		cmocka_unit_test_teardown(b_messages, end),
		cmocka_unit_test_teardown(c_bounded, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
