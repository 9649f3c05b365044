/*
 * test_shared.c - keeper/shared.c: which memory another program may go on with
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "fs/keeper/shared.h"

static struct shared *keepers;

static int begin(void **state)
{
	assert_int_equal(shared_map(), 0);
	keepers = shared;
	keepers->starts = 7;
	return 0;
}

static void test_the_same_version(void **state)
{
	assert_int_equal(shared_join(shared_fd()), 0);
	assert_ptr_not_equal(shared, keepers);
	assert_int_equal(shared->starts, 7);
	*(u64 *)shared_table(SHARED_NODES) = 42;
	shared = keepers;
	assert_int_equal(*(u64 *)shared_table(SHARED_NODES), 42);
}

static void refused_with(u32 *word)
{
	++*word;
	assert_int_equal(shared_join(shared_fd()), -EPROTO);
	--*word;
	assert_int_equal(shared_join(shared_fd()), 0);
}

static void test_another_version(void **state)
{
	refused_with(&keepers->version);
	for (u32 i = 0; i < SHARED_TABLES; i++) {
		refused_with(&keepers->sizes[i]);
		refused_with(&keepers->max[i]);
	}
	refused_with(&keepers->sizes[SHARED_TABLES]);
}

/* What a server forks runs as users, and reads what they wrote. */
static void test_not_for_children(void **state)
{
	int status;
	pid_t pid;

	assert_int_equal(shared_join(shared_fd()), 0);
	shared_for_us();
	pid = fork();
	if (!pid)
		_exit(!msync(shared, 1, MS_ASYNC) || errno != ENOMEM);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	shared = keepers;
}

/* What could be cut short while it is read, or is shorter, is not mapped. */
static void test_no_such_memory(void **state)
{
	int other = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	assert_return_code(other, errno);
	assert_int_equal(shared_join(-1), -EBADF);
	assert_int_equal(shared_join(null), -EBADF);
	assert_return_code(ftruncate(other, 1 << 20), errno);
	assert_int_equal(shared_join(other), -EBADF);
	assert_return_code(fcntl(other, F_ADD_SEALS, F_SEAL_SHRINK), errno);
	assert_int_equal(shared_join(other), -EPROTO);
	close(null);
	close(other);
}

/* Neither it nor another program by /proc makes it smaller, or opens it. */
static void test_it_is_sealed(void **state)
{
	char path[64];

	assert_int_equal(ftruncate(shared_fd(), 0), -1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", shared_fd());
	if (geteuid())
		assert_int_equal(open(path, O_RDWR | O_CLOEXEC), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_same_version), cmocka_unit_test(test_another_version),
		cmocka_unit_test(test_not_for_children), cmocka_unit_test(test_no_such_memory),
		cmocka_unit_test(test_it_is_sealed),
	};

	return cmocka_run_group_tests_name("shared", tests, begin, NULL);
}
