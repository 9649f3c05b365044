/*
 * test_resolve.c - fs/store/resolve.c: which object a text names, for whom
 */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "text/value_text.h"
#include "fs/node/node.h"
#include "fs/store/resolve.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/objects/files.h"
#include "fs/store/objects/names.h"
#include "tests/lib/state.h"

static struct store_object *map, *prog;

static int begin(void **state)
{
	int err = state_begin(state);

	map = state_map("m");
	prog = state_prog("p", 1, map);
	return err;
}

static int end(void **state)
{
	store_put(prog);
	store_put(map);
	return state_end(state);
}

/* The object's number, or -errno, which a sentence in the record goes with. */
static int resolve_by(const struct fs_cred *cred, enum store_kind kind, const char *text, int mask)
{
	struct fs_req req = {.cred = *cred};
	struct store_object *obj = NULL;
	int err = resolve_object(&req, kind, text, mask, &obj);

	if (err) {
		assert_null(obj);
		assert_int_equal(req.error.err, -err);
		assert_non_null(req.error.why);
		error_clear(&req.error);
		return err;
	}
	assert_null(req.error.why);
	err = (int)obj->id;
	store_put(obj);
	return err;
}

static int resolve(enum store_kind kind, const char *text)
{
	return resolve_by(&state_me, kind, text, RESOLVE_USE);
}

static void make_dir(const char *path, mode_t mode)
{
	assert_return_code(mkdirat(tree.tree_fd, path, 0700), errno);
	assert_return_code(fchmodat(tree.tree_fd, path, mode, 0), errno);
}

static void make_link(const char *path, const char *target)
{
	assert_return_code(symlinkat(target, tree.tree_fd, path), errno);
}

static void pin(struct store_object *obj, const char *path)
{
	tree_wrlock();
	assert_int_equal(store_link(obj, tree.tree_fd, path, NULL), 0);
	tree_unlock();
}

static void set_mode(struct store_object *obj, mode_t mode)
{
	char name[32];

	store_part_name(obj->id, STORE_OBJECT, name);
	assert_return_code(fchmodat(tree.objects_fd, name, mode, 0), errno);
	store_names_changed(obj); /* its attributes are read again */
}

static void names_ids_and_paths_lead_to_one_object(void **state)
{
	int m = (int)map->id, p = (int)prog->id;
	char text[64];

	make_dir("mine", 0755);
	pin(map, "mine/pin");
	assert_int_equal(resolve(STORE_MAP, "m"), m);
	assert_int_equal(resolve(STORE_MAP, " \t m\n"), m);
	assert_int_equal(resolve(STORE_MAP, "maps/m"), m);
	assert_int_equal(resolve(STORE_MAP, "/maps//m/"), m);
	assert_int_equal(resolve(STORE_MAP, "maps/m/map"), m);
	assert_int_equal(resolve(STORE_MAP, "mine/pin"), m);
	assert_int_equal(resolve(STORE_PROG, "p"), p);
	assert_int_equal(resolve(STORE_PROG, "progs/p/prog"), p);
	snprintf(text, sizeof(text), "%d", m);
	assert_int_equal(resolve(STORE_MAP, text), m);
	snprintf(text, sizeof(text), "0x%x", p);
	assert_int_equal(resolve(STORE_PROG, text), p);
	pin(map, "top"); /* in M itself: after maps/ was looked at */
	assert_int_equal(resolve(STORE_MAP, "top"), m);
}

static void what_is_not_there_is_enoent(void **state)
{
	static const char *const none[] = {"x",		 "maps/x", "mine/pin", "4000000",
					   "4294967296", "0x1g",   "m/x",      "/m"};

	for (u32 i = 0; i < ARRAY_SIZE(none); i++)
		assert_int_equal(resolve(STORE_MAP, none[i]), -ENOENT);
	assert_int_equal(resolve(STORE_MAP, ""), -EINVAL);
	assert_int_equal(resolve(STORE_MAP, " \n"), -EINVAL);
}

static void a_path_goes_down_only(void **state)
{
	assert_int_equal(resolve(STORE_MAP, "maps/../maps/m"), -EINVAL);
	assert_int_equal(resolve(STORE_MAP, "./maps/m"), -EINVAL);
	assert_int_equal(resolve(STORE_MAP, "maps/m/map/x"), -ENOTDIR);
}

static void long_texts_are_refused(void **state)
{
	char text[PATH_MAX + 2];

	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = 0;
	assert_int_equal(resolve(STORE_MAP, text), -ENAMETOOLONG);
	text[NAME_MAX + 1] = 0;
	assert_int_equal(resolve(STORE_MAP, text), -ENAMETOOLONG);
	text[NAME_MAX] = 0;
	assert_int_equal(resolve(STORE_MAP, text), -ENOENT);
}

static void the_other_kind_is_einval(void **state)
{
	char text[16];

	make_dir("mine", 0755);
	pin(map, "mine/pin");
	assert_int_equal(resolve(STORE_PROG, "mine/pin"), -EINVAL);
	/* An id is of one kind. */
	snprintf(text, sizeof(text), "%u", map->id);
	assert_int_equal(resolve(STORE_PROG, text), -ENOENT);
}

static void the_objects_bits_count(void **state)
{
	set_mode(map, 0604);
	assert_int_equal(resolve_by(&state_other, STORE_MAP, "m", RESOLVE_READ), map->id);
	assert_int_equal(resolve_by(&state_other, STORE_MAP, "m", RESOLVE_USE), -EACCES);
	set_mode(map, 0606);
	assert_int_equal(resolve_by(&state_other, STORE_MAP, "m", RESOLVE_USE), map->id);
	set_mode(map, 0660);
	assert_int_equal(resolve_by(&state_other, STORE_MAP, "m", RESOLVE_READ), -EACCES);
	assert_int_equal(resolve_by(&state_me, STORE_MAP, "m", RESOLVE_USE), map->id);
}

static void so_do_those_of_the_directories_on_the_way(void **state)
{
	set_mode(map, 0666);
	make_dir("mine", 0700);
	pin(map, "mine/pin");
	assert_int_equal(resolve_by(&state_other, STORE_MAP, "mine/pin", RESOLVE_READ), -EACCES);
	assert_return_code(fchmodat(tree.tree_fd, "mine", 0701, 0), errno);
	assert_int_equal(resolve_by(&state_other, STORE_MAP, "mine/pin", RESOLVE_READ), map->id);
	assert_return_code(fchmodat(tree.tree_fd, "maps/m", 0744, 0), errno);
	assert_int_equal(resolve_by(&state_other, STORE_MAP, "m", RESOLVE_READ), -EACCES);
}

static void relative_symlinks_are_followed_within_m(void **state)
{
	char name[8];

	make_dir("mine", 0755);
	make_dir("mine/sub", 0755);
	pin(map, "mine/pin");
	make_link("a", "mine/pin");
	make_link("b", "mine");
	make_link("mine/c", "sub/../pin"); /* ".." of a link's target, too */
	make_link("mine/d", "pin");
	make_link("out", "/etc/passwd");
	make_link("loop", "loop");
	assert_int_equal(resolve(STORE_MAP, "a"), map->id);
	assert_int_equal(resolve(STORE_MAP, "b/pin"), map->id);
	assert_int_equal(resolve(STORE_MAP, "b/d"), map->id);
	assert_int_equal(resolve(STORE_MAP, "mine/c"), -EINVAL);
	assert_int_equal(resolve(STORE_MAP, "out"), -ELOOP);
	assert_int_equal(resolve(STORE_MAP, "loop"), -ELOOP);
	/* Eight in a row, and no more. */
	make_link("l1", "mine/pin");
	for (u32 i = 2; i <= 9; i++) {
		char target[8];

		snprintf(name, sizeof(name), "l%u", i);
		snprintf(target, sizeof(target), "l%u", i - 1);
		make_link(name, target);
	}
	assert_int_equal(resolve(STORE_MAP, "l8"), map->id);
	assert_int_equal(resolve(STORE_MAP, "l9"), -ELOOP);
}

/* fs.protected_symlinks */
static void links_where_everybody_makes_names_are_their_makers(void **state)
{
	struct fs_cred third = state_other;

	set_mode(map, 0666);
	make_dir("all", 0755);
	assert_return_code(fchmodat(tree.tree_fd, "all", 01777, 0), errno);
	make_link("all/pin", "x"); /* by the directory's owner */
	pin(map, "all/x");
	assert_int_equal(resolve_by(&third, STORE_MAP, "all/pin", RESOLVE_READ), map->id);
	if (geteuid()) {
		print_message("only root makes names of somebody else\n");
		skip();
	}
	assert_return_code(fchownat(tree.tree_fd, "all/pin", 999, -1, AT_SYMLINK_NOFOLLOW), errno);
	assert_int_equal(resolve_by(&third, STORE_MAP, "all/pin", RESOLVE_READ), -ELOOP);
	third.uid = 999;
	assert_int_equal(resolve_by(&third, STORE_MAP, "all/pin", RESOLVE_READ), map->id);
	assert_return_code(fchmodat(tree.tree_fd, "all", 0777, 0), errno);
	assert_int_equal(resolve_by(&state_other, STORE_MAP, "all/pin", RESOLVE_READ), map->id);
}

static void a_place_has_names_of_its_own(void **state)
{
	make_dir("progs/v2", 0755);
	make_dir("progs/v2/maps", 0755);
	make_dir("progs/v2/maps/count", 0755);
	make_dir("progs/v2/q", 0755);
	pin(map, "progs/v2/maps/count/map");
	pin(prog, "progs/v2/q/prog");
	assert_int_equal(resolve(STORE_MAP, "v2/count"), map->id);
	assert_int_equal(resolve(STORE_PROG, "v2/q"), prog->id);
	assert_int_equal(resolve(STORE_MAP, "v2/q"), -ENOENT);
	assert_int_equal(resolve(STORE_MAP, "/v2/count"), -ENOENT);
	assert_int_equal(resolve(STORE_MAP, "v2/count/map"), -ENOENT);
}

static void a_broken_object_says_why(void **state)
{
	char path[32];

	snprintf(path, sizeof(path), "objects/%u", prog->id);
	store_put(prog);
	store_put(map);
	state_stop();
	state_write(path, "nonsense", 8);
	assert_int_equal(state_start(), 0);
	assert_int_equal(resolve(STORE_PROG, "p"), -EBADMSG);
	assert_true(resolve(STORE_MAP, "m") > 0);
	map = prog = NULL;
}

static void words_of_what_was_written(void **state)
{
	struct fs_req req = {.cred = state_me};
	struct store_object *obj;
	char name[PATH_MAX], text[PATH_MAX + 8];

	assert_int_equal(resolve_word(&req, STORE_MAP, "  ", 2, RESOLVE_READ, name, &obj),
			 TEXT_INCOMPLETE);
	assert_int_equal(resolve_word(&req, STORE_MAP, " m rest", 7, RESOLVE_READ, name, &obj),
			 TEXT_COMPLETE);
	assert_string_equal(name, "m");
	assert_ptr_equal(obj, map);
	store_put(obj);
	assert_int_equal(resolve_word(&req, STORE_MAP, "m\0x", 3, RESOLVE_READ, name, &obj),
			 -EINVAL);
	error_clear(&req.error);
	memset(text, 'a', sizeof(text));
	assert_int_equal(
		resolve_word(&req, STORE_MAP, text, sizeof(text), RESOLVE_READ, name, &obj),
		-ENAMETOOLONG);
	error_clear(&req.error);
}

static int parent_of(const struct fs_cred *cred, const char *path, const char *last)
{
	struct fs_req req = {.cred = *cred};
	char *name = NULL;
	int fd = resolve_parent(&req, path, &name);

	error_clear(&req.error);
	if (fd < 0)
		return fd;
	assert_string_equal(name, last);
	free(name);
	close(fd);
	return 0;
}

static void pins_go_where_one_may_make_names(void **state)
{
	static const char *const ours[] = {"progs/x",  "maps/x",   "/maps/x/y", "ids/x",
					   "cgroup/x", "events/x", "limits/x",	"maps"};
	char text[NAME_MAX + 8];

	make_dir("mine", 0755);
	state_write("tree/file", "", 0);
	assert_int_equal(parent_of(&state_me, "mine/pin", "pin"), 0);
	assert_int_equal(parent_of(&state_me, "pin", "pin"), 0);
	assert_int_equal(parent_of(&state_me, "mapsx", "mapsx"), 0);
	assert_int_equal(parent_of(&state_other, "mine/pin", "pin"), -EACCES);
	assert_return_code(fchmodat(tree.tree_fd, "mine", 0702, 0), errno);
	assert_int_equal(parent_of(&state_other, "mine/pin", "pin"), -EACCES); /* no search */
	assert_return_code(fchmodat(tree.tree_fd, "mine", 0703, 0), errno);
	assert_int_equal(parent_of(&state_other, "mine/pin", "pin"), 0);
	for (u32 i = 0; i < ARRAY_SIZE(ours); i++)
		assert_int_equal(parent_of(&state_me, ours[i], ""), -EPERM);
	assert_int_equal(parent_of(&state_me, "mine/", ""), -EINVAL);
	assert_int_equal(parent_of(&state_me, "mine/..", ""), -EINVAL);
	assert_int_equal(parent_of(&state_me, "mine/.hidden", ""), -EINVAL);
	assert_int_equal(parent_of(&state_me, "nothing/pin", ""), -ENOENT);
	assert_int_equal(parent_of(&state_me, "file/pin", ""), -ENOTDIR);
	memset(text, 'a', sizeof(text));
	text[NAME_MAX + 1] = 0;
	assert_int_equal(parent_of(&state_me, text, ""), -EINVAL);
}

/* fs.protected_hardlinks */
static void a_pin_asks_for_what_a_link_asks(void **state)
{
	struct fs_req me = {.cred = state_me}, other = {.cred = state_other};

	set_mode(map, 0);
	assert_int_equal(resolve_may_link(&me, map), 0);
	assert_int_equal(resolve_may_link(&other, map), -EPERM);
	error_clear(&other.error);
	set_mode(map, 0604);
	assert_int_equal(resolve_may_link(&other, map), -EPERM);
	error_clear(&other.error);
	set_mode(map, 0602);
	assert_int_equal(resolve_may_link(&other, map), -EPERM);
	error_clear(&other.error);
	set_mode(map, 0606);
	assert_int_equal(resolve_may_link(&other, map), 0);
	set_mode(map, 0600);
	other.cred.uid = 0;
	assert_int_equal(resolve_may_link(&other, map), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(names_ids_and_paths_lead_to_one_object),
		CASE(what_is_not_there_is_enoent),
		CASE(a_path_goes_down_only),
		CASE(long_texts_are_refused),
		CASE(the_other_kind_is_einval),
		CASE(the_objects_bits_count),
		CASE(so_do_those_of_the_directories_on_the_way),
		CASE(relative_symlinks_are_followed_within_m),
		CASE(links_where_everybody_makes_names_are_their_makers),
		CASE(a_place_has_names_of_its_own),
		CASE(a_broken_object_says_why),
		CASE(words_of_what_was_written),
		CASE(pins_go_where_one_may_make_names),
		CASE(a_pin_asks_for_what_a_link_asks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
