/*
 * test_sandbox.c - fs/sandbox: what a process may not do any more, and how it is told
 *
 * Each case is a process, which ends with what it found.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "fs/sandbox/caps.h"
#include "fs/sandbox/descriptors.h"
#include "fs/sandbox/files.h"
#include "fs/sandbox/filter.h"

#define NONE_HERE 77 /* this kernel, or an emulator, has none */

/* Its exit status; what it says on stderr. */
static int in_process(int (*fn)(void), char *said, size_t size)
{
	int ends[2], status;
	ssize_t n, got = 0;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		dup2(ends[1], STDERR_FILENO);
		_exit(fn());
	}
	close(ends[1]);
	while (got < (ssize_t)size - 1 && (n = read(ends[0], said + got, size - 1 - got)) > 0)
		got += n;
	said[got] = 0;
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NONE_HERE) {
		print_message("this kernel, or an emulator of it, does not have what is tried\n");
		skip();
	}
	return WEXITSTATUS(status);
}

static const struct filter_rule rules[] = {
	ALLOW(write),
	ALLOW_IF(prctl, ARG_IS(0, PR_GET_NAME)),
	ABSENT(clone3),
};

static int enter(void)
{
	const struct filter_list own = FILTER_LIST(rules);
	const struct filter_list *const lists[] = {&filter_common, &own};

	return filter_enter(lists, 2);
}

#define EXPECT(cond)              \
	do {                      \
		if (!(cond))      \
			return 1; \
	} while (0)

static int make_calls(void)
{
	char name[16];

	if (enter())
		return NONE_HERE;
	EXPECT(!prctl(PR_GET_NAME, name));
	EXPECT(prctl(PR_SET_NAME, "x") == -1 && errno == EPERM);
	EXPECT(getcwd(name, sizeof(name)) == NULL && errno == ENOSYS);
	EXPECT(getcwd(name, sizeof(name)) == NULL && errno == ENOSYS);
	EXPECT(syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS);
	EXPECT(syscall(100000) == -1 && errno == ENOSYS);
	EXPECT(fork() == -1);
	return 0;
}

/* Each refused call is said once, but for those that libc is known to ask for. */
static void calls_are_refused(void **state)
{
	char said[4096], *first;

	assert_int_equal(in_process(make_calls, said, sizeof(said)), 0);
	first = strstr(said, "(getcwd) is refused;");
	assert_non_null(first);
	assert_null(strstr(first + 2, "getcwd"));
	assert_non_null(strstr(said, "(prctl) is refused with these arguments;"));
	assert_non_null(strstr(said, "100000 (?)"));
	assert_null(strstr(said, "clone3"));
}

static int make_memory(void)
{
	void *page;

	if (enter())
		return NONE_HERE;
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(page != MAP_FAILED);
	EXPECT(mprotect(page, 4096, PROT_WRITE | PROT_EXEC) == -1 && errno == EPERM);
	EXPECT(!mprotect(page, 4096, PROT_READ | PROT_EXEC));
	EXPECT(mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0) == MAP_FAILED);
	return 0;
}

static void no_memory_is_written_and_executed(void **state)
{
	char said[4096];

	assert_int_equal(in_process(make_memory, said, sizeof(said)), 0);
}

static char dir[] = "/tmp/ubpffs-test-sandbox-XXXXXX";

static int open_in(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600), err = errno;

	if (fd >= 0)
		close(fd);
	return fd < 0 ? err : 0;
}

static int use_files(void)
{
	char made[64], other[64];
	struct files files;

	snprintf(made, sizeof(made), "%s/file", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
	if (files_begin(&files) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return NONE_HERE;
	EXPECT(!files_allow(&files, dir, FILES_ALL));
	EXPECT(!files_allow(&files, "/proc", FILES_READ));
	EXPECT(!files_allow(&files, "/no/such/path", FILES_READ));
	EXPECT(!files_allow(&files, "/dev/null", FILES_WRITE));
	EXPECT(!files_enter(&files));
	EXPECT(!open_in(made, O_WRONLY | O_CREAT));
	EXPECT(!link(made, other) && !unlink(other) && !rename(made, other) && !unlink(other));
	EXPECT(mkfifo(made, 0600) == -1 && errno == EACCES);
	EXPECT(!open_in("/proc/self/status", O_RDONLY));
	EXPECT(open_in("/proc/self/comm", O_WRONLY) == EACCES);
	EXPECT(!open_in("/dev/null", O_RDWR));
	EXPECT(open_in("/etc/passwd", O_RDONLY) == EACCES);
	EXPECT(open_in("/", O_RDONLY | O_DIRECTORY) == EACCES);
	return 0;
}

static void files_elsewhere_are_not_opened(void **state)
{
	char said[4096];

	assert_int_equal(in_process(use_files, said, sizeof(said)), 0);
}

static int drop_all_but_one(void)
{
	if (caps_keep(CAP_BIT(CAP_CHOWN)))
		return NONE_HERE;
	EXPECT(prctl(PR_CAPBSET_READ, CAP_CHOWN, 0, 0, 0) == 1);
	EXPECT(prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) == 0);
	EXPECT(chroot("/") == -1 && errno == EPERM);
	return 0;
}

static void capabilities_go_for_good(void **state)
{
	char said[4096];

	if (geteuid() || prctl(PR_CAPBSET_READ, CAP_SETPCAP, 0, 0, 0) != 1) {
		print_message("only root has capabilities to give up\n");
		skip();
	}
	assert_int_equal(in_process(drop_all_but_one, said, sizeof(said)), 0);
}

static const struct filter_rule older_rules[] = {
	ALLOW(openat),
	ALLOW(dup2),
	ALLOW(dup3),
	ABSENT(close_range),
};

/* As on Linux 5.8. */
static int close_all(void)
{
	const struct filter_list own = FILTER_LIST(older_rules);
	const struct filter_list *const lists[] = {&filter_common, &own};
	int high;

	close(STDIN_FILENO);
	if (filter_enter(lists, 2))
		return NONE_HERE;
	EXPECT(null_to(STDIN_FILENO, STDOUT_FILENO) && !fcntl(STDIN_FILENO, F_GETFD));
	high = fcntl(STDIN_FILENO, F_DUPFD, 100);
	EXPECT(high >= 100);
	close_from(STDERR_FILENO + 1);
	EXPECT(fcntl(high, F_GETFD) < 0 && errno == EBADF);
	EXPECT(!fcntl(STDOUT_FILENO, F_GETFD) && !fcntl(STDERR_FILENO, F_GETFD));
	return 0;
}

static void nothing_else_stays_open(void **state)
{
	char said[64];

	assert_int_equal(in_process(close_all, said, sizeof(said)), 0);
	assert_string_equal(said, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_are_refused),
		cmocka_unit_test(no_memory_is_written_and_executed),
		cmocka_unit_test(files_elsewhere_are_not_opened),
		cmocka_unit_test(capabilities_go_for_good),
		cmocka_unit_test(nothing_else_stays_open),
	};
	int ret;

	if (!mkdtemp(dir))
		return 1;
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return ret;
}
