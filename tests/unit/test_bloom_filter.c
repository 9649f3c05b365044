/*
 * test_bloom_filter.c - map/types/bloom_filter.c; guarantees by letter, and how often it is wrong
 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include "map/map.h"
#include "map/create.h"
#include "map/syscall.h"
#include "tests/lib/map_model.h"

static struct bpf_map *make(u32 value_size, u32 max_entries, u32 hashes, int fd)
{
	struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_BLOOM_FILTER,
				    .value_size = value_size,
				    .max_entries = max_entries,
				    .map_extra = hashes};
	struct bpf_map *map;

	assert_int_equal(bpf_map_create(&spec, 0, fd, -1, &map), 0);
	return map;
}

static void all_gone(struct bpf_map *map)
{
	bpf_map_put(map);
	bpf_rcu_barrier();
	assert_int_equal(bpf_map_live_count(), 0);
}

/* Values of any size: the number, then what follows from it. */
static void *value_of(u64 n, u32 size, u8 *value)
{
	for (u32 i = 0; i < size; i++)
		value[i] = (u8)(n >> (i % 8 * 8)) ^ (u8)(i / 8);
	return value;
}

#define FULL 20000

/* The textbook's rate for this many bits, and no more than a third above it. */
static double expected_rate(u32 max_entries, u32 hashes)
{
	double bits = 64;

	while (bits < (double)max_entries * hashes / 5 * 7)
		bits *= 2;
	return pow(1 - exp(-(double)hashes * max_entries / bits), hashes);
}

static void test_a_rates(void **state)
{
	static const u32 sizes[] = {1 + 2, 4, 8, 13, 40};
	u8 value[64];

	for (u32 hashes = 0; hashes <= 15; hashes += 3) {
		u32 size = sizes[hashes / 3 % ARRAY_SIZE(sizes)], wrong = 0;
		struct bpf_map *map = make(size, FULL, hashes, -1);
		double want = expected_rate(FULL, hashes ? hashes : 5), rate;

		for (u64 i = 0; i < FULL; i++)
			assert_int_equal(bpf_map_update(map, NULL, value_of(i, size, value), 0), 0);
		for (u64 i = 0; i < FULL; i++)
			assert_int_equal(bpf_map_lookup(map, NULL, value_of(i, size, value), 0), 0);
		for (u64 i = 0; i < 200000; i++)
			wrong += !bpf_map_lookup(map, NULL, value_of(i + 1000000, size, value), 0);
		rate = wrong / 200000.;
		print_message("%u hashes: %.5f wrong, %.5f expected\n", hashes, rate, want);
		assert_true(rate < want * 1.33 + 0.0002);
		all_gone(map);
	}
}

static void test_a_reopened(void **state)
{
	int fd = memfd_create("bloom", 0);
	struct bpf_map *map = make(8, 1000, 0, fd);
	struct bpf_map_stats stats;
	u64 absent = 0;

	for (u64 i = 0; i < 1000; i++)
		assert_int_equal(bpf_map_update(map, NULL, &i, 0), 0);
	bpf_map_put(map);
	bpf_rcu_barrier();
	assert_int_equal(bpf_map_open(fd, -1, &map), 0);
	for (u64 i = 0; i < 1000; i++)
		assert_int_equal(bpf_map_lookup(map, NULL, &i, 0), 0);
	for (u64 i = 5000; i < 6000; i++)
		absent += bpf_map_lookup(map, NULL, &i, 0) == -ENOENT;
	assert_true(absent > 900);
	bpf_map_stats_read(map, &stats);
	assert_int_equal(stats.entries, 1000);
	close(fd);
	all_gone(map);
}

static void test_errors(void **state)
{
	static const struct {
		u32 key_size, value_size, max_entries, flags, extra;
		int err;
	} rows[] = {
		{0, 4, 1, 0, 0, 0},
		{4, 4, 1, 0, 0, -EINVAL},
		{0, 0, 1, 0, 0, -EINVAL},
		{0, 4, 0, 0, 0, -EINVAL},
		{0, 4, 1, 0, 15, 0},
		{0, 4, 1, 0, 16, -EINVAL},
		{0, 4, 1, BPF_F_NO_PREALLOC, 0, -EINVAL},
		{0, 4, 1, BPF_F_ZERO_SEED, 0, 0},
	};
	struct bpf_map *map;
	u64 value = 1;

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_BLOOM_FILTER,
					    .key_size = rows[i].key_size,
					    .value_size = rows[i].value_size,
					    .max_entries = rows[i].max_entries,
					    .map_flags = rows[i].flags,
					    .map_extra = rows[i].extra};
		int err = bpf_map_create(&spec, 0, -1, -1, &map);

		assert_int_equal(err, rows[i].err);
		if (!err)
			bpf_map_put(map);
	}
	map = make(8, 10, 0, -1);
	assert_int_equal(bpf_map_lookup(map, NULL, &value, 0), -ENOENT);
	assert_int_equal(value, 1);
	assert_int_equal(bpf_map_update(map, NULL, &value, BPF_EXIST), -EINVAL);
	assert_int_equal(bpf_map_pop(map, &value, 0), -EOPNOTSUPP);
	assert_int_equal(bpf_map_delete(map, &value), -EOPNOTSUPP);
	assert_int_equal(bpf_map_next_key(map, NULL, &value), -EOPNOTSUPP);
	all_gone(map);
}

/* ---- B: threads push into the same words; each finds what either has told it of */

struct worker {
	struct bpf_map *map;
	u64 first;
	u64 told; /* pushed up to here */
	struct worker *other;
	bool bad;
};

static void *work(void *arg)
{
	struct worker *w = arg;

	for (u64 i = 0; i < 20000; i++) {
		u64 value = w->first + 2 * i, theirs;

		bpf_map_update(w->map, NULL, &value, 0);
		__atomic_store_n(&w->told, i + 1, __ATOMIC_RELEASE);
		theirs = __atomic_load_n(&w->other->told, __ATOMIC_ACQUIRE);
		if (theirs) {
			value = w->other->first + 2 * (theirs - 1);
			w->bad |= bpf_map_lookup(w->map, NULL, &value, 0) != 0;
		}
	}
	return NULL;
}

static void test_b_threads(void **state)
{
	struct bpf_map *map = make(8, 40000, 0, -1);
	struct worker a = {map, 0, 0, NULL, false}, b = {map, 1, 0, &a, false};
	pthread_t tid[2];

	a.other = &b;
	pthread_create(&tid[0], NULL, work, &a);
	pthread_create(&tid[1], NULL, work, &b);
	pthread_join(tid[0], NULL);
	pthread_join(tid[1], NULL);
	assert_false(a.bad || b.bad);
	for (u64 i = 0; i < 40000; i++)
		assert_int_equal(bpf_map_lookup(map, NULL, &i, 0), 0);
	all_gone(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_rates),
		cmocka_unit_test(test_a_reopened),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_b_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
