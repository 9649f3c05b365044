/*
 * test_htab_for_each.c - bpf_for_each_map_elem over the hash kinds and arrays, by the letters of
 * map/hash/htab_for_each.c
 *
 * The callbacks are C functions, which native ones are to the walk.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <cmocka.h>
#include "core/map.h"
#include "rcu/rcu.h"
#include "run/run.h"
#include "map/create.h"

#define KEYS 1000

/* The address of a callback is even. */
#define CALLBACK(name)                                                                          \
	static __attribute__((aligned(16))) u64 name(u64 map_addr, u64 key, u64 value, u64 ctx, \
						     u64 r5)

static const enum bpf_map_type hashes[] = {
	BPF_MAP_TYPE_HASH,
	BPF_MAP_TYPE_PERCPU_HASH,
	BPF_MAP_TYPE_LRU_HASH,
	BPF_MAP_TYPE_LRU_PERCPU_HASH,
};

struct walk {
	u32 visits[4 * KEYS]; /* by key */
	u64 values;
	u32 stop_after, n;
	u32 new_key;
	u32 broken;
};

static struct bpf_map *make(enum bpf_map_type type, u32 key_size, u32 max_entries)
{
	const struct bpf_map_spec spec = {.map_type = type,
					  .key_size = key_size,
					  .value_size = 8,
					  .max_entries = max_entries};
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

static void key_of(u8 *key, u32 size, u32 n)
{
	memset(key, 0, size);
	memcpy(key + size - 4, &n, 4);
}

static u32 number_of(const struct bpf_map *map, u64 key)
{
	u32 n;

	memcpy(&n, (const u8 *)(uintptr_t)key + map->key_size - 4, 4);
	return n;
}

/* As a program does it. */
static long put(struct bpf_map *map, u32 n, u64 value)
{
	u8 key[256];

	key_of(key, map->key_size, n);
	return map->ops->map_update_elem(map, key, &value, BPF_ANY);
}

static long del(struct bpf_map *map, u32 n)
{
	u8 key[256];

	key_of(key, map->key_size, n);
	return map->ops->map_delete_elem(map, key);
}

static long each(struct bpf_map *map,
		 u64 (*callback)(u64 map_addr, u64 key, u64 value, u64 ctx, u64 r5), struct walk *w)
{
	long n;

	bpf_run_enter();
	n = map->ops->map_for_each_callback(map, (uintptr_t)callback, (uintptr_t)w);
	bpf_run_exit();
	return n;
}

static void fill(struct bpf_map *map, u32 from, u32 to)
{
	bpf_run_enter();
	for (u32 n = from; n < to; n++)
		assert_int_equal(put(map, n, n), 0);
	bpf_run_exit();
}

CALLBACK(count)
{
	struct walk *w = (struct walk *)(uintptr_t)ctx;

	w->visits[number_of((struct bpf_map *)(uintptr_t)map_addr, key)]++;
	w->values += *(u64 *)(uintptr_t)value;
	return ++w->n == w->stop_after;
}

static void visits_are(const struct walk *w, u32 from, u32 to, u32 want)
{
	for (u32 n = from; n < to; n++)
		if (w->visits[n] != want)
			fail_msg("%u was visited %u times, not %u", n, w->visits[n], want);
}

/* Also with chains that do not fit into what the walk has at first. */
static void every_entry_once(void **state)
{
	static const u32 key_sizes[] = {4, 8, 16, 12, 200};

	for (u32 i = 0; i < ARRAY_SIZE(hashes) * ARRAY_SIZE(key_sizes); i++) {
		struct bpf_map *map = make(hashes[i % 4], key_sizes[i / 4], 2 * KEYS);
		struct walk w = {0}, some = {.stop_after = 7};

		assert_int_equal(each(map, count, &w), 0);
		bpf_slot_keep(); /* one slot's values */
		fill(map, 0, KEYS);
		assert_int_equal(each(map, count, &w), KEYS);
		bpf_slot_release();
		visits_are(&w, 0, KEYS, 1);
		assert_int_equal(w.values, KEYS * (KEYS - 1) / 2);
		assert_int_equal(each(map, count, &some), 7);
		drop(map);
	}
}

static void arrays(void **state)
{
	static const enum bpf_map_type types[] = {BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PERCPU_ARRAY};

	for (u32 i = 0; i < ARRAY_SIZE(types); i++) {
		struct bpf_map *map = make(types[i], 4, KEYS);
		struct walk w = {0}, some = {.stop_after = 7};

		bpf_slot_keep(); /* one slot's values */
		fill(map, 0, KEYS);
		assert_int_equal(each(map, count, &w), KEYS);
		bpf_slot_release();
		visits_are(&w, 0, KEYS, 1);
		assert_int_equal(w.values, KEYS * (KEYS - 1) / 2);
		assert_int_equal(each(map, count, &some), 7);
		drop(map);
	}
}

CALLBACK(update_both)
{
	struct bpf_map *map = (struct bpf_map *)(uintptr_t)map_addr;
	struct walk *w = (struct walk *)(uintptr_t)ctx;
	u32 n = number_of(map, key);

	w->visits[n]++;
	w->broken += put(map, n, n + 1) != 0 || put(map, (n + 1) % KEYS, n) != 0;
	return 0;
}

/* A: what is updated, itself or before its turn, is another element and the same entry. */
static void A_updated_entries_are_visited_once(void **state)
{
	for (u32 i = 0; i < ARRAY_SIZE(hashes); i++) {
		struct bpf_map *map = make(hashes[i], 4, 2 * KEYS);
		struct walk w = {0};

		fill(map, 0, KEYS);
		assert_int_equal(each(map, update_both, &w), KEYS);
		visits_are(&w, 0, KEYS, 1);
		assert_int_equal(w.broken, 0);
		drop(map);
	}
}

CALLBACK(delete_pair)
{
	struct bpf_map *map = (struct bpf_map *)(uintptr_t)map_addr;
	struct walk *w = (struct walk *)(uintptr_t)ctx;
	u32 n = number_of(map, key);

	w->visits[n]++;
	w->visits[n ^ 1] += 100; /* is gone now, or was here before */
	w->broken += w->visits[n] > 1;
	del(map, n);
	del(map, n ^ 1);
	return 0;
}

/* B: of each pair one is visited, and takes the other with it. */
static void B_deleted_entries_are_safe(void **state)
{
	for (u32 i = 0; i < ARRAY_SIZE(hashes); i++) {
		struct bpf_map *map = make(hashes[i], 8, 2 * KEYS);
		struct walk w = {0};

		fill(map, 0, KEYS);
		assert_int_equal(each(map, delete_pair, &w), KEYS / 2);
		assert_int_equal(w.broken, 0);
		for (u32 n = 0; n < KEYS; n += 2)
			assert_int_equal(w.visits[n] + w.visits[n + 1], 101);
		assert_int_equal(each(map, count, &w), 0);
		drop(map);
	}
}

/* Delete it and put in two more: for ever, if the walk saw all of them. */
CALLBACK(replace_by_others)
{
	struct bpf_map *map = (struct bpf_map *)(uintptr_t)map_addr;
	struct walk *w = (struct walk *)(uintptr_t)ctx;
	u32 n = number_of(map, key);

	del(map, n);
	put(map, n, 1);
	for (int i = 0; i < 2; i++) {
		put(map, KEYS + w->new_key % 3000, 2);
		del(map, KEYS + (w->new_key + 1500) % 3000);
		w->new_key++;
	}
	return 0;
}

static void C_the_walk_ends(void **state)
{
	for (u32 i = 0; i < ARRAY_SIZE(hashes); i++) {
		struct bpf_map *map = make(hashes[i], 4, 4 * KEYS);
		struct walk w = {0};
		long n;

		fill(map, 0, KEYS);
		n = each(map, replace_by_others, &w);
		assert_true(n >= KEYS && n <= 4 * KEYS + (long)w.new_key);
		drop(map);
	}
}

/* ---- while other threads change the map */

static struct {
	struct bpf_map *map;
	bool stop;
} race;

static void *changer(void *arg)
{
	u32 n = 0;

	while (!__atomic_load_n(&race.stop, __ATOMIC_RELAXED)) {
		bpf_run_enter();
		for (int i = 0; i < 100; i++, n = n * 1103515245 + 12345) {
			u32 some = n >> 8;

			put(race.map, some % KEYS, some);
			if (some & 1)
				put(race.map, KEYS + some % KEYS, 1);
			else
				del(race.map, KEYS + some % KEYS);
		}
		bpf_run_exit();
	}
	return NULL;
}

CALLBACK(count_racy)
{
	struct bpf_map *map = (struct bpf_map *)(uintptr_t)map_addr;
	struct walk *w = (struct walk *)(uintptr_t)ctx;
	u32 n = number_of(map, key);

	if (n < 2 * KEYS)
		w->visits[n]++;
	else
		w->broken++;
	return 0;
}

/* Half of the keys live all the time, and are updated; the others come and go. */
static void walks_beside_changes(void **state)
{
	pthread_t tid;
	time_t end = time(NULL) + 2;
	u32 walks = 0;

	race.map = make(BPF_MAP_TYPE_PERCPU_HASH, 8,
			4 * KEYS); /* elements do not move: keys are certain */
	race.stop = false;
	fill(race.map, 0, KEYS);
	assert_int_equal(pthread_create(&tid, NULL, changer, NULL), 0);
	for (; time(NULL) < end; walks++) {
		struct walk w = {0};

		assert_true(each(race.map, count_racy, &w) >= KEYS);
		visits_are(&w, 0, KEYS, 1);
		assert_int_equal(w.broken, 0);
	}
	__atomic_store_n(&race.stop, true, __ATOMIC_RELAXED);
	pthread_join(tid, NULL);
	assert_true(walks > 3);
	drop(race.map);
}

/*
 * A program may keep a key's address: an array's keys lie in memory that never holds anything else.
 */
static u64 kept_keys[2];

CALLBACK(keep_inner)
{
	kept_keys[1] = key;
	return 1;
}

CALLBACK(keep_outer)
{
	struct bpf_map *map = (struct bpf_map *)(uintptr_t)map_addr;

	kept_keys[0] = key;
	map->ops->map_for_each_callback(map, (uintptr_t)keep_inner, 0);
	return number_of(map, key) == 2;
}

static void array_keys_outlive_the_walk(void **state)
{
	static const enum bpf_map_type types[] = {BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PERCPU_ARRAY};

	for (u32 t = 0; t < ARRAY_SIZE(types); t++) {
		struct bpf_map *map = make(types[t], 4, 4);
		uintptr_t here = (uintptr_t)__builtin_frame_address(0);

		bpf_run_enter();
		map->ops->map_for_each_callback(map, (uintptr_t)keep_outer, 0);
		for (u32 i = 0; i < 2; i++) /* not on the stack below us */
			assert_true(kept_keys[i] > here || here - kept_keys[i] > 1 << 16);
		assert_true(kept_keys[0] != kept_keys[1]);
		assert_int_equal(number_of(map, kept_keys[0]), 2);
		assert_int_equal(number_of(map, kept_keys[1]), 0);
		bpf_run_exit();
		drop(map);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_entry_once),
		cmocka_unit_test(arrays),
		cmocka_unit_test(A_updated_entries_are_visited_once),
		cmocka_unit_test(B_deleted_entries_are_safe),
		cmocka_unit_test(C_the_walk_ends),
		cmocka_unit_test(walks_beside_changes),
		cmocka_unit_test(array_keys_outlive_the_walk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
