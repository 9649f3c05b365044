/*
 * test_fuse.c - fs/fuse/fuse.c: what an error becomes on its way to the kernel
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "fs/caller/limits.h"
#include "fs/fuse/fuse.h"
#include "fs/lib/error_log.h"
#include "fs/lib/metrics.h"
#include "fs/node/backing.h"
#include "fs/store/state/state_tree.h"
#include "tests/lib/state.h"

static struct fs_req req;

static int begin(void **state)
{
	int err = state_begin(state);

	req = (struct fs_req){.cred = state_me, .op = "write"};
	return err;
}

static int end(void **state)
{
	error_clear(&req.error);
	return state_end(state);
}

/* What M/log says of the last errors; it says each once. */
static bool told(const char *what)
{
	struct fs_text text = {0};
	static size_t seen;
	bool found;

	error_log_print(state_me.uid, &text);
	found = text.len > seen && strstr(text.buf + seen, what);
	seen = text.len;
	fs_text_free(&text);
	return found;
}

/*
 * The kernel drops answers beyond 511, and their callers would wait for ever; libfuse alters some
 * below.
 */
static void errors_are_ones_that_reach_the_caller(void **state)
{
	static const int cases[][2] = {
		{-EINVAL, EINVAL}, {EINVAL, EINVAL},  {-EHWPOISON, EHWPOISON},
		{-511, EIO},	   {-512, EIO},	      {-EHWPOISON - 1, EIO},
		{-600, EIO},	   {-524, EOPNOTSUPP}};
	u64 errors = fs_counted(errors);

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(fs_fuse_error(&req, cases[i][0]), cases[i][1]);
	assert_int_equal(fs_counted(errors), errors + ARRAY_SIZE(cases));
	assert_int_equal(fs_fuse_error(&req, 0), 0);
	assert_int_equal(fs_counted(errors), errors + ARRAY_SIZE(cases));
}

static void the_first_reason_stays_and_failures_only_are_told(void **state)
{
	told("");
	assert_int_equal(fs_fuse_error(&req, -ENOSPC), ENOSPC);
	assert_true(told(strerror(ENOSPC)));
	error_set(&req.error, EINVAL, "it is a test");
	assert_int_equal(fs_fuse_error(&req, -ENOSPC), ENOSPC);
	assert_true(told("it is a test"));
	/* Waiting and being interrupted are no failures; without an operation it is of nothing. */
	assert_int_equal(fs_fuse_error(&req, -EAGAIN), EAGAIN);
	assert_int_equal(fs_fuse_error(&req, -EINTR), EINTR);
	req.op = NULL;
	assert_int_equal(fs_fuse_error(&req, -ENOSPC), ENOSPC);
	assert_false(told("write"));
}

/* Who is at a limit is told which. */
static void a_limit_is_named(void **state)
{
	limits_set(state_me.uid, LIMIT_NAMES, 0);
	assert_int_equal(limits_charge(state_me.uid, LIMIT_NAMES, 1, &req.error), -EDQUOT);
	told("");
	assert_int_equal(fs_fuse_error(&req, -EDQUOT), EDQUOT);
	assert_true(told("names"));
	limits_unset(state_me.uid, LIMIT_NAMES);
}

/* A descriptor of -1 says nothing: why the node could not be opened does. */
static void a_node_that_cannot_be_opened_says_why(void **state)
{
	static const struct fs_node_ops ops = {.name = "directory", .type = S_IFDIR};
	struct fs_node *nodes[32];
	struct stat st;
	char name[16];
	u32 n;

	assert_int_equal(fs_fuse_error(&req, -EBADF), EBADF); /* of something else */
	for (n = 0; n < ARRAY_SIZE(nodes) && !fs_node_pin_error(); n++) {
		snprintf(name, sizeof(name), "d%u", n);
		assert_return_code(mkdirat(tree.tree_fd, name, 0700), errno);
		assert_return_code(fstatat(tree.tree_fd, name, &st, 0), errno);
		assert_int_equal(fs_node_tree(state_root, name, st.st_ino, 0, &ops, &nodes[n]), 0);
		fs_node_fd(nodes[n]);
	}
	assert_int_equal(fs_node_pin_error(), -EMFILE); /* of one request */
	assert_int_equal(fs_fuse_error(&req, -EBADF), EMFILE);
	assert_int_equal(fs_fuse_error(&req, -EINVAL), EINVAL);
	fs_node_unpin();
	assert_int_equal(fs_fuse_error(&req, -EBADF), EBADF);
	while (n--)
		fs_node_put(nodes[n]);
}

static int lost(struct error_record *why)
{
	return error_set(why, EIO, "the state is gone");
}

/* Where the state itself was taken away, what is not there is not just not there. */
static void absence_in_a_lost_state_is_a_failure(void **state)
{
	int (*before)(struct error_record * why) = fs_backing.lost;

	fs_backing.lost = lost;
	told("");
	req.op = NULL;
	assert_int_equal(fs_fuse_error(&req, -ENOENT), EIO);
	assert_true(told("lookup"));
	assert_int_equal(fs_fuse_error(&req, -ESTALE), EIO);
	assert_true(told("the state is gone"));
	assert_int_equal(fs_fuse_error(&req, -EACCES), EACCES);
	fs_backing.lost = before;
	assert_int_equal(fs_fuse_error(&req, -ENOENT), ENOENT);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(errors_are_ones_that_reach_the_caller),
		CASE(the_first_reason_stays_and_failures_only_are_told),
		CASE(a_limit_is_named),
		CASE(a_node_that_cannot_be_opened_says_why),
		CASE(absence_in_a_lost_state_is_a_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
