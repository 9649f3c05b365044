/*
 * test_mapped.c - fs/agent/service/stack/mapped.c: which of the files that a process names are
 * opened at all
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "fs/agent/service/stack/mapped.h"

static char dir[] = "/tmp/ubpffs-test-mapped-XXXXXX";

static const char *in(const char *name)
{
	static char path[2][128];
	static int n;

	n = !n;
	snprintf(path[n], sizeof(path[n]), "%s/%s", dir, name);
	return path[n];
}

static int begin(void **state)
{
	int fd;

	if (!mkdtemp(dir))
		return -1;
	fd = open(in("file"), O_WRONLY | O_CREAT, 0600);
	if (fd < 0 || write(fd, "text", 4) != 4)
		return -1;
	close(fd);
	return symlink("file", in("link")) || symlink("/proc/self/status", in("status")) ||
	       symlink("/proc", in("proc")) || mkfifo(in("fifo"), 0600);
}

static int end(void **state)
{
	static const char *const names[] = {"file", "link", "status", "proc", "fifo"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(in(names[i]));
	return rmdir(dir);
}

static void closes(int fd)
{
	assert_return_code(fd, -fd);
	close(fd);
}

static void a_file_is_opened(void **state)
{
	int proc = mapped_proc(getpid());

	assert_return_code(proc, -proc);
	closes(mapped_open(proc, in("file")));
	closes(mapped_open(-1, in("file")));
	closes(mapped_open(proc, in("link")));
	closes(mapped_open_no_link(proc, in("file")));
	assert_int_equal(mapped_open_no_link(proc, in("link")), -EINVAL);
	assert_int_equal(mapped_open(proc, in("fifo")), -EINVAL);
	assert_int_equal(mapped_open(proc, dir), -EINVAL);
	assert_int_equal(mapped_open(proc, in("none")), -ENOENT);
	close(proc);
}

/* Their reads may take something away, or wait for ever: /proc/kmsg, trace_pipe. */
static void none_that_the_kernel_makes(void **state)
{
	int proc = mapped_proc(getpid());

	assert_int_equal(mapped_open(proc, "/proc/self/status"), -EACCES);
	assert_int_equal(mapped_open(-1, "/proc/version"), -EACCES);
	assert_int_equal(mapped_open(proc, in("status")), -EACCES);
	assert_int_equal(mapped_open(proc, in("proc/version")), -EACCES);
	assert_int_equal(mapped_open_no_link(proc, in("status")), -EINVAL);
	if (!access("/sys/devices/system/cpu/possible", R_OK))
		assert_int_equal(mapped_open(-1, "/sys/devices/system/cpu/possible"), -EACCES);
	close(proc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_opened),
		cmocka_unit_test(none_that_the_kernel_makes),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
