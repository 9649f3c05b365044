/*
 * test_lru_hash.c - lru_hash and lru_percpu_hash: what may be evicted, and how good the choice is
 *
 * Letters are those of map/hash/lru_list.h.
 *
 * The tests with threads run for 2 seconds each, or for STRESS_SECONDS (60, for the stress test of
 * a minute).
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "map/hash/hashtab.h"
#include "map/hash/lru_list.h"
#include "map/create.h"
#include "map/syscall.h"
#include "map/iter.h"
#include "tests/lib/lru_model.h"
#include "tests/lib/map_model.h"

static struct bpf_map *make(enum bpf_map_type type, u32 value_size, u32 max_entries, u32 flags)
{
	struct bpf_map_spec spec = {.map_type = type,
				    .key_size = 4,
				    .value_size = value_size,
				    .max_entries = max_entries,
				    .map_flags = flags};
	struct bpf_map *map;

	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
	return map;
}

static void drop(struct bpf_map *map)
{
	bpf_map_put(map);
	bpf_rcu_barrier();
	assert_int_equal(bpf_map_live_count(), 0);
}

static u64 evictions(struct bpf_map *map)
{
	struct bpf_map_stats stats;

	bpf_map_stats_read(map, &stats);
	return stats.evictions;
}

static u64 entries(struct bpf_map *map)
{
	struct bpf_map_stats stats;

	bpf_map_stats_read(map, &stats);
	return stats.entries;
}

/* Each node on exactly one list, all lists whole; counts right. With nobody else at work. */
static void check_lists(struct bpf_map *map)
{
	struct bpf_lru *lru = bpf_htab(map)->lru;
	u32 used = 0, fresh = 0, total = lru->first_node + lru->nr_nodes;
	bool *seen = calloc(total, 1);

	for (u32 head = 0; head < lru->first_node; head++) {
		u32 prev = head, n = lru->nodes[head].next;

		for (; n != head; prev = n, n = lru->nodes[n].next) {
			assert_in_range(n, lru->first_node, total - 1);
			assert_false(seen[n]);
			seen[n] = true;
			assert_int_equal(lru->nodes[n].prev, prev);
			used++;
		}
		assert_int_equal(lru->nodes[head].prev, prev);
	}
	for (u32 i = 0; i < (lru->percpu ? lru->nr_slots : 1); i++)
		fresh += bpf_lru_fresh(lru, i);
	assert_int_equal(used, fresh);
	free(seen);
}

static bool has(struct bpf_map *map, u32 key)
{
	u64 value[64];

	return !bpf_map_lookup(map, &key, value, 0);
}

/* N inserts into a map of N lose nothing, and so again after all are deleted. */
static void fill_without_loss(enum bpf_map_type type, u32 max_entries, bool in_program)
{
	struct bpf_map *map = make(type, 8, max_entries, 0);
	u64 value[BPF_MAX_SLOTS] = {0};

	for (u32 round = 0; round < 3; round++) {
		for (u32 key = 0; key < max_entries; key++) {
			if (in_program) /* other slots' stocks, too */
				bpf_run_enter();
			assert_int_equal(map->ops->map_update_elem(map, &key, value, BPF_NOEXIST),
					 0);
			if (in_program)
				bpf_run_exit();
		}
		for (u32 key = 0; key < max_entries; key++)
			assert_int_equal(bpf_map_lookup(map, &key, value, 0), 0);
		assert_int_equal(evictions(map), 0);
		assert_int_equal(entries(map), max_entries);
		check_lists(map);
		for (u32 key = 0; key < max_entries; key++)
			assert_int_equal(bpf_map_delete(map, &key), 0);
		check_lists(map);
	}
	drop(map);
}

static void test_a_fills_without_loss(void **state)
{
	static const enum bpf_map_type types[] = {BPF_MAP_TYPE_LRU_HASH,
						  BPF_MAP_TYPE_LRU_PERCPU_HASH};

	for (u32 t = 0; t < ARRAY_SIZE(types); t++) {
		for (u32 n = 1; n <= 300; n++)
			fill_without_loss(types[t], n, n % 2);
		fill_without_loss(types[t], 1000, true);
		fill_without_loss(types[t], 5000, false);
	}
}

struct filler {
	struct bpf_map *map;
	u32 from, to;
	int failed;
};

static void *filler(void *arg)
{
	struct filler *f = arg;
	u64 value = 0;

	bpf_run_enter(); /* a slot each */
	for (u32 key = f->from; key < f->to; key++)
		if (f->map->ops->map_update_elem(f->map, &key, &value, BPF_NOEXIST))
			f->failed++;
	bpf_run_exit();
	return NULL;
}

static void test_a_threads_fill_without_loss(void **state)
{
	for (u32 round = 0; round < 90; round++) {
		u32 n = round < 30 ? 2000 : 1 + round * 3;
		struct bpf_map *map = make(BPF_MAP_TYPE_LRU_HASH, 8, n, 0);
		struct filler a = {map, 0, n / 2, 0}, b = {map, n / 2, n, 0};
		pthread_t ta, tb;

		pthread_create(&ta, NULL, filler, &a);
		pthread_create(&tb, NULL, filler, &b);
		pthread_join(ta, NULL);
		pthread_join(tb, NULL);
		assert_int_equal(a.failed + b.failed, 0);
		assert_int_equal(evictions(map), 0);
		for (u32 key = 0; key < n; key++)
			assert_true(has(map, key));
		check_lists(map);
		drop(map);
	}
}

static void test_b_updates_never_evict(void **state)
{
	for (u32 flags = 0; flags <= BPF_F_NO_COMMON_LRU; flags += BPF_F_NO_COMMON_LRU) {
		struct bpf_map *map = make(BPF_MAP_TYPE_LRU_HASH, 8, 500, flags);
		struct rnd r = {.state = 3};
		u64 value = 1, before;
		u32 there[500], nr = 0;

		for (u32 key = 0; key < 500; key++)
			assert_int_equal(bpf_map_update(map, &key, &value, 0), 0);
		for (u32 key = 0; key < 500; key++)
			if (has(map, key))
				there[nr++] = key;
		before = evictions(map);
		assert_int_equal(before, 500 - nr);
		for (u32 i = 0; i < 20000; i++) {
			u32 key = there[rnd_below(&r, nr)];

			value = (u64)key << 32 | i;
			assert_int_equal(bpf_map_update(map, &key, &value, BPF_EXIST), 0);
		}
		assert_int_equal(evictions(map), before);
		for (u32 i = 0; i < nr; i++) {
			assert_int_equal(bpf_map_lookup(map, &there[i], &value, 0), 0);
			assert_int_equal(value >> 32 ? value >> 32 : there[i], there[i]);
		}
		check_lists(map);
		drop(map);
	}
}

/* However many are inserted: the newest is there, and never more than the maximum. */
static void test_inserts_go_on(void **state)
{
	static const u32 sizes[] = {1, 2, 5, 100, 3000};

	for (u32 flags = 0; flags <= BPF_F_NO_COMMON_LRU; flags += BPF_F_NO_COMMON_LRU)
		for (u32 i = 0; i < ARRAY_SIZE(sizes); i++) {
			struct bpf_map *map = make(BPF_MAP_TYPE_LRU_HASH, 8, sizes[i], flags);
			u64 value;

			for (u32 key = 0; key < 20000; key++) {
				value = key;
				assert_int_equal(bpf_map_update(map, &key, &value, BPF_NOEXIST), 0);
				assert_int_equal(bpf_map_lookup(map, &key, &value, 0), 0);
				assert_int_equal(value, key);
			}
			assert_true(entries(map) <= map->max_entries);
			assert_int_equal(evictions(map) + entries(map), 20000);
			check_lists(map);
			drop(map);
		}
}

/* D: a hot set that is looked up all the time stays, whatever streams through. */
static void test_d_hot_entries_stay(void **state)
{
	struct bpf_map *map = make(BPF_MAP_TYPE_LRU_HASH, 8, 1000, 0);
	u64 value = 0;
	u32 lost = 0;

	for (u32 key = 0; key < 200; key++)
		assert_int_equal(bpf_map_update(map, &key, &value, 0), 0);
	bpf_run_enter();
	for (u32 i = 0; i < 50000; i++) {
		u32 cold = 1000 + i, hot = i % 200;

		lost += !map->ops->map_lookup_elem(map, &hot);
		assert_int_equal(map->ops->map_update_elem(map, &cold, &value, 0), 0);
	}
	bpf_run_exit();
	assert_int_equal(lost, 0);
	drop(map);
}

/* ---- quality: Zipf-distributed keys against a perfect LRU */

/* Misses of ours over misses of a perfect LRU. (tests/differential/diff_lru.c has the kernel's.) */
static double quality(u32 max_entries, u32 keys, double exponent, u32 accesses)
{
	struct bpf_map *map = make(BPF_MAP_TYPE_LRU_HASH, 8, max_entries, 0);
	u64 ours = 0, best = 0, value = 0;
	struct perfect_lru p;
	struct zipf z;

	perfect_lru_init(&p, keys, max_entries);
	zipf_init(&z, keys, exponent, 11);
	bpf_run_enter();
	for (u32 i = 0; i < accesses; i++) {
		u32 key = zipf_next(&z);

		best += !perfect_lru_access(&p, key);
		if (!map->ops->map_lookup_elem(map, &key)) {
			ours++;
			assert_int_equal(map->ops->map_update_elem(map, &key, &value, 0), 0);
		}
	}
	bpf_run_exit();
	zipf_free(&z);
	perfect_lru_free(&p);
	drop(map);
	print_message("%5u entries, %6u keys, exponent %.2f: misses %llu, perfect %llu: %.4f\n",
		      max_entries, keys, exponent, (unsigned long long)ours,
		      (unsigned long long)best, (double)ours / (double)best);
	return (double)ours / (double)best;
}

static void test_misses_near_perfect(void **state)
{
	assert_true(quality(1000, 10000, 0.99, 400000) <= 1.02);
	assert_true(quality(4000, 40000, 0.99, 800000) <= 1.02);
	assert_true(quality(10000, 100000, 0.8, 800000) <= 1.02);
	assert_true(quality(10000, 40000, 1.2, 800000) <= 1.02);
}

/* ---- per-CPU values */

static void test_percpu_values(void **state)
{
	static const enum bpf_map_type types[] = {BPF_MAP_TYPE_PERCPU_HASH,
						  BPF_MAP_TYPE_LRU_PERCPU_HASH};

	for (u32 t = 0; t < 2; t++) {
		struct bpf_map *map = make(types[t], 12, 100, 0);
		u32 slots = bpf_nr_slots(), key = 5, other = 6;
		char *values = calloc(slots, 16), *got = calloc(slots, 16), one[12];

		assert_int_equal(bpf_map_value_size(map), slots * 16);
		for (u32 s = 0; s < slots; s++)
			memset(values + s * 16, 'a' + (int)s, 12);
		assert_int_equal(bpf_map_update(map, &key, values, BPF_NOEXIST), 0);
		assert_int_equal(bpf_map_lookup(map, &key, got, 0), 0);
		assert_memory_equal(got, values, slots * 16);

		/* In a program: one's own; a new entry is zero for the others. */
		bpf_run_enter();
		memset(one, 'X', sizeof(one));
		assert_memory_equal(map->ops->map_lookup_elem(map, &key),
				    values + bpf_this.slot * 16, 12);
		assert_int_equal(map->ops->map_update_elem(map, &key, one, BPF_EXIST), 0);
		assert_int_equal(map->ops->map_update_elem(map, &other, one, BPF_NOEXIST), 0);
		memcpy(values + bpf_this.slot * 16, one, 12);
		assert_int_equal(bpf_map_lookup(map, &key, got, 0), 0);
		assert_memory_equal(got, values, slots * 16);
		assert_int_equal(bpf_map_lookup(map, &other, got, 0), 0);
		for (u32 s = 0; s < slots; s++)
			for (u32 i = 0; i < 12; i++)
				assert_int_equal(got[s * 16 + i],
						 s == (u32)bpf_this.slot ? 'X' : 0);
		for (u32 s = 0; s < slots; s++)
			assert_memory_equal(map->ops->map_lookup_percpu_elem(map, &key, s),
					    values + s * 16, 12);
		assert_null(map->ops->map_lookup_percpu_elem(map, &key, slots));
		bpf_run_exit();
		assert_int_equal(bpf_map_delete(map, &key), 0);
		assert_int_equal(bpf_map_lookup(map, &key, got, 0), -ENOENT);
		free(values);
		free(got);
		drop(map);
	}
}

/* Each thread counts in its own slot: the sum is exact. */
static void *counter(void *arg)
{
	struct bpf_map *map = arg;
	u64 one = 1;

	for (u32 i = 0; i < 100000; i++) {
		u32 key = i % 50;
		u64 *value;

		bpf_run_enter();
		value = map->ops->map_lookup_elem(map, &key);
		if (value)
			__atomic_store_n(value, *value + 1, __ATOMIC_RELAXED);
		else
			map->ops->map_update_elem(map, &key, &one, BPF_NOEXIST);
		bpf_run_exit();
	}
	return NULL;
}

static void test_percpu_counting_is_exact(void **state)
{
	struct bpf_map *map = make(BPF_MAP_TYPE_PERCPU_HASH, 8, 50, 0);
	u64 *values = calloc(bpf_nr_slots(), 8), sum = 0;
	pthread_t tid[3];

	for (u32 key = 0; key < 50; key++)
		assert_int_equal(bpf_map_update(map, &key, values, 0), 0);
	for (u32 i = 0; i < 3; i++)
		pthread_create(&tid[i], NULL, counter, map);
	for (u32 i = 0; i < 3; i++)
		pthread_join(tid[i], NULL);
	for (u32 key = 0; key < 50; key++) {
		assert_int_equal(bpf_map_lookup(map, &key, values, 0), 0);
		for (u32 s = 0; s < bpf_nr_slots(); s++)
			sum += values[s];
	}
	assert_int_equal(sum, 300000);
	free(values);
	drop(map);
}

/* ---- many threads: inserts with eviction, updates, deletes, lookups, dumps */

#define WORDS 4

struct race {
	struct bpf_map *map;
	u32 keys;
	bool stop;
	u64 updates, dumps;
	const char *wrong;
};

static void wrong(struct race *race, const char *what)
{
	__atomic_store_n(&race->wrong, what, __ATOMIC_RELAXED);
	__atomic_store_n(&race->stop, true, __ATOMIC_RELAXED);
}

static void check_value(struct race *race, const u64 *value, u32 key)
{
	for (u32 i = 0; i < WORDS; i++)
		if (value[i] != value[0])
			wrong(race, "a torn value");
	if (value[0] >> 40 != key)
		wrong(race, "another key's value");
}

static void *race_worker(void *arg)
{
	struct race *race = arg;
	struct rnd r = {.state = (u64)(uintptr_t)&r | 1};
	u64 value[WORDS], n = 0;

	/* On a busy machine the time may be over before the map is full. */
	while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED) ||
	       (n < 10 * race->keys && !evictions(race->map))) {
		/* Half of the accesses to an eighth of the keys, so that both lists are used. */
		u32 key = rnd_below(&r, rnd_below(&r, 2) ? race->keys : race->keys / 8);
		bool inside = rnd_below(&r, 2);
		u32 op = rnd_below(&r, 8);
		long err = 0;

		if (inside)
			bpf_run_enter();
		if (op < 4) {
			for (u32 i = 0; i < WORDS; i++)
				value[i] = (u64)key << 40 | n;
			err = inside ? race->map->ops->map_update_elem(race->map, &key, value, 0)
				     : bpf_map_update(race->map, &key, value, 0);
			if (err && err != -ENOMEM)
				wrong(race, "an update failed");
			n++;
		} else if (op == 4) {
			err = inside ? race->map->ops->map_delete_elem(race->map, &key)
				     : bpf_map_delete(race->map, &key);
			if (err && err != -ENOENT)
				wrong(race, "a delete failed");
		} else if (inside) {
			race->map->ops->map_lookup_elem(race->map, &key);
		} else if (!bpf_map_lookup(race->map, &key, value, 0)) {
			check_value(race, value, key);
		}
		if (inside)
			bpf_run_exit();
	}
	__atomic_fetch_add(&race->updates, n, __ATOMIC_RELAXED);
	return NULL;
}

static void *race_dumper(void *arg)
{
	struct race *race = arg;
	u64 value[WORDS];
	u32 key;

	while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED) || !race->dumps) {
		struct bpf_map_iter it;

		bpf_map_iter_init(&it, race->map, false);
		while (bpf_map_iter_next(&it, &key, value) == 1)
			check_value(race, value, key);
		bpf_map_iter_end(&it);
		race->dumps++;
	}
	return NULL;
}

static void run_race(u32 max_entries, u32 flags)
{
	struct race race = {.map = make(BPF_MAP_TYPE_LRU_HASH, WORDS * 8, max_entries, flags),
			    .keys = max_entries * 2};
	const char *seconds = getenv("STRESS_SECONDS");
	pthread_t tid[4];
	u32 live = 0;

	for (u32 i = 0; i < 3; i++)
		pthread_create(&tid[i], NULL, race_worker, &race);
	pthread_create(&tid[3], NULL, race_dumper, &race);
	for (int tenth = 0; tenth < (seconds ? (int)(atof(seconds) * 10) : 20) &&
			    !__atomic_load_n(&race.stop, __ATOMIC_RELAXED);
	     tenth++)
		usleep(100000);
	__atomic_store_n(&race.stop, true, __ATOMIC_RELAXED);
	for (u32 i = 0; i < 4; i++)
		pthread_join(tid[i], NULL);
	if (race.wrong)
		fail_msg("max %u flags %#x: %s", max_entries, flags, race.wrong);
	print_message("max %u flags %#x: %llu updates, %llu evictions, %llu dumps\n", max_entries,
		      flags, (unsigned long long)race.updates,
		      (unsigned long long)evictions(race.map), (unsigned long long)race.dumps);
	assert_true(race.updates && race.dumps && evictions(race.map));
	for (u32 key = 0; key < race.keys; key++)
		live += has(race.map, key);
	assert_int_equal(entries(race.map), live);
	assert_true(live <= race.map->max_entries);
	check_lists(race.map);
	/* Every node is still to be had. */
	for (u32 key = 0; key < race.keys; key++)
		bpf_map_delete(race.map, &key);
	assert_int_equal(entries(race.map), 0);
	if (!flags) {
		u64 value[WORDS], before = evictions(race.map);

		for (u32 key = 0; key < max_entries; key++)
			assert_int_equal(bpf_map_update(race.map, &key, value, BPF_NOEXIST), 0);
		assert_int_equal(evictions(race.map), before);
		assert_int_equal(entries(race.map), max_entries);
	}
	check_lists(race.map);
	drop(race.map);
}

static void test_threads_common(void **state)
{
	run_race(16, 0);
	run_race(2000, 0);
}

static void test_threads_own_lists(void **state)
{
	run_race(64, BPF_F_NO_COMMON_LRU);
	run_race(2000, BPF_F_NO_COMMON_LRU);
}

static void test_no_common_rounds_up(void **state)
{
	u32 slots = bpf_nr_slots();
	struct bpf_map *map = make(BPF_MAP_TYPE_LRU_HASH, 8, slots * 10 + 1, BPF_F_NO_COMMON_LRU);

	assert_int_equal(map->max_entries, slots > 1 ? slots * 11 : slots * 10 + 1);
	drop(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_fills_without_loss),
		cmocka_unit_test(test_a_threads_fill_without_loss),
		cmocka_unit_test(test_b_updates_never_evict),
		cmocka_unit_test(test_inserts_go_on),
		cmocka_unit_test(test_d_hot_entries_stay),
		cmocka_unit_test(test_misses_near_perfect),
		cmocka_unit_test(test_percpu_values),
		cmocka_unit_test(test_percpu_counting_is_exact),
		cmocka_unit_test(test_threads_common),
		cmocka_unit_test(test_threads_own_lists),
		cmocka_unit_test(test_no_common_rounds_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
