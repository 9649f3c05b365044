/*
 * test_perf_rings.c - records of several rings in the order of their time
 * (fs/sources/perf_rings.h)
 *
 * Each case is named by the letter of its guarantee. A ring is a file of two pages here, and the
 * test is the kernel.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <unistd.h>
#include "fs/sources/perf_rings.h"

static struct perf_rings rings;

static int begin(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	memset(&rings, 0, sizeof(rings));
	for (u32 i = 0; i < 2; i++) {
		int fd = memfd_create("ring", MFD_CLOEXEC);

		if (fd < 0 || ftruncate(fd, (off_t)(2 * page)) || perf_rings_add(&rings, fd, 1))
			return -1;
		close(fd);
	}
	return 0;
}

static int end(void **state)
{
	perf_rings_free(&rings);
	return 0;
}

static void put(u32 ring, const void *data, size_t len)
{
	struct perf_ring *r = &rings.v[ring];

	for (size_t i = 0; i < len; i++)
		((u8 *)r->data)[(r->meta->data_head + i) % r->size] = ((const u8 *)data)[i];
	r->meta->data_head += len;
}

/* A record with `words` words before its time, which is said twice. */
static void record(u32 ring, u32 type, u32 words, u64 time)
{
	u64 raw[64] = {0};
	struct perf_event_header header = {.type = type, .size = (u16)((words + 2) * 8)};

	memcpy(raw, &header, 8);
	raw[words + 1] = raw[type == PERF_RECORD_SAMPLE ? 3 : words + 1] = time;
	put(ring, raw, (words + 2) * 8);
}

static void expect(u64 until, u64 time)
{
	struct perf_record rec;

	assert_int_equal(perf_rings_take(&rings, until, &rec), time != 0);
	if (time)
		assert_memory_equal(rec.body + rec.size - 8, &time, 8);
}

static void a_by_time(void **state)
{
	assert_false(perf_rings_look(&rings, 100));
	record(0, PERF_RECORD_SAMPLE, 5, 10);
	record(0, PERF_RECORD_COMM, 4, 30);
	record(0, PERF_RECORD_SAMPLE, 2, 50);
	record(1, PERF_RECORD_MMAP2, 9, 20);
	record(1, PERF_RECORD_SAMPLE, 8, 40);
	assert_false(perf_rings_look(&rings, 9));
	assert_true(perf_rings_look(&rings, 45));
	for (u64 time = 10; time <= 40; time += 10)
		expect(45, time);
	expect(45, 0); /* it may not be complete */
	assert_int_equal(rings.v[0].meta->data_tail, 7 * 8 + 6 * 8);
	record(1, PERF_RECORD_SAMPLE, 2, 48);
	expect(60, 50); /* what came later was not looked at */
	assert_true(perf_rings_look(&rings, 60));
	expect(60, 48);
	expect(60, 0);
	for (u32 i = 0; i < 2; i++)
		assert_int_equal(rings.v[i].meta->data_tail, rings.v[i].meta->data_head);
}

static void b_over_the_end(void **state)
{
	for (u64 time = 1; time < 2000; time++) {
		record(time % 2, time % 3 ? PERF_RECORD_SAMPLE : PERF_RECORD_FORK, 2 + time % 57,
		       time);
		assert_true(perf_rings_look(&rings, time));
		expect(time, time);
	}
	assert_int_equal(rings.bad, 0);
}

static void b_damaged(void **state)
{
	static const u16 sizes[] = {0, 4, 8, 12, 17, 24, 4096, 65528};

	for (u32 i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		u64 raw[4] = {0};
		struct perf_event_header header = {.type = PERF_RECORD_SAMPLE, .size = sizes[i]};

		memcpy(raw, &header, 8);
		put(0, raw, sizeof(raw));
		record(1, PERF_RECORD_COMM, 1, 5);
		assert_true(perf_rings_look(&rings, 10));
		assert_int_equal(rings.bad, i + 1);
		expect(10, 5);
		expect(10, 0);
		assert_int_equal(rings.v[0].meta->data_tail, rings.v[0].meta->data_head);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_by_time, begin, end),
		cmocka_unit_test_setup_teardown(b_over_the_end, begin, end),
		cmocka_unit_test_setup_teardown(b_damaged, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
