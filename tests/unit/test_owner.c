/*
 * test_owner.c - fs/store/owner.c: who gets a file is charged for it, or nothing has changed
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <cmocka.h>
#include "fs/caller/limits.h"
#include "fs/node/node.h"
#include "fs/store/owner.h"
#include "fs/store/state/dirs/change.h"
#include "fs/store/state/state_tree.h"
#include "tests/lib/state.h"

#define SOMEBODY 54321

static const struct fs_node_ops dir_ops = {.name = "directory", .type = S_IFDIR};
static const struct fs_node_ops file_ops = {.name = "object", .type = S_IFREG, .pin = true};

static struct fs_node *node_of(const char *name, u32 object, const struct fs_node_ops *ops)
{
	struct fs_node *node;
	struct stat st;

	tree_rdlock();
	assert_return_code(fstatat(tree.tree_fd, name, &st, AT_SYMLINK_NOFOLLOW), errno);
	assert_int_equal(fs_node_tree(state_root, name, st.st_ino, object, ops, &node), 0);
	tree_unlock();
	return node;
}

static void assert_owner(const char *path, uid_t uid, gid_t gid)
{
	struct stat st;

	assert_return_code(fstatat(tree.tree_fd, path, &st, AT_SYMLINK_NOFOLLOW), errno);
	assert_int_equal(st.st_uid, uid);
	assert_int_equal(st.st_gid, gid);
}

static bool is_root(void)
{
	if (!geteuid())
		return true;
	print_message("only root gives files away\n");
	return false;
}

static void a_directory_counts_for_its_new_owner(void **state)
{
	u64 mine, theirs = limits_used(SOMEBODY, LIMIT_NAMES);
	struct fs_node *node;

	if (!is_root())
		skip();
	tree_wrlock();
	assert_int_equal(tree_mkdir(tree.tree_fd, "d", 0755, &state_me, NULL), 0);
	assert_int_equal(tree_mkdir(tree.tree_fd, "e", 0755, &state_me, NULL), 0);
	assert_int_equal(tree_mkdir(tree.tree_fd, "f", 0755, &state_me, NULL), 0);
	tree_unlock();
	mine = limits_used(state_me.uid, LIMIT_NAMES);
	node = node_of("d", 0, &dir_ops);
	assert_int_equal(store_chown(node, SOMEBODY, 77, NULL), 0);
	assert_owner("d", SOMEBODY, 77);
	assert_int_equal(limits_used(SOMEBODY, LIMIT_NAMES), theirs + 1);
	assert_int_equal(limits_used(state_me.uid, LIMIT_NAMES), mine - 1);
	/* The same again, and the group alone, charge nobody. */
	assert_int_equal(store_chown(node, SOMEBODY, -1, NULL), 0);
	assert_int_equal(store_chown(node, -1, 78, NULL), 0);
	assert_owner("d", SOMEBODY, 78);
	assert_int_equal(limits_used(SOMEBODY, LIMIT_NAMES), theirs + 1);
	assert_int_equal(store_chown(node, state_me.uid, state_me.gid, NULL), 0);
	assert_int_equal(limits_used(SOMEBODY, LIMIT_NAMES), theirs);
	assert_int_equal(limits_used(state_me.uid, LIMIT_NAMES), mine);
	fs_node_put(node);
}

static void an_object_is_charged_with_all_that_it_is(void **state)
{
	struct store_object *obj = state_map("m");
	struct fs_node *node;
	u64 bytes = obj->bytes;

	if (!is_root()) {
		store_put(obj);
		skip();
	}
	node = node_of("maps/m/map", obj->id, &file_ops);
	assert_true(bytes > 0);
	assert_int_equal(store_chown(node, SOMEBODY, -1, NULL), 0);
	assert_owner("maps/m/map", SOMEBODY, state_me.gid);
	assert_int_equal(obj->owner, SOMEBODY);
	assert_int_equal(limits_used(SOMEBODY, LIMIT_OBJECTS), 1);
	assert_int_equal(limits_used(SOMEBODY, LIMIT_BYTES), bytes);
	assert_int_equal(limits_used(SOMEBODY, LIMIT_NAMES), 1);
	assert_int_equal(store_chown(node, state_me.uid, -1, NULL), 0);
	assert_int_equal(limits_used(SOMEBODY, LIMIT_OBJECTS), 0);
	assert_int_equal(limits_used(SOMEBODY, LIMIT_BYTES), 0);
	assert_int_equal(limits_used(SOMEBODY, LIMIT_NAMES), 0);
	fs_node_put(node);
	store_put(obj);
}

static void who_has_no_room_gets_nothing(void **state)
{
	struct store_object *obj = state_map("m");
	static const enum limit each[] = {LIMIT_OBJECTS, LIMIT_BYTES, LIMIT_NAMES};
	struct fs_node *file = node_of("maps/m/map", obj->id, &file_ops), *d;
	u64 mine = limits_used(state_me.uid, LIMIT_OBJECTS);

	tree_wrlock();
	assert_int_equal(tree_mkdir(tree.tree_fd, "d", 0755, &state_me, NULL), 0);
	tree_unlock();
	d = node_of("d", 0, &dir_ops);
	for (u32 i = 0; i < ARRAY_SIZE(each); i++) {
		assert_int_equal(limits_set(SOMEBODY, each[i], 0), 0);
		assert_int_equal(store_chown(file, SOMEBODY, -1, NULL), -EDQUOT);
		if (each[i] == LIMIT_NAMES)
			assert_int_equal(store_chown(d, SOMEBODY, -1, NULL), -EDQUOT);
		limits_unset(SOMEBODY, each[i]);
		for (u32 k = 0; k < ARRAY_SIZE(each); k++)
			assert_int_equal(limits_used(SOMEBODY, each[k]), 0);
	}
	assert_int_equal(limits_used(state_me.uid, LIMIT_OBJECTS), mine);
	assert_owner("maps/m/map", state_me.uid, state_me.gid);
	assert_owner("d", state_me.uid, state_me.gid);
	fs_node_put(d);
	fs_node_put(file);
	store_put(obj);
}

/* Who is not root gives nothing away: the charge goes back. */
static void what_the_filesystem_refuses_is_not_charged(void **state)
{
	struct fs_node *node;

	tree_wrlock();
	assert_int_equal(tree_mkdir(tree.tree_fd, "d", 0755, &state_me, NULL), 0);
	tree_unlock();
	node = node_of("d", 0, &dir_ops);
	assert_int_equal(fs_node_pin(node), 0);
	setfsuid(SOMEBODY); /* this thread, for files: no capability is left */
	assert_int_equal(store_chown(node, SOMEBODY, -1, NULL), -EPERM);
	setfsuid(geteuid());
	assert_owner("d", state_me.uid, state_me.gid);
	assert_int_equal(limits_used(SOMEBODY, LIMIT_NAMES), 0);
	fs_node_put(node);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, state_begin, state_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_directory_counts_for_its_new_owner),
		CASE(an_object_is_charged_with_all_that_it_is),
		CASE(who_has_no_room_gets_nothing),
		CASE(what_the_filesystem_refuses_is_not_charged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
