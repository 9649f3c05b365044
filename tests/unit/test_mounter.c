/*
 * test_mounter.c - fs/fuse/protocol/mounter.c: what it does without a mount, and how it ends
 *
 * Pipes stand for the device: only what poll(2) says of it matters.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "fs/fuse/protocol/mounter.h"

static int *taken; /* how often a mount was taken away; the mounter's memory, too */

static void take_away(const char *mountpoint)
{
	*taken += !strcmp(mountpoint, "/nowhere");
}

static void start(void)
{
	const struct mounter_job job = {
		.mountpoint = "/nowhere", .take_away = take_away, .adopted = true, .narrow = true};

	assert_int_equal(mounter_start(&job), 0);
}

/* The only child that there is. */
static pid_t child(void)
{
	char text[64] = "";
	FILE *f;
	int n;

	f = fopen("/proc/thread-self/children", "re");
	if (!f)
		return 0;
	n = fscanf(f, "%63s", text);
	fclose(f);
	return n == 1 ? atoi(text) : 0;
}

/* Only an error says that nobody is there: the device has requests, or none. */
static void an_aborted_connection_is_not_unmounted(void **state)
{
	int ends[2];

	start();
	assert_int_equal(pipe(ends), 0);
	close(ends[0]); /* a pipe without a reader: POLLERR */
	mounter_unmount(ends[1]);
	assert_int_equal(*taken, 0);
	close(ends[1]);
	assert_int_equal(pipe(ends), 0);
	close(ends[1]); /* one without a writer: POLLHUP alone */
	mounter_unmount(ends[0]);
	assert_int_equal(*taken, 1);
	close(ends[0]);
	mounter_unmount(-1);
	assert_int_equal(*taken, 1);
	mounter_stop();
}

static void what_the_kernel_says_comes_back(void **state)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	start();
	assert_int_equal(mounter_backing_open(null, null), -ENOTTY);
	assert_int_equal(mounter_backing_open(-1, null), -EBADF);
	mounter_backing_close(null, 7);
	assert_int_equal(mounter_mount(), -EBUSY); /* there is one */
	assert_int_equal(mounter_backing_open(null, null), -ENOTTY);
	mounter_stop();
	close(null);
}

/* Copies of what it was sent would keep files, and the mount of a server that was killed. */
static void it_keeps_no_descriptor(void **state)
{
	int ends[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char byte;

	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	start();
	assert_int_equal(mounter_backing_open(ends[1], ends[1]), -ENOTTY);
	assert_int_equal(mounter_backing_open(null, null), -ENOTTY); /* that is over */
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 0);
	mounter_stop();
	close(ends[0]);
	close(null);
}

static void it_owns_links_only(void **state)
{
	char path[] = "/tmp/ubpffs-test-mounter-XXXXXX";
	int file = mkstemp(path), link;
	struct stat st;

	assert_true(file >= 0);
	start();
	assert_int_equal(mounter_own_link(file, getuid(), getgid()), -EPERM);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("nowhere", path), 0);
	link = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	assert_int_equal(mounter_own_link(link, geteuid() ? getuid() : 12345, getgid()), 0);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_uid, geteuid() ? getuid() : 12345);
	mounter_stop();
	unlink(path);
	close(link);
	close(file);
}

static void one_that_was_killed_is_an_error(void **state)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t pid;

	start();
	pid = child();
	if (!pid) {
		mounter_stop();
		close(null);
		print_message("this kernel lists no children\n");
		skip();
	}
	kill(pid, SIGKILL);
	waitid(P_PID, (id_t)pid, NULL, WEXITED | WNOWAIT);
	assert_int_equal(mounter_backing_open(null, null), -EIO);
	assert_int_equal(mounter_mount(), -EIO);
	mounter_unmount(null);
	mounter_stop();
	close(null);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_aborted_connection_is_not_unmounted),
		cmocka_unit_test(what_the_kernel_says_comes_back),
		cmocka_unit_test(it_keeps_no_descriptor),
		cmocka_unit_test(it_owns_links_only),
		cmocka_unit_test(one_that_was_killed_is_an_error),
	};

	taken = mmap(NULL, sizeof(*taken), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (taken == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
