/*
 * test_state_place.c - fs/store/state/state_place.c: where the state is when nobody says, and what
 * is taken along
 *
 * Each case is a child with a user id of its own, so that nobody's state is met; for that it has to
 * be begun by root.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "fs/store/state/state_place.h"

static char home[32], old[64];
static uid_t uid;

static int begin(void **state)
{
	uid = 100000 + (uid_t)getpid();
	strcpy(home, "/tmp/ubpffs-home-XXXXXX");
	assert_non_null(mkdtemp(home));
	snprintf(old, sizeof(old), "/tmp/ubpffs-%u", uid);
	return !geteuid() && chown(home, uid, uid);
}

static int end(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s %s", home, old);
	return system(command);
}

/* In a child: 0 when fn() says so. */
static void run(int (*fn)(void))
{
	int status;
	pid_t pid;

	if (geteuid()) {
		print_message("only root takes another user's place\n");
		skip();
	}
	pid = fork();
	if (!pid) {
		int null = open("/dev/null", O_WRONLY);

		if (setresgid(uid, uid, uid) || setresuid(uid, uid, uid) || chdir("/"))
			_exit(100);
		unsetenv("XDG_STATE_HOME");
		unsetenv("XDG_RUNTIME_DIR");
		setenv("HOME", home, 1);
		dup2(null, STDERR_FILENO); /* what it says to people */
		_exit(fn());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0); /* else a line of the case */
}

/* A line is told by the exit status. */
#define CHECK(what)                                \
	do {                                       \
		if (!(what))                       \
			return __LINE__ % 250 + 1; \
	} while (0)

static struct error_record why;
static char *place;

static bool is(const char *dir, const char *rest)
{
	char path[128];

	snprintf(path, sizeof(path), "%s%s", dir, rest);
	return place && !strcmp(place, path);
}

static bool is_dir(const char *dir, const char *rest)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s%s", dir, rest);
	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

static int make_old(void)
{
	char path[128];
	int fd;

	if (mkdir(old, 0700))
		return -1;
	snprintf(path, sizeof(path), "%s/objects", old);
	if (mkdir(path, 0700))
		return -1;
	snprintf(path, sizeof(path), "%s/lock", old);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	return fd;
}

static int by_home(void)
{
	CHECK(!state_place(&place, &why));
	CHECK(is(home, "/.local/state/ubpffs"));
	CHECK(is_dir(home, "/.local/state"));
	CHECK(!is_dir(home, "/.local/state/ubpffs")); /* the server makes it */
	/* A relative one says nothing. */
	setenv("XDG_STATE_HOME", "state", 1);
	CHECK(!state_place(&place, &why));
	CHECK(is(home, "/.local/state/ubpffs"));
	return 0;
}

static int by_xdg(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/a/b", home);
	setenv("XDG_STATE_HOME", path, 1);
	CHECK(!state_place(&place, &why));
	CHECK(is(home, "/a/b/ubpffs"));
	CHECK(is_dir(home, "/a/b"));
	return 0;
}

static int an_old_state(void)
{
	CHECK(make_old() >= 0);
	CHECK(!state_place(&place, &why));
	CHECK(is(home, "/.local/state/ubpffs"));
	CHECK(is_dir(home, "/.local/state/ubpffs/objects"));
	CHECK(!is_dir(old, ""));
	/* What is there now is not replaced by another one. */
	CHECK(make_old() >= 0);
	CHECK(!state_place(&place, &why));
	CHECK(is_dir(old, "/objects"));
	return 0;
}

static int an_old_state_in_use(void)
{
	int fd = make_old();

	CHECK(fd >= 0 && !flock(fd, LOCK_EX));
	CHECK(state_place(&place, &why) == -EBUSY);
	CHECK(!place && strstr(error_why(&why, 0), "end that server first"));
	CHECK(is_dir(old, "/objects"));
	CHECK(!is_dir(home, "/.local/state/ubpffs"));
	return 0;
}

static int no_state(void)
{
	char path[128];

	CHECK(!mkdir(old, 0700));
	snprintf(path, sizeof(path), "%s/files", old);
	CHECK(!mkdir(path, 0700));
	CHECK(!state_place(&place, &why));
	CHECK(is_dir(old, "/files")); /* never a state: stays */
	CHECK(!is_dir(home, "/.local/state/ubpffs"));
	return 0;
}

static int no_home(void)
{
	setenv("HOME", "/proc/nothing", 1);
	CHECK(!state_place(&place, &why));
	CHECK(is(old, ""));
	CHECK(is_dir(old, ""));
	CHECK(!rmdir(old));
	setenv("XDG_STATE_HOME", "/usr", 1); /* there, and not ours */
	CHECK(!state_place(&place, &why));
	CHECK(is(old, ""));
	return 0;
}

static int nowhere(void)
{
	setenv("HOME", "/proc/nothing", 1);
	CHECK(!symlink(home, old)); /* as somebody else could have made it */
	CHECK(state_place(&place, &why) == -EACCES);
	CHECK(!place && strstr(error_why(&why, 0), "say -o state=DIR"));
	return 0;
}

/* What cannot be looked at may be a state: nobody begins another one. */
static int cannot_look(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/loop", home);
	CHECK(!symlink(path, path));
	setenv("XDG_RUNTIME_DIR", path, 1);
	CHECK(state_place(&place, &why) == -ELOOP);
	CHECK(!place && strstr(error_why(&why, 0), path));
	return 0;
}

static void what_cannot_be_looked_at_is_an_error(void **state)
{
	run(cannot_look);
}

static void below_the_home(void **state)
{
	run(by_home);
}

static void where_xdg_says(void **state)
{
	run(by_xdg);
}

static void an_old_state_is_taken_along_once(void **state)
{
	run(an_old_state);
}

static void a_state_in_use_is_not_moved(void **state)
{
	run(an_old_state_in_use);
}

static void what_is_no_state_stays(void **state)
{
	run(no_state);
}

static void without_a_home_in_tmp(void **state)
{
	run(no_home);
}

static void a_link_in_tmp_is_not_followed(void **state)
{
	run(nowhere);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(below_the_home),
		CASE(where_xdg_says),
		CASE(an_old_state_is_taken_along_once),
		CASE(a_state_in_use_is_not_moved),
		CASE(what_is_no_state_stays),
		CASE(without_a_home_in_tmp),
		CASE(a_link_in_tmp_is_not_followed),
		CASE(what_cannot_be_looked_at_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
