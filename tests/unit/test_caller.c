/*
 * test_caller.c - fs/caller/caller.c: which of the permission bits count, and the groups of a
 * process
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include "fs/caller/caller.h"

static const struct fs_groups *groups_of(gid_t gid)
{
	static union {
		struct fs_groups groups;
		char room[sizeof(struct fs_groups) + sizeof(gid_t)];
	} one;

	one.groups.nr = 1;
	one.groups.gid[0] = gid;
	return &one.groups;
}

static int check(uid_t uid, gid_t gid, gid_t more, mode_t mode, int mask)
{
	struct stat st = {.st_mode = S_IFREG | mode, .st_uid = 1001, .st_gid = 2001};
	struct fs_cred cred = {.uid = uid, .gid = gid, .groups = groups_of(more)};

	return perm_check(&cred, &st, mask);
}

static void one_class_counts_and_no_other(void **state)
{
	assert_int_equal(check(1001, 1, 1, 0600, R_OK | W_OK), 0);
	assert_int_equal(check(1001, 2001, 1, 0077, R_OK),
			 -EACCES); /* the owner's, though others may */
	assert_int_equal(check(1002, 2001, 1, 0040, R_OK), 0);
	assert_int_equal(check(1002, 1, 2001, 0040, R_OK), 0); /* supplementary */
	assert_int_equal(check(1002, 1, 2001, 0007, R_OK), -EACCES);
	assert_int_equal(check(1002, 1, 1, 0004, R_OK), 0);
	assert_int_equal(check(1002, 1, 1, 0004, R_OK | W_OK), -EACCES);
	assert_int_equal(check(0, 0, 1, 0, R_OK | W_OK), 0);
}

static void groups_come_from_the_process(void **state)
{
	struct fs_cred cred = {.uid = getuid(), .gid = (gid_t)-2, .pid = getpid()};
	int nr = getgroups(0, NULL);
	gid_t *own = calloc(nr + 1, sizeof(*own));
	struct fs_groups *groups = perm_groups(&cred);

	assert_non_null(own);
	assert_non_null(groups);
	nr = getgroups(nr, own);
	assert_int_equal(groups->nr, nr);
	for (int i = 0; i < nr; i++)
		assert_true(perm_in_group(&cred, own[i]));
	assert_false(perm_in_group(&cred, 4000000000u));
	free(groups);
	free(own);
}

static void no_process_is_no_group_and_the_usual_umask(void **state)
{
	struct fs_cred cred = {.uid = 1, .gid = 1, .pid = -1};
	struct fs_groups *groups = perm_groups(&cred);

	assert_non_null(groups);
	assert_int_equal(groups->nr, 0);
	free(groups);
	assert_int_equal(perm_umask(&cred), 022);
	cred.pid = getpid();
	umask(027);
	assert_int_equal(perm_umask(&cred), 027);
	umask(022);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_class_counts_and_no_other),
		cmocka_unit_test(groups_come_from_the_process),
		cmocka_unit_test(no_process_is_no_group_and_the_usual_umask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
