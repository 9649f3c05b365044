/*
 * test_images.c - the images of all sampled processes (fs/sources/images.h)
 *
 * Each case is named by the letter of its guarantee.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "fs/sources/images.h"

static struct image_source src = {.uid = 5}, other = {.uid = 6};

static int end(void **state)
{
	image_source_end(&src);
	image_source_end(&other);
	return src.processes || other.processes;
}

static void map(u32 pid, u64 start, u64 ino, const char *path)
{
	image_map(&src, pid, &(struct image_map){start, start + 0x1000, 0, ino, 1, 0, 0}, path);
}

static void expect(u32 id, u32 nr, u64 start, const char *path)
{
	struct image img;

	assert_true(image_get(id, 0, &img));
	assert_int_equal(img.nr, nr);
	for (u32 i = 0; i < nr; i++)
		if (img.maps[i].start == start) {
			assert_string_equal(image_path(&img, &img.maps[i]), path);
			image_free(&img);
			return;
		}
	fail();
}

static void a_number_means_one_thing(void **state)
{
	u32 parent, child, ids[4];

	assert_int_equal(image_of(&src, 10), 0);
	image_exec(&src, 10);
	map(10, 0x1000, 1, "/a");
	parent = image_of(&src, 10);
	assert_int_not_equal(parent, 0);
	map(10, 0x2000, 2, "/b"); /* where nothing was */
	assert_int_equal(image_of(&src, 10), parent);
	image_fork(&src, 11, 10);
	assert_int_equal(image_of(&src, 11), parent);
	map(11, 0x3000, 3, "//anon"); /* that is not its parent's */
	child = image_of(&src, 11);
	assert_int_not_equal(child, parent);
	expect(parent, 2, 0x2000, "/b");
	expect(child, 3, 0x3000, "");
	expect(child, 3, 0x1000, "/a");
	map(10, 0x1000, 4, "/d"); /* something else: what was taken before means /a */
	assert_int_not_equal(image_of(&src, 10), parent);
	expect(parent, 2, 0x1000, "/a");
	expect(image_of(&src, 10), 2, 0x1000, "/d");
	image_exec(&src, 11);
	assert_int_equal(images_of_process(11, ids, 4), 1);
	assert_int_equal(ids[0], image_of(&src, 11));
	expect(child, 3, 0x1000, "/a");
	image_exit(&src, 11);
	assert_int_equal(image_of(&src, 11), 0);
	assert_int_equal(images_of_process(11, ids, 4), 0);
	map(11, 0x1000, 1, "/a"); /* nobody's */
	image_fork(&src, 12, 11);
	assert_int_equal(image_of(&src, 12), 0);
}

static void b_room_is_made_by_who_has_most(void **state)
{
	u32 first, his, ended;
	struct image img;

	other.processes = 0;
	image_exec(&other, 1);
	his = image_of(&other, 1);
	image_exec(&src, 1);
	first = image_of(&src, 1);
	image_exec(&src, 2);
	ended = image_of(&src, 2);
	image_exit(&src, 2);
	for (u32 pid = 3; pid < 3 * IMAGES; pid++) {
		image_exec(&src, pid);
		if (pid % 4)
			image_exit(&src, pid);
	}
	assert_false(image_get(ended, 0, &img)); /* it had no process, and is the oldest */
	assert_true(image_get(first, 0, &img));
	image_free(&img);
	assert_true(image_get(his, 0, &img));
	image_free(&img);
	image_exec(&other, 2);
	assert_int_not_equal(image_of(&other, 2), 0);
}

/* Slots of two users by turns, all taken: a third one's images are made, quickly. */
static void b_users_take_turns(void **state)
{
	struct image_source third = {.uid = 7};

	for (u32 pid = 1; pid <= IMAGES / 2; pid++) {
		image_exec(&src, pid);
		image_exec(&other, pid);
	}
	for (u32 pid = 1; pid <= IMAGES / 4; pid++) {
		image_exit(&src, pid);
		image_exit(&other, pid);
	}
	for (u32 pid = 1; pid <= 500; pid++) {
		image_exec(&third, pid);
		assert_int_not_equal(image_of(&third, pid), 0);
	}
	image_source_end(&third);
	image_source_end(&other);
}

static void c_whose(void **state)
{
	struct image img;
	u32 id;

	image_exec(&src, 20);
	map(20, 0x1000, 1, "/a");
	id = image_of(&src, 20);
	assert_true(image_get(id, 5, &img));
	assert_false(img.foreign || img.ended);
	image_free(&img);
	assert_true(image_get(id, 0, &img));
	assert_false(img.foreign);
	image_free(&img);
	assert_true(image_get(id, 6, &img));
	assert_true(img.foreign);
	image_free(&img);
	image_exit(&src, 20);
	assert_true(image_get(id, 5, &img));
	assert_true(img.ended);
	image_free(&img);
	assert_false(image_get(0, 0, &img) || image_get(id + IMAGES, 0, &img));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_number_means_one_thing, end),
		cmocka_unit_test_teardown(b_room_is_made_by_who_has_most, end),
		cmocka_unit_test_teardown(b_users_take_turns, end),
		cmocka_unit_test_teardown(c_whose, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
