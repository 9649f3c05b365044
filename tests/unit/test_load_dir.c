/*
 * test_load_dir.c - fs/store/load_dir.c: load directories, and where a map is
 */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "fs/store/load_dir.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_tree.h"
#include "tests/lib/state.h"

static void names_of_places(void **state)
{
	char name[LOAD_DIR_MAX + 1];

	assert_true(load_dir_name_ok("v2"));
	assert_true(load_dir_name_ok("\xc3\xa9"));
	assert_false(load_dir_name_ok(""));
	assert_false(load_dir_name_ok("."));
	assert_false(load_dir_name_ok(".hidden"));
	assert_false(load_dir_name_ok("a/b"));
	assert_false(load_dir_name_ok("a b"));
	assert_false(load_dir_name_ok("a\tb"));
	assert_false(load_dir_name_ok("a\nb"));
	assert_false(load_dir_name_ok("a\x7f"));
	/* progs/<dir>/maps fits, with its NUL, and not one byte more. */
	memset(name, 'n', sizeof(name));
	name[LOAD_DIR_MAX - sizeof("progs//maps")] = 0;
	assert_true(load_dir_name_ok(name));
	name[strlen(name)] = 'n';
	name[LOAD_DIR_MAX - sizeof("progs//maps") + 1] = 0;
	assert_false(load_dir_name_ok(name));
}

static void names_that_are_files_there(void **state)
{
	static const char *const own[] = {"new", "log", "constants", "maps"};

	for (u32 i = 0; i < ARRAY_SIZE(own); i++)
		assert_true(load_dir_own_name(own[i]));
	assert_false(load_dir_own_name("new2"));
	assert_false(load_dir_own_name(""));
}

static void make_place(const char *name, bool maps)
{
	char path[64];

	snprintf(path, sizeof(path), "progs/%s", name);
	assert_return_code(mkdirat(tree.tree_fd, path, 0755), errno);
	snprintf(path, sizeof(path), "tree/progs/%s/" LOAD_DIR_FILE, name);
	state_write(path, "", 0);
	snprintf(path, sizeof(path), "progs/%s/maps", name);
	if (maps)
		assert_return_code(mkdirat(tree.tree_fd, path, 0755), errno);
}

static int note(void *arg, const char *progs, const char *maps)
{
	char *text = arg;

	sprintf(text + strlen(text), "%s:%s ", progs, maps);
	return 0;
}

static int ends_at_second(void *arg, const char *progs, const char *maps)
{
	return ++*(int *)arg == 2 ? -ECANCELED : 0;
}

static void each_is_visited_the_mounts_own_first(void **state)
{
	char text[256] = "";
	int nr = 0;

	store_put(state_prog("0", 1, NULL)); /* a program is no load directory */
	make_place("b", true);
	make_place("a", true);
	make_place("without", false); /* one that is being made, or removed */
	make_place(".hidden", true);
	make_place("two words", true); /* nobody can have made it */
	state_write("tree/progs/file", "", 0);
	assert_int_equal(load_dir_each(note, text), 0);
	assert_string_equal(text, "progs:maps progs/a:progs/a/maps progs/b:progs/b/maps ");
	assert_int_equal(load_dir_each(ends_at_second, &nr), -ECANCELED);
	assert_int_equal(nr, 2);
}

static void an_unreadable_progs_is_an_error(void **state)
{
	char text[256] = "";

	assert_return_code(renameat(tree.tree_fd, "progs", tree.tree_fd, "else"), errno);
	assert_int_equal(load_dir_each(note, text), -ENOENT);
	assert_string_equal(text, "");
	assert_return_code(renameat(tree.tree_fd, "else", tree.tree_fd, "progs"), errno);
}

/* It may be a load directory: what is in it would be taken for what nobody has. */
static void a_name_that_cannot_be_looked_at_is_an_error(void **state)
{
	char text[256] = "";

	make_place("a", true);
	make_place("z", true);
	assert_return_code(symlinkat("loop", tree.tree_fd, "progs/loop"), errno);
	assert_int_equal(load_dir_each(note, text), -ELOOP);
	assert_string_equal(text, "progs:maps progs/a:progs/a/maps ");
	assert_return_code(unlinkat(tree.tree_fd, "progs/loop", 0), errno);
}

static void assert_map_at(struct store_object *obj, const char *expected)
{
	char path[256];

	assert_int_equal(load_dir_map_path(obj, path, sizeof(path)), 0);
	assert_string_equal(path, expected);
}

static void a_maps_name_is_found_wherever_it_is(void **state)
{
	struct store_object *map = state_map("m"), *other = state_map("n");
	char path[256];

	make_place("v2", true);
	assert_map_at(map, "maps/m");
	/* Another one has the name that it was made with. */
	assert_return_code(
		renameat2(tree.tree_fd, "maps/m", tree.tree_fd, "maps/n", RENAME_EXCHANGE), errno);
	assert_map_at(map, "maps/n");
	assert_map_at(other, "maps/m");
	assert_return_code(renameat(tree.tree_fd, "maps/n", tree.tree_fd, "progs/v2/maps/away"),
			   errno);
	assert_map_at(map, "progs/v2/maps/away");
	state_unname("progs/v2/maps/away", "map");
	assert_int_equal(load_dir_map_path(map, path, sizeof(path)), -ENOENT);
	/* One that cannot be looked for may have a name. */
	assert_return_code(renameat(tree.tree_fd, "maps", tree.tree_fd, "else"), errno);
	state_write("tree/maps", "", 0);
	assert_int_equal(load_dir_map_path(map, path, sizeof(path)), -ENOTDIR);
	assert_return_code(renameat(tree.tree_fd, "else/m", tree.tree_fd, "progs/v2/maps/n"),
			   errno);
	assert_return_code(unlinkat(tree.tree_fd, "maps", 0), errno);
	assert_return_code(renameat(tree.tree_fd, "else", tree.tree_fd, "maps"), errno);
	store_put(other);
	store_put(map);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, state_begin, state_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_places),
		cmocka_unit_test(names_that_are_files_there),
		CASE(each_is_visited_the_mounts_own_first),
		CASE(an_unreadable_progs_is_an_error),
		CASE(a_name_that_cannot_be_looked_at_is_an_error),
		CASE(a_maps_name_is_found_wherever_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
