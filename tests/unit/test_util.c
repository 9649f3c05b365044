/*
 * test_util.c - engine/util: lists of CPUs, writing everything, hexadecimal digits, the clock
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "util/clock.h"
#include "util/cpu_list.h"
#include "util/hex.h"
#include "util/write_all.h"

static void test_cpu_list(void **state)
{
	static const struct {
		const char *list;
		int count;
	} rows[] = {
		{"0", 1},
		{"0\n", 1},
		{"0-3\n", 4},
		{"0-3,8-11\n", 12},
		{"0,2,4", 5},
		{"8-11,0-3", 12},
		{"5,5", 6},
		{"0-0", 1},
		{"", -EINVAL},
		{"\n", -EINVAL},
		{"a", -EINVAL},
		{"3-1", -EINVAL},
		{"0-", -EINVAL},
		{"0,", -EINVAL},
		{"0,\n", -EINVAL},
		{"-1", -EINVAL},
		{"0 1", -EINVAL},
		{"0-3x", -EINVAL},
		{"0\n1", -EINVAL},
		{"99999999999999999999", -EINVAL},
		{"1048575", 1048576},
		{"1048576", -EINVAL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(cpu_list_count(rows[i].list), rows[i].count);
}

static void test_cpus_that_may_be_here_are_at_least_those_that_are(void **state)
{
	FILE *f = fopen("/sys/devices/system/cpu/possible", "re");
	char list[4096];

	assert_true(cpu_possible_count() >= sysconf(_SC_NPROCESSORS_ONLN));
	if (f && fgets(list, sizeof(list), f))
		assert_int_equal(cpu_possible_count(), cpu_list_count(list));
	if (f)
		fclose(f);
}

#define LOTS 1000000

static void *drain(void *arg)
{
	const int fd = *(int *)arg;
	static char buf[LOTS + 1];
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, buf + len, sizeof(buf) - len)) > 0)
		len += (size_t)n;
	for (size_t i = 0; i < len; i++)
		assert_int_equal((unsigned char)buf[i], (unsigned char)(i * 7));
	return (void *)len;
}

/*
 * A pipe whose writer does not wait takes what it has room for: the rest is the caller's to know.
 */
static void test_write_all(void **state)
{
	static char data[LOTS];
	pthread_t thread;
	int fds[2];
	void *len;

	for (size_t i = 0; i < LOTS; i++)
		data[i] = (char)(i * 7);
	assert_false(pipe(fds));
	assert_false(pthread_create(&thread, NULL, drain, &fds[0]));
	assert_int_equal(write_all(fds[1], data, LOTS), 0);
	assert_int_equal(write_all(fds[1], data, 0), 0);
	close(fds[1]);
	assert_false(pthread_join(thread, &len));
	assert_int_equal((size_t)len, LOTS);
	assert_int_equal(write_all(fds[0], data, 1), -EBADF);
	close(fds[0]);
}

static void test_pwrite_all(void **state)
{
	char name[] = "/tmp/ubpffs-util-XXXXXX", back[8] = "";
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	unlink(name);
	assert_int_equal(pwrite_all(fd, "cd", 2, 2), 0);
	assert_int_equal(pwrite_all(fd, "ab", 2, 0), 0);
	assert_int_equal(pread(fd, back, sizeof(back), 0), 4);
	assert_string_equal(back, "abcd");
	assert_int_equal(pwrite_all(fd, "x", 1, -5), -EINVAL);
	close(fd);
}

static void test_hex(void **state)
{
	char buf[8] = "zzzzzzz";

	assert_ptr_equal(hex_byte(hex_byte(buf, 0x0f), 0xa0), buf + 4);
	assert_memory_equal(buf, "0fa0zzz", 8);
}

static void test_clock(void **state)
{
	uint64_t before = monotonic_ns();
	struct timespec then = clock_after(CLOCK_MONOTONIC, 1999999999);

	assert_true(monotonic_ns() >= before);
	assert_true(then.tv_nsec < 1000000000);
	assert_true((uint64_t)then.tv_sec * 1000000000 + (uint64_t)then.tv_nsec >=
		    before + 1999999999);
	assert_true(monotonic_ms() >= before / 1000000);
	assert_int_equal(clock_ns((clockid_t)12345), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cpu_list),
		cmocka_unit_test(test_cpus_that_may_be_here_are_at_least_those_that_are),
		cmocka_unit_test(test_write_all),
		cmocka_unit_test(test_pwrite_all),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
