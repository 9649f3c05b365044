/*
 * test_publish.c - fs/store/names/publish.c: names appear together or not at all, also after a
 * crash
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <cmocka.h>
#include "fs/node/node.h"
#include "fs/store/names/publish.h"
#include "fs/store/state/dirs/list.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_open.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/create.h"

static char dir[] = "/tmp/ubpffs-test-XXXXXX";
static struct fs_cred me;
static struct fs_node *root;
static struct store_object *obj;
static struct bpf_map *map;

static const struct fs_node_ops dir_ops = {.name = "directory", .type = S_IFDIR};

static int begin(void **state)
{
	struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_ARRAY,
				    .key_size = 4,
				    .value_size = 8,
				    .max_entries = 2,
				    .name = "m"};
	struct error_record why = {0};

	assert_non_null(mkdtemp(dir));
	assert_int_equal(tree_open(dir, "/m", &why), 0);
	assert_int_equal(fs_node_root(&dir_ops, &root), 0);
	me = (struct fs_cred){.uid = geteuid(), .gid = getegid(), .pid = getpid()};
	assert_int_equal(store_map_create(&spec, &me, 0600, &map, NULL), 0);
	assert_int_equal(store_by_id(STORE_MAP, map->id, &obj), 0);
	return 0;
}

static int end(void **state)
{
	char command[64];

	fs_node_unpin();
	tree_close();
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

/* Is the map's link in the directory of this name? */
static bool is_there(const char *name)
{
	struct stat there, object;
	char path[64];

	snprintf(path, sizeof(path), "maps/%s/map", name);
	if (fstatat(tree.tree_fd, path, &there, 0) < 0) {
		assert_int_equal(errno, ENOENT);
		return false;
	}
	snprintf(path, sizeof(path), "%u", map->id);
	assert_return_code(fstatat(tree.objects_fd, path, &object, 0), errno);
	assert_int_equal(there.st_ino, object.st_ino);
	return true;
}

static void assert_nothing_left(void)
{
	struct tree_names names = {0};

	assert_int_equal(tree_list(tree.pending_fd, true, &names), 0);
	assert_int_equal(names.n, 0);
	tree_names_free(&names);
}

static struct publish *with_names(const char *first, const char *second)
{
	struct publish *pub;

	assert_int_equal(publish_begin(&me, 022, "progs", "maps", &pub, NULL), 0);
	assert_int_equal(publish_add(pub, obj, first, NULL, NULL), 0);
	assert_int_equal(publish_add(pub, obj, second, NULL, NULL), 0);
	return pub;
}

static void names_appear_at_the_commit(void **state)
{
	struct publish *pub = with_names("a", "b");

	assert_false(is_there("a"));
	assert_int_equal(publish_commit(pub, NULL), 0);
	publish_end(pub);
	assert_true(is_there("a"));
	assert_true(is_there("b"));
	assert_nothing_left();
}

static void a_taken_name_leaves_none(void **state)
{
	struct publish *pub = with_names("c", "a");
	struct error_record why = {0};

	assert_int_equal(publish_commit(pub, &why), -EEXIST);
	assert_int_equal(why.err, EEXIST);
	assert_non_null(strstr(error_why(&why, EEXIST), "the name a is taken"));
	error_clear(&why);
	publish_end(pub);
	assert_false(is_there("c"));
	assert_true(is_there("a"));
	assert_nothing_left();
}

static void what_is_not_committed_goes(void **state)
{
	publish_end(with_names("c", "d"));
	assert_false(is_there("c"));
	assert_nothing_left();
}

static void a_start_takes_back_what_a_crash_left(void **state)
{
	struct publish *pub;
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		if (!publish_begin(&me, 022, "progs", "maps", &pub, NULL) &&
		    !publish_add(pub, obj, "c", NULL, NULL) &&
		    !publish_add(pub, obj, "d", NULL, NULL))
			_exit(0);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(publish_recover(), 0);
	assert_nothing_left();
	assert_false(is_there("c"));
	assert_true(is_there("a"));
}

/*
 * What is no load's does not keep the server from starting, and stays; a load's that cannot be
 * rolled back does.
 */
static void a_start_leaves_what_is_no_load(void **state)
{
	struct tree_names names;
	int fd;

	assert_return_code(mkdirat(tree.pending_fd, "90", 0700), errno);
	assert_return_code(mkdirat(tree.pending_fd, "90/0", 0700), errno);
	assert_int_equal(tree_write_small(tree.pending_fd, "91", "file", 4, NULL), 0);
	assert_return_code(symlinkat("90", tree.pending_fd, "92"), errno);
	fd = openat(tree.pending_fd, "90", O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(tree_write_small(fd, "foreign", "", 0, NULL), 0);
	assert_int_equal(publish_recover(), 0);
	assert_int_equal(tree_list(tree.pending_fd, true, &names), 0);
	assert_int_equal(names.n, 3);
	tree_names_free(&names);
	assert_int_equal(tree_has(fd, "0"), 0); /* that could be a load's */
	assert_int_equal(tree_has(fd, "foreign"), 1);
	assert_return_code(mkdirat(fd, "manifest", 0700), errno);
	assert_int_equal(publish_recover(), -EBADMSG);
	assert_return_code(unlinkat(fd, "manifest", AT_REMOVEDIR), errno);
	assert_return_code(unlinkat(fd, "foreign", 0), errno);
	assert_return_code(unlinkat(tree.pending_fd, "91", 0), errno);
	assert_return_code(unlinkat(tree.pending_fd, "92", 0), errno);
	assert_int_equal(publish_recover(), 0);
	assert_nothing_left();
	close(fd);
}

/* A manifest that is torn or lies: what it does not name exactly is not taken back. */
static void a_start_takes_back_only_the_loads_own(void **state)
{
	char manifest[256];
	struct publish *pub;
	int fd;

	publish_end(with_names("k", "l")); /* a number of its own */
	pub = with_names("k", "l");
	assert_int_equal(publish_commit(pub, NULL), 0);
	publish_end(pub);
	assert_return_code(mkdirat(tree.pending_fd, "95", 0700), errno);
	fd = openat(tree.pending_fd, "95", O_DIRECTORY | O_CLOEXEC);
	snprintf(manifest, sizeof(manifest),
		 "maps %u k\nmaps %u l\nmaps %u gone\nnowhere %u k\nmaps %u ..\nmaps", map->id + 1,
		 map->id, map->id, map->id, map->id);
	assert_int_equal(tree_write_small(fd, "manifest", manifest, strlen(manifest), NULL), 0);
	close(fd);
	assert_int_equal(publish_recover(), 0);
	assert_true(is_there("k")); /* another object's, it says */
	assert_false(is_there("l"));
	assert_nothing_left();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_appear_at_the_commit),
		cmocka_unit_test(a_taken_name_leaves_none),
		cmocka_unit_test(what_is_not_committed_goes),
		cmocka_unit_test(a_start_takes_back_what_a_crash_left),
		cmocka_unit_test(a_start_leaves_what_is_no_load),
		cmocka_unit_test(a_start_takes_back_only_the_loads_own),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
