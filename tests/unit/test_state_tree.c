/*
 * test_state_tree.c - fs/store/state/dirs/change.c and node.c: a name that changes keeps its node;
 * an error is no absence
 */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "fs/node/backing.h"
#include "fs/node/node.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/dirs/change.h"
#include "fs/store/state/dirs/list.h"
#include "fs/store/state/next_id.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_open.h"
#include "fs/store/state/state_tree.h"

static char dir[] = "/tmp/ubpffs-test-XXXXXX";
static struct fs_node *root;
static struct fs_cred me;

static const struct fs_node_ops dir_ops = {.name = "directory", .type = S_IFDIR};
static const struct fs_node_ops attr_ops = {.name = "attribute", .type = S_IFREG};
static const struct fs_node_ops fresh_ops = {.name = "fresh", .type = S_IFREG, .fresh = true};
static const struct fs_attr attrs[] = {{"first", 0444, &attr_ops, 0}, {"new", 0222, &fresh_ops, 0}};

static int begin(void **state)
{
	struct error_record why = {0};

	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(tree_open(dir, "/m", &why), -EACCES);
	assert_non_null(strstr(error_why(&why, 0), "must be yours alone"));
	error_clear(&why);
	tree_close();
	assert_int_equal(chmod(dir, 0700), 0);
	assert_int_equal(tree_open(dir, "/m", &why), 0);
	assert_int_equal(fs_node_root(&dir_ops, &root), 0);
	me = (struct fs_cred){.uid = geteuid(), .gid = getegid(), .pid = getpid()};
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

static struct fs_node *node_of(struct fs_node *parent, const char *name)
{
	struct fs_node *node;
	struct stat st;

	assert_return_code(fstatat(fs_node_fd(parent), name, &st, AT_SYMLINK_NOFOLLOW), errno);
	assert_int_equal(fs_node_tree(parent, name, st.st_ino, 0, &dir_ops, &node), 0);
	return node;
}

static void assert_path(struct fs_node *node, const char *expected)
{
	char path[256];

	assert_string_equal(fs_node_path(node, NULL, path, sizeof(path)), expected);
}

static void a_node_follows_its_name(void **state)
{
	struct fs_node *a, *b, *again;
	struct stat st;

	tree_wrlock();
	assert_int_equal(tree_mkdir(tree.tree_fd, "a", 0755, &me, NULL), 0);
	a = node_of(root, "a");
	assert_int_equal(tree_mkdir(fs_node_fd(a), "b", 0755, &me, NULL), 0);
	b = node_of(a, "b");
	again = node_of(a, "b");
	assert_ptr_equal(b, again);
	fs_node_put(again);
	assert_path(b, "a/b");
	fs_node_unpin();
	assert_int_equal(tree_rename(root, "a", root, "c", 0, NULL), 0);
	assert_path(b, "c/b");
	assert_int_equal(fs_node_pin(b), 0); /* found by its new name */
	fs_node_unpin();
	assert_int_equal(tree_rename(a, "b", root, "d", 0, NULL), 0);
	assert_path(b, "d");
	assert_int_equal(tree_rmdir(tree.tree_fd, "d", NULL), 0);
	assert_true(b->gone);
	assert_int_equal(fstatat(fs_node_fd(b), "", &st, AT_EMPTY_PATH),
			 0); /* empty, without links */
	assert_int_equal(st.st_nlink, 0);
	fs_node_unpin();
	assert_int_equal(tree_rmdir(tree.tree_fd, "c", NULL), 0);
	tree_unlock();
	fs_node_put(b);
	fs_node_put(a);
	assert_int_equal(fs_nodes_count(), 1);
}

static void attributes_share_a_node_and_fresh_ones_do_not(void **state)
{
	struct fs_node *a, *b;

	assert_int_equal(fs_node_attr(root, attrs, 0, &a), 0);
	assert_int_equal(fs_node_attr(root, attrs, 0, &b), 0);
	assert_ptr_equal(a, b);
	assert_ptr_equal(fs_node_base(a), root);
	fs_node_put_many(a, 2);
	assert_int_equal(fs_node_attr(root, attrs, 1, &a), 0);
	assert_int_equal(fs_node_attr(root, attrs, 1, &b), 0);
	assert_ptr_not_equal(a, b);
	assert_int_not_equal(a->id, b->id);
	fs_node_put(a);
	fs_node_put(b);
	assert_int_equal(fs_node_keyed(root, &attr_ops, "ab", 2, &a), 0);
	assert_int_equal(fs_node_keyed(root, &attr_ops, "ab", 2, &b), 0);
	assert_ptr_equal(a, b);
	fs_node_put_many(a, 1000); /* the kernel's word is not trusted */
	assert_int_equal(fs_nodes_count(), 1);
}

static void names_are_charged_to_their_owner(void **state)
{
	u64 before = limits_used(me.uid, LIMIT_NAMES);

	tree_wrlock();
	assert_int_equal(tree_mkdir(tree.tree_fd, "x", 0755, &me, NULL), 0);
	assert_int_equal(tree_symlink(tree.tree_fd, "y", "x", &me, NULL), 0);
	assert_int_equal(limits_used(me.uid, LIMIT_NAMES), before + 2);
	assert_int_equal(tree_mkdir(tree.tree_fd, "x", 0755, &me, NULL), -EEXIST);
	assert_int_equal(limits_used(me.uid, LIMIT_NAMES), before + 2);
	assert_int_equal(tree_unlink(tree.tree_fd, "y", NULL), 0);
	assert_int_equal(tree_rmdir(tree.tree_fd, "x", NULL), 0);
	tree_unlock();
	assert_int_equal(limits_used(me.uid, LIMIT_NAMES), before);
}

static void assert_why(struct error_record *why, int err, const char *sentence)
{
	assert_int_equal(why->err, err);
	assert_non_null(strstr(error_why(why, err), sentence));
	error_clear(why);
}

static void a_refused_change_says_why(void **state)
{
	struct error_record why = {0};

	tree_wrlock();
	assert_int_equal(tree_mkdir(tree.tree_fd, "x", 0755, &me, &why), 0);
	assert_int_equal(why.err, 0);
	assert_int_equal(tree_mkdir(tree.tree_fd, "x", 0755, &me, &why), -EEXIST);
	assert_why(&why, EEXIST, "x is there already: remove it");
	assert_int_equal(tree_symlink(tree.tree_fd, "x", "y", &me, &why), -EEXIST);
	assert_why(&why, EEXIST, "x is there already");
	assert_int_equal(tree_mkdir(tree.tree_fd, "x/y", 0755, &me, &why), -EINVAL);
	assert_why(&why, EINVAL, "\"x/y\" cannot be a name");
	assert_int_equal(mkdirat(tree.tree_fd, "x/y", 0700), 0);
	assert_int_equal(tree_rmdir(tree.tree_fd, "x", &why), -ENOTEMPTY);
	assert_why(&why, ENOTEMPTY, "x is not empty: remove what is in it first");
	assert_int_equal(unlinkat(tree.tree_fd, "x/y", AT_REMOVEDIR), 0);
	assert_int_equal(tree_rmdir(tree.tree_fd, "x", &why), 0);
	assert_int_equal(limits_set(me.uid, LIMIT_NAMES, limits_used(me.uid, LIMIT_NAMES)), 0);
	assert_int_equal(tree_mkdir(tree.tree_fd, "x", 0755, &me, &why), -EDQUOT);
	assert_why(&why, EDQUOT, "/names");
	limits_unset(me.uid, LIMIT_NAMES);
	assert_int_equal(tree_error(&why, ENOSPC, "x"), -ENOSPC);
	assert_why(&why, ENOSPC, tree.path);
	assert_int_equal(tree_error(&why, EMLINK, "x"), -EMLINK);
	assert_why(&why, EMLINK, "no more links");
	tree_unlock();
}

static void an_error_is_no_absence(void **state)
{
	assert_int_equal(tree_has(tree.dir_fd, "objects"), 1);
	assert_int_equal(tree_has(tree.dir_fd, "nothing"), 0);
	assert_int_equal(tree_has(-1, "objects"), -EBADF);
	assert_int_equal(mkfifoat(tree.dir_fd, "pipe", 0600), 0);
	assert_int_equal(tree_open_file(tree.dir_fd, "pipe", O_RDONLY),
			 -EBADMSG); /* and does not wait */
}

static void small_files_are_replaced_whole(void **state)
{
	struct tree_names names;
	char *text;

	assert_int_equal(tree_write_small(tree.pending_fd, ".b", "one", 3, NULL), 0);
	assert_int_equal(tree_write_small(tree.pending_fd, ".b", "second", 6, NULL), 0);
	assert_int_equal(tree_read_small(tree.pending_fd, ".b", &text), 6);
	assert_string_equal(text, "second");
	free(text);
	assert_int_equal(tree_read_small(tree.pending_fd, ".c", &text), -ENOENT);
	assert_null(text);
	assert_int_equal(tree_write_small(tree.pending_fd, "a", "", 0, NULL), 0);
	assert_int_equal(tree_list(tree.pending_fd, true, &names), 0);
	assert_int_equal(names.n, 2); /* no temporary file is left */
	assert_string_equal(names.v[0].name, ".b");
	assert_string_equal(names.v[1].name, "a");
	tree_names_free(&names);
	assert_int_equal(tree_list(tree.pending_fd, false, &names), 0);
	assert_int_equal(names.n, 1);
	tree_names_free(&names);
	assert_int_equal(tree_remove_hidden(tree.pending_fd, NULL), 0);
	assert_int_equal(tree_has(tree.pending_fd, ".b"), 0);
	assert_int_equal(tree_has(tree.pending_fd, "a"), 1);
}

static void names_that_may_be_made(void **state)
{
	char longest[NAME_MAX + 2];

	memset(longest, 'n', sizeof(longest));
	longest[NAME_MAX] = 0;
	assert_true(tree_name_ok(longest));
	longest[NAME_MAX] = 'n';
	longest[NAME_MAX + 1] = 0;
	assert_false(tree_name_ok(longest));
	assert_false(tree_name_ok(""));
	assert_false(tree_name_ok("."));
	assert_false(tree_name_ok(".."));
	assert_false(tree_name_ok("a/b"));
	assert_true(tree_name_ok("..."));
}

/* A damaged number is none, and a newer one is refused, also by who only asks. */
static void a_state_of_a_later_version_is_refused(void **state)
{
	static const struct {
		const char *text;
		int err;
	} rows[] = {{"1 1\n", 0}, {"3 3\n", -EPROTONOSUPPORT},
		    {"9 1\n", 0}, {"1 2\n", 0},
		    {"", 0},	  {"x", 0},
		    {"1", 0}};
	struct error_record why = {0};
	char again[] = "/tmp/ubpffs-test-XXXXXX";

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(tree_write_small(tree.dir_fd, "version", rows[i].text,
						  strlen(rows[i].text), NULL),
				 0);
		assert_int_equal(tree_check(dir, &why), rows[i].err);
		if (rows[i].err)
			assert_non_null(strstr(error_why(&why, 0), "of version 3"));
		error_clear(&why);
	}
	assert_int_equal(unlinkat(tree.dir_fd, "version", 0), 0);
	assert_int_equal(tree_check(dir, &why), 0);
	assert_non_null(mkdtemp(again));
	assert_int_equal(rmdir(again), 0);
	assert_int_equal(tree_check(again, &why), -ENOENT);
	error_clear(&why);
}

static void reopen_with(const u64 *words)
{
	struct error_record why = {0};
	char path[64];
	int fd;

	fs_node_unpin();
	tree_close();
	snprintf(path, sizeof(path), "%s/next_id", dir);
	fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, words, ID_WORDS * sizeof(*words), 0),
			 ID_WORDS * sizeof(*words));
	close(fd);
	assert_int_equal(tree_open(dir, "/m", &why), 0);
}

/* Slots may name objects of then that are gone, and must not come to name others. */
static void ids_of_before_a_power_loss_are_not_given_again(void **state)
{
	u64 words[ID_WORDS] = {
		[ID_NEXT] = 5, [ID_RESERVED] = 2000, [ID_BOOT] = tree.next_id[ID_BOOT]};

	reopen_with(words); /* a server that was killed: the page is as it left it */
	assert_int_equal(tree.next_id[ID_NEXT], 5);
	words[ID_BOOT] ^= 1;
	reopen_with(words);
	assert_int_equal(tree.next_id[ID_NEXT], 2000);
	assert_int_equal(tree.next_id[ID_BOOT], words[ID_BOOT] ^ 1);

	tree_reserve_id(3000);
	assert_int_equal(tree.next_id[ID_RESERVED], 2000); /* nothing is promised */
	assert_int_equal(durable_start(DURABLE_CLOSE, tree.dir_fd), 0);
	tree_reserve_id(3000);
	assert_true(tree.next_id[ID_RESERVED] > 3000);
	assert_int_equal(durable_start(DURABLE_NONE, tree.dir_fd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_node_follows_its_name),
		cmocka_unit_test(attributes_share_a_node_and_fresh_ones_do_not),
		cmocka_unit_test(names_are_charged_to_their_owner),
		cmocka_unit_test(a_refused_change_says_why),
		cmocka_unit_test(an_error_is_no_absence),
		cmocka_unit_test(small_files_are_replaced_whole),
		cmocka_unit_test(names_that_may_be_made),
		cmocka_unit_test(a_state_of_a_later_version_is_refused),
		cmocka_unit_test(ids_of_before_a_power_loss_are_not_given_again),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
