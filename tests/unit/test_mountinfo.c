/*
 * test_mountinfo.c - fs/lib/mountinfo.c: a mount point of any name, in a namespace of our own
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "fs/lib/mountinfo.h"

static char top[] = "/tmp/ubpffs-mountinfo-XXXXXX";

struct look {
	const char *dir;
	int found;
	char type[32], root[32];
};

static void note(void *arg, const char *root, const char *dir, const char *type)
{
	struct look *look = arg;

	if (strcmp(dir, look->dir))
		return;
	look->found++;
	snprintf(look->type, sizeof(look->type), "%s", type);
	snprintf(look->root, sizeof(look->root), "%s", root);
}

static void a_name_is_given_as_it_is(void **state)
{
	static const char *const names[] = {"plain",	 "with blank",	"tab\there",
					    "line\nend", "back\\slash", "\\040"};
	char dir[128];

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) {
		print_message("no namespaces here: %s\n", strerror(errno));
		skip();
	}
	assert_non_null(mkdtemp(top));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct look look = {.dir = dir};

		snprintf(dir, sizeof(dir), "%s/%s", top, names[i]);
		assert_return_code(mkdir(dir, 0700), errno);
		assert_int_equal(mountinfo_each(note, &look), 0);
		assert_int_equal(look.found, 0);
		assert_return_code(mount("none", dir, "tmpfs", 0, NULL), errno);
		assert_int_equal(mountinfo_each(note, &look), 0);
		assert_int_equal(look.found, 1);
		assert_string_equal(look.type, "tmpfs");
		assert_string_equal(look.root, "/");
		assert_return_code(umount(dir), errno);
		assert_return_code(rmdir(dir), errno);
	}
	assert_return_code(rmdir(top), errno);
}

/* Where there is no /proc: an error, which is not a machine without mounts. */
static void what_cannot_be_read_is_an_error(void **state)
{
	struct look look = {.dir = "/proc"};

	if ((unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 && unshare(CLONE_NEWNS) < 0) ||
	    mount("none", "/proc", "tmpfs", 0, NULL) < 0) {
		print_message("no namespaces here: %s\n", strerror(errno));
		skip();
	}
	errno = EBUSY; /* of something before */
	assert_int_equal(mountinfo_each(note, &look), -ENOENT);
	assert_int_equal(look.found, 0);
	umount("/proc");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_given_as_it_is),
		cmocka_unit_test(what_cannot_be_read_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
