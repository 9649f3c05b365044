/*
 * test_watchdog.c - tests/lib/watchdog.c: who waits for ever is ended, who works is not
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/lib/emulator.h"
#include "tests/lib/watchdog.h"

/* Runs this program again: a child of fork() alone has no timer. */
static int status_of(const char *what, char *said, size_t size)
{
	int out[2], status;
	ssize_t n, len = 0;
	pid_t pid;

	assert_false(pipe(out));
	pid = fork();
	if (!pid) {
		dup2(out[1], STDERR_FILENO);
		close(out[0]);
		close(out[1]);
		execl("/proc/self/exe", "test_watchdog", what, (char *)NULL);
		_exit(9);
	}
	close(out[1]);
	while ((n = read(out[0], said + len, size - 1 - (size_t)len)) > 0)
		len += n;
	said[len] = 0;
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void test_who_waits_for_ever_is_ended(void **state)
{
	char said[4096];
	int status;

	NOT_UNDER_EMULATOR("exec of its own kind");
	status = status_of("wait", said, sizeof(said));

	/* By abort(); under a sanitizer it may be an exit with its report. */
	assert_true(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status)));
	assert_non_null(strstr(said, "a wake-up was lost"));
}

static void test_who_works_goes_on(void **state)
{
	char said[4096];
	int status;

	NOT_UNDER_EMULATOR("exec of its own kind");
	status = status_of("work", said, sizeof(said));

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static long long worked_ns(void)
{
	struct timespec used;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return used.tv_sec * 1000000000LL + used.tv_nsec;
}

/* Looks come to any thread, and leave nothing behind there. Here they go by work, not by time. */
static void *work(void *unused)
{
	for (int i = 0; i < 15; i++) {
		long long begun = worked_ns();

		while (worked_ns() - begun < 10000000)
			;
		errno = EXDEV;
		raise(SIGRTMAX);
		if (errno != EXDEV)
			_exit(1);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_waits_for_ever_is_ended),
		cmocka_unit_test(test_who_works_goes_on),
	};

	if (argc == 2 && !strcmp(argv[1], "work")) {
		pthread_t other;

		watchdog_every(0);
		if (pthread_create(&other, NULL, work, NULL))
			return 1;
		work(NULL);
		return pthread_join(other, NULL);
	}
	if (argc == 2) {
		watchdog_every(20);
		for (;;)
			pause();
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
