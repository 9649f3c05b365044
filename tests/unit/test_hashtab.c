/*
 * test_hashtab.c - map/hash/hashtab.c against a plain model, alone and with many threads;
 * guarantees by letter (E, recovery, is test_hashtab_recovery.c)
 *
 * The tests with threads run for 2 seconds each, or for STRESS_SECONDS (60, for the stress test of
 * a minute).
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mount.h>
#include <cmocka.h>
#include "run/run.h"
#include "map/hash/hashtab_find.h"
#include "map/create.h"
#include "map/syscall.h"
#include "map/iter.h"
#include "tests/lib/map_model.h"

static struct bpf_map *make(u32 key_size, u32 value_size, u32 max_entries)
{
	struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_HASH,
				    .key_size = key_size,
				    .value_size = value_size,
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

/* ---- one thread, every result compared */

static void fill(struct rnd *r, char *bytes, u32 size)
{
	for (u32 i = 0; i < size; i++)
		bytes[i] = (char)rnd_next(r);
}

/* Keys that differ in one byte only, at a place that differs from size to size. */
static void key_of(char *key, u32 size, u32 n)
{
	memset(key, 0x5a, size);
	key[size - 1] = (char)n;
	if (size > 1)
		key[size / 2 - 1] = (char)(n >> 8);
}

/* Walk both ways: every entry of the model, once, and nothing else. */
static void compare_walks(struct bpf_map *map, const struct map_model *model, char *value)
{
	char key[1024], next[1024];
	bool *seen = calloc(model->nr + 1, 1);
	struct bpf_map_iter it;
	u32 n = 0;
	int ret, i;

	for (ret = bpf_map_next_key(map, NULL, next); !ret;
	     ret = bpf_map_next_key(map, key, next)) {
		i = map_model_find(model, next);
		assert_true(i >= 0);
		assert_false(seen[i]);
		seen[i] = true;
		n++;
		memcpy(key, next, map->key_size);
	}
	assert_int_equal(ret, -ENOENT);
	assert_int_equal(n, model->nr);

	memset(seen, 0, model->nr + 1);
	bpf_map_iter_init(&it, map, false);
	for (n = 0; (ret = bpf_map_iter_next(&it, key, value)) == 1; n++) {
		i = map_model_find(model, key);
		assert_true(i >= 0);
		assert_false(seen[i]);
		seen[i] = true;
		assert_memory_equal(value, model->values + (size_t)i * model->value_size,
				    model->value_size);
	}
	assert_int_equal(ret, 0);
	assert_int_equal(n, model->nr);
	bpf_map_iter_end(&it);
	free(seen);
}

static void random_ops(u32 key_size, u32 value_size, u32 max_entries, u32 key_range, u32 steps,
		       u64 seed)
{
	struct bpf_map *map = make(key_size, value_size, max_entries);
	char key[1024], *value = malloc(value_size), *other = malloc(value_size);
	struct bpf_map_stats stats;
	struct rnd r = {.state = seed};
	struct map_model model;

	map_model_init(&model, key_size, value_size, max_entries);
	for (u32 step = 0; step < steps; step++) {
		u32 op = rnd_below(&r, 100), growing = step / 500 % 2;
		int want, got;

		key_of(key, key_size, rnd_below(&r, key_range));
		if (op < (growing ? 60u : 30u)) {
			u64 flags = rnd_below(&r, 4);

			fill(&r, value, value_size);
			want = map_model_update(&model, key, value, flags);
			got = bpf_map_update(map, key, value, flags);
		} else if (op < 75) {
			want = map_model_delete(&model, key);
			got = bpf_map_delete(map, key);
		} else {
			want = map_model_lookup(&model, key, value);
			got = bpf_map_lookup(map, key, other, 0);
			if (!want)
				assert_memory_equal(value, other, value_size);
			bpf_run_enter();
			char *in_place = map->ops->map_lookup_elem(map, key);

			assert_int_equal(!in_place, want != 0);
			if (in_place) {
				assert_int_equal((uintptr_t)in_place % 8, 0);
				assert_memory_equal(in_place, value, value_size);
			}
			bpf_run_exit();
		}
		if (want != got)
			fail_msg("step %u of (%u, %u, %u): want %d got %d", step, key_size,
				 value_size, max_entries, want, got);
		if (step % 997 == 0)
			compare_walks(map, &model, value);
	}
	bpf_map_stats_read(map, &stats);
	assert_int_equal(stats.entries, model.nr);
	compare_walks(map, &model, value);
	map_model_free(&model);
	free(value);
	free(other);
	drop(map);
}

static void test_random_against_model(void **state)
{
	static const u32 key_sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 63, 64, 512};

	for (u32 i = 0; i < ARRAY_SIZE(key_sizes); i++)
		random_ops(key_sizes[i], 8, 100, 150, 8000, 0x1234 + i);
	random_ops(4, 1, 200, 256, 8000, 1);
	random_ops(4, 13, 200, 256, 8000, 2);
	random_ops(16, 4093, 50, 60, 4000, 3);
	random_ops(8, 8, 1, 3, 3000, 4);
	random_ops(4, 8, 3, 5, 5000, 5);
	random_ops(4, 8, 2000, 3000, 60000, 6);
}

/* The same through the functions that programs call, with a slot. */
static void test_random_in_program(void **state)
{
	struct bpf_map *map = make(4, 16, 64);
	struct rnd r = {.state = 99};
	struct map_model model;
	u64 value[2];

	map_model_init(&model, 4, 16, 64);
	bpf_run_enter();
	for (u32 step = 0; step < 50000; step++) {
		u32 key = rnd_below(&r, 80), op = rnd_below(&r, 3);
		u64 flags = rnd_below(&r, 3), *found;

		value[0] = rnd_next(&r);
		value[1] = ~value[0];
		if (op == 0) {
			assert_int_equal(map->ops->map_update_elem(map, &key, value, flags),
					 map_model_update(&model, &key, value, flags));
		} else if (op == 1 && step / 300 % 2) {
			assert_int_equal(map->ops->map_delete_elem(map, &key),
					 map_model_delete(&model, &key));
		} else {
			found = map->ops->map_lookup_elem(map, &key);
			if (map_model_lookup(&model, &key, value))
				assert_null(found);
			else
				assert_memory_equal(found, value, 16);
		}
	}
	bpf_run_exit();
	map_model_free(&model);
	drop(map);
}

static void test_flags(void **state)
{
	struct bpf_map *map = make(4, 8, 4);
	u32 key = 1;
	u64 value = 2;

	assert_int_equal(bpf_map_update(map, &key, &value, 3), -EINVAL);
	assert_int_equal(bpf_map_update(map, &key, &value, BPF_F_LOCK), -EINVAL);
	assert_int_equal(bpf_map_update(map, &key, &value, 8), -EINVAL);
	assert_int_equal(bpf_map_update(map, &key, &value, 1ull << 40), -EINVAL);
	assert_int_equal(bpf_map_lookup(map, &key, &value, 1), -EINVAL);
	assert_int_equal(bpf_map_lookup(map, &key, &value, BPF_F_LOCK), -EINVAL);
	assert_int_equal(bpf_map_update(map, &key, &value, BPF_EXIST), -ENOENT);
	assert_int_equal(bpf_map_update(map, &key, &value, BPF_NOEXIST), 0);
	assert_int_equal(bpf_map_update(map, &key, &value, BPF_NOEXIST), -EEXIST);
	assert_int_equal(bpf_map_update(map, &key, &value, BPF_EXIST), 0);
	drop(map);
}

static void test_next_key_of_missing_is_first(void **state)
{
	struct bpf_map *map = make(4, 8, 10);
	u32 first, next, missing = 77;
	u64 value = 0;

	assert_int_equal(bpf_map_next_key(map, NULL, &first), -ENOENT);
	assert_int_equal(bpf_map_next_key(map, &missing, &first), -ENOENT);
	for (u32 key = 0; key < 10; key++)
		assert_int_equal(bpf_map_update(map, &key, &value, 0), 0);
	assert_int_equal(bpf_map_next_key(map, NULL, &first), 0);
	assert_int_equal(bpf_map_next_key(map, &missing, &next), 0);
	assert_int_equal(first, next);
	drop(map);
}

static u32 count_live(const struct bpf_map *map)
{
	const struct bpf_htab *htab = bpf_htab(map);
	u32 nr = 0;

	for (u32 i = 1; i < htab->total_elems; i++)
		nr += htab_elem_live(htab_elem(htab, i));
	return nr;
}

/*
 * E: recovery goes by the elements' marks. What was replaced or deleted is marked, with no SIGKILL
 * needed to see it.
 */
static void test_e_as_many_marks_as_entries(void **state)
{
	static const u32 sizes[] = {4, 8, 16, 40};
	char key[64], value[16] = {0};

	for (u32 s = 0; s < ARRAY_SIZE(sizes); s++) {
		struct bpf_map *map = make(sizes[s], 16, 8);

		for (u32 n = 0; n < 8; n++) {
			key_of(key, sizes[s], n);
			assert_int_equal(bpf_map_update(map, key, value, 0), 0);
			assert_int_equal(count_live(map), n + 1);
		}
		for (u32 n = 0; n < 8; n++) {
			key_of(key, sizes[s], n);
			assert_int_equal(bpf_map_update(map, key, value, BPF_EXIST), 0);
			assert_int_equal(count_live(map), 8);
		}
		for (u32 n = 0; n < 8; n++) {
			key_of(key, sizes[s], n);
			assert_int_equal(bpf_map_delete(map, key), 0);
			assert_int_equal(count_live(map), 7 - n);
		}
		drop(map);
	}
}

/*
 * A: a reader that found nothing looks whether the bucket is still as it was. Whatever leaves the
 * chain changes its word, also when the same elements stand there again.
 */
static void test_a_a_bucket_counts_its_changes(void **state)
{
	struct bpf_map *map = make(4, 8, 1);
	u64 *bucket = bpf_htab(map)->buckets, words[8], value = 0;
	u32 key = 5;

	assert_int_equal(bpf_htab(map)->mask, 1); /* two buckets for the smallest */
	assert_int_equal(bpf_map_update(map, &key, &value, 0), 0);
	bucket += !(*bucket & 0xffffffff) || *bucket >> 31 & 1;
	for (u32 i = 0; i < 4; i++) { /* the element and the spare take turns */
		words[i] = *bucket;
		assert_int_equal(bpf_map_update(map, &key, &value, 0), 0);
		for (u32 j = 0; j <= i; j++)
			assert_true(*bucket != words[j]);
	}
	for (u32 i = 0; i < 4; i++) {
		words[i] = *bucket;
		assert_int_equal(bpf_map_delete(map, &key), 0);
		assert_int_equal(bpf_map_update(map, &key, &value, 0), 0);
		for (u32 j = 0; j <= i; j++)
			assert_true(*bucket != words[j]);
	}
	drop(map);
}

/*
 * A program's insert writes its own slot's value; the others' are zero, whatever the element held
 * before.
 */
static void test_percpu_insert_zeroes_the_others(void **state)
{
	static const enum bpf_map_type types[] = {BPF_MAP_TYPE_PERCPU_HASH,
						  BPF_MAP_TYPE_LRU_PERCPU_HASH};
	const u32 nr = 64, slots = bpf_nr_slots();
	u64 *values = calloc(slots, sizeof(u64)), one = 1;

	for (u32 t = 0; t < ARRAY_SIZE(types); t++) {
		struct bpf_map_spec spec = {
			.map_type = types[t], .key_size = 4, .value_size = 8, .max_entries = nr};
		struct bpf_map *map;
		u32 key, mine;

		assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
		memset(values, 0x77, slots * sizeof(u64));
		for (key = 0; key < nr; key++)
			assert_int_equal(bpf_map_update(map, &key, values, 0), 0);
		for (key = 0; key < nr; key++)
			assert_int_equal(bpf_map_delete(map, &key), 0);
		for (key = 0; key < nr; key++) {
			bpf_run_enter();
			mine = (u32)bpf_this.slot;
			assert_int_equal(map->ops->map_update_elem(map, &key, &one, 0), 0);
			bpf_run_exit();
			assert_int_equal(bpf_map_lookup(map, &key, values, 0), 0);
			for (u32 slot = 0; slot < slots; slot++)
				assert_int_equal(values[slot], slot == mine);
		}
		drop(map);
	}
	free(values);
}

/*
 * Keys of any size, in every type: an element is written within its room. Its neighbours are in
 * use, for each second one was taken out and put in again.
 */
static void test_a_key_stays_within_its_element(void **state)
{
	static const enum bpf_map_type types[] = {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERCPU_HASH,
						  BPF_MAP_TYPE_LRU_HASH,
						  BPF_MAP_TYPE_LRU_PERCPU_HASH};
	static const u32 sizes[] = {4, 8, 12, 16, 20, 24, 25, 32, 40, 63, 64};
	static u64 value[BPF_MAX_SLOTS], read[BPF_MAX_SLOTS];
	const u32 nr = 64;
	char key[64];

	for (u32 t = 0; t < ARRAY_SIZE(types); t++) {
		for (u32 s = 0; s < ARRAY_SIZE(sizes); s++) {
			struct bpf_map_spec spec = {.map_type = types[t],
						    .key_size = sizes[s],
						    .value_size = 8,
						    .max_entries = 1000};
			struct bpf_map *map;

			assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
			for (u32 round = 0; round < 3; round++) {
				for (u32 n = round & 1; n < nr; n += 1 + (round & 1)) {
					key_of(key, sizes[s], n);
					value[0] = n + 1;
					assert_int_equal(bpf_map_update(map, key, value, BPF_ANY),
							 0);
				}
				for (u32 n = 0; n < nr; n++) {
					key_of(key, sizes[s], n);
					assert_int_equal(bpf_map_lookup(map, key, read, 0), 0);
					assert_int_equal(read[0], n + 1);
				}
				for (u32 n = 1; n < nr && !round; n += 2) {
					key_of(key, sizes[s], n);
					assert_int_equal(bpf_map_delete(map, key), 0);
				}
			}
			drop(map);
		}
	}
}

static void test_c_full_map_still_updates(void **state)
{
	struct bpf_map *map = make(4, 8, 16);
	u32 key;
	u64 value;

	for (key = 0; key < 16; key++) {
		value = key;
		assert_int_equal(bpf_map_update(map, &key, &value, 0), 0);
	}
	for (int round = 0; round < 100; round++) {
		key = 100;
		assert_int_equal(bpf_map_update(map, &key, &value, 0), -E2BIG);
		key = (u32)round % 16;
		value = (u64)round << 32;
		assert_int_equal(bpf_map_update(map, &key, &value, 0), 0);
		bpf_run_enter();
		assert_int_equal(map->ops->map_update_elem(map, &key, &value, BPF_EXIST), 0);
		bpf_run_exit();
	}
	struct bpf_map_stats stats;

	bpf_map_stats_read(map, &stats);
	assert_int_equal(stats.entries, 16);
	assert_int_equal(stats.failed_updates, 100);
	assert_int_equal(stats.updates, 216);
	drop(map);
}

/* Sequential, strided and high-bit keys must spread: no chain much longer than chance makes it. */
static void test_hash_spreads(void **state)
{
	static const u64 strides[] = {1,	  2,	      4096,
				      65536,	  0x01000000, 1ull << 32,
				      1ull << 40, 1ull << 48, 0x0101010101010101};
	u32 n = 4096;

	for (u32 size = 4; size <= 16; size *= 2)
		for (u32 s = 0; s < ARRAY_SIZE(strides); s++) {
			struct bpf_map *map = make(size, 8, n);
			u32 *chain = calloc(n, sizeof(*chain)), longest = 0, filters = 0;

			if (size == 4 && strides[s] * n > 1ull << 32) {
				free(chain);
				drop(map);
				continue;
			}
			for (u64 i = 0; i < n; i++) {
				u64 key[2] = {i * strides[s], i * strides[s]}, hash;

				hash = size == 4   ? htab_hash(bpf_htab(map), key, 4)
				       : size == 8 ? htab_hash(bpf_htab(map), key, 8)
						   : htab_hash(bpf_htab(map), key, 16);
				longest = max(longest, ++chain[hash & (n - 1)]);
				filters |= 1u << htab_filter_of(hash);
			}
			/*
			 * 4096 balls in 4096 bins: the fullest has 6 or 7, 12 in one case of 10^6.
			 */
			if (longest > 12 || filters != 0xfffe)
				fail_msg("key size %u stride %#llx: longest %u filters %#x", size,
					 (unsigned long long)strides[s], longest, filters);
			free(chain);
			drop(map);
		}
}

/*
 * Twelve keys of one bucket come and go: no lookup is turned away by the bucket's filter, and while
 * the chain has no more than four the filter has exactly its elements.
 */
static void test_a_filter_follows_its_chain(void **state)
{
	struct bpf_map *map = make(8, 8, 16);
	struct bpf_htab *htab = bpf_htab(map);
	u64 keys[12], value = 0, nr = 0;
	u32 bucket = 5, live = 0, x = 1;

	for (u64 key = 0; nr < ARRAY_SIZE(keys); key++)
		if ((htab_hash(htab, &key, 8) & htab->mask) == bucket)
			keys[nr++] = key;
	for (u32 step = 0; step < 20000; step++) {
		u32 i = (x = x * 1103515245 + 12345) >> 16, filter, places = 0;
		bool short_chain = step / 1000 & 1;

		i %= short_chain ? 4 : ARRAY_SIZE(keys);
		if (x >> 30 & 1) {
			assert_int_equal(bpf_map_update(map, &keys[i], &value, 0), 0);
			live |= 1u << i;
		} else {
			assert_int_equal(bpf_map_delete(map, &keys[i]),
					 live >> i & 1 ? 0 : -ENOENT);
			live &= ~(1u << i);
		}
		for (u32 k = 0; k < ARRAY_SIZE(keys); k++)
			assert_int_equal(bpf_map_lookup(map, &keys[k], &value, 0),
					 live >> k & 1 ? 0 : -ENOENT);
		filter = (u32)(htab->buckets[bucket] >> 48);
		for (u32 at = 0; at < 16; at += 4)
			places += (filter >> at & 15) != 0;
		if (filter < HTAB_FILTER_MORE || !live)
			assert_int_equal(places, __builtin_popcount(live));
		else
			assert_true(__builtin_popcount(live) >= 4);
	}
	drop(map);
}

static void gen_lookup_agrees(enum bpf_map_type type, u32 key_size)
{
	struct bpf_map_spec spec = {
		.map_type = type, .key_size = key_size, .value_size = 8, .max_entries = 100};
	struct bpf_insn insn;
	struct bpf_map *map;
	char key[64];
	u64 value = 1;

	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
	assert_int_equal(map->ops->map_gen_lookup(map, &insn, 1), 1);
	assert_int_equal(map->ops->map_gen_lookup(map, &insn, 0), -EOPNOTSUPP);
	assert_int_equal(insn.code, BPF_JMP | BPF_CALL);
	bpf_run_enter();
	for (u32 n = 0; n < 100; n += 2) {
		key_of(key, key_size, n);
		assert_int_equal(map->ops->map_update_elem(map, key, &value, 0), 0);
	}
	for (u32 n = 0; n < 100; n++) {
		void *found;

		key_of(key, key_size, n);
		found = (void *)BPF_CALL_FUNC(insn.imm)((u64)map, (u64)key, 0, 0, 0);
		assert_int_equal(found != NULL, n % 2 == 0);
		assert_ptr_equal(found, map->ops->map_lookup_elem(map, key));
	}
	bpf_run_exit();
	drop(map);
}

static void test_gen_lookup_agrees(void **state)
{
	static const enum bpf_map_type types[] = {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERCPU_HASH,
						  BPF_MAP_TYPE_LRU_HASH,
						  BPF_MAP_TYPE_LRU_PERCPU_HASH};
	static const u32 sizes[] = {4, 8, 16, 7, 33};

	for (u32 t = 0; t < ARRAY_SIZE(types); t++)
		for (u32 i = 0; i < ARRAY_SIZE(sizes); i++)
			gen_lookup_agrees(types[t], sizes[i]);
}

static void test_large_map_is_sparse(void **state)
{
	struct bpf_map *map = make(4, 8, 100 * 1000 * 1000);
	struct bpf_map_iter it;
	u64 value = 1;
	u32 n = 0, key;

	for (key = 0; key < 1000; key++)
		assert_int_equal(bpf_map_update(map, &key, &value, 0), 0);
	bpf_map_iter_init(&it, map, true);
	while (bpf_map_iter_next(&it, &key, NULL) == 1)
		n++;
	bpf_map_iter_end(&it);
	assert_int_equal(n, 1000);
	assert_true(bpf_map_mem_usage(map) / (100 * 1000 * 1000) <= 48);
	drop(map);
}

/* A full filesystem is an error, not a SIGBUS. */
static void test_full_filesystem(void **state)
{
	char dir[] = "/tmp/ubpffs-test-XXXXXX", path[64];
	struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_HASH,
				    .key_size = 4,
				    .value_size = 64,
				    .max_entries = 100000};
	struct bpf_map *map;
	char value[64] = {};
	u32 key, n;
	int fd, err = 0;

	assert_non_null(mkdtemp(dir));
	if (mount("ubpffs-test", dir, "tmpfs", 0, "size=2M")) {
		print_message("no tmpfs can be mounted: %s\n", strerror(errno));
		rmdir(dir);
		skip();
	}
	snprintf(path, sizeof(path), "%s/map", dir);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
	assert_true(fd >= 0);

	assert_int_equal(bpf_map_create(&spec, 0, fd, -1, &map), 0);
	for (n = 0; !err && n < 100000; n++)
		err = bpf_map_update(map, &n, value, 0);
	assert_int_equal(err, -ENOMEM);
	assert_in_range(n, 5000, 20000);
	for (key = 0; key < n - 1; key++)
		assert_int_equal(bpf_map_update(map, &key, value, BPF_EXIST), 0);
	assert_int_equal(bpf_map_update(map, &n, value, 0), -ENOMEM);
	key = 7;
	assert_int_equal(bpf_map_delete(map, &key), 0);
	assert_int_equal(bpf_map_update(map, &n, value, 0), 0);
	drop(map);
	assert_int_equal(bpf_map_open(fd, -1, &map), 0);
	assert_int_equal(bpf_map_lookup(map, &n, value, 0), 0);
	assert_int_equal(bpf_map_lookup(map, &key, value, 0), -ENOENT);
	drop(map);

	/* What does not even fit its buckets is refused at once. */
	spec.max_entries = 1000000;
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(bpf_map_create(&spec, 0, fd, -1, &map), -ENOSPC);
	close(fd);
}

/* ---- many threads
 *
 * Values carry their key and a sequence number in every word, so a torn or foreign value shows.
 * Keys below PINNED are never deleted: a lookup or a dump that misses one is wrong (A). The others
 * come and go.
 */
#define PINNED	 32
#define KEYS	 96
#define WORDS	 6
#define MAX	 80 /* less than KEYS: inserts hit the limit too */
#define READERS	 2
#define UPDATERS 2

struct race {
	struct bpf_map *map;
	u32 key_size;
	bool stop;
	u64 lookups, updates, deletes, dumps;
	const char *wrong; /* the first thing that was */
};

static void wrong(struct race *race, const char *what)
{
	__atomic_store_n(&race->wrong, what, __ATOMIC_RELAXED);
	__atomic_store_n(&race->stop, true, __ATOMIC_RELAXED);
}

static void race_key(struct race *race, char *key, u32 n)
{
	memset(key, 0, race->key_size);
	memcpy(key, &n, 4);
	if (race->key_size > 8)
		memcpy(key + race->key_size - 4, &n, 4);
}

static u32 race_key_number(struct race *race, const char *key)
{
	u32 n, m;

	memcpy(&n, key, 4);
	if (race->key_size > 8) {
		memcpy(&m, key + race->key_size - 4, 4);
		if (m != n)
			wrong(race, "a key made of two");
	}
	return n;
}

static void race_value(u64 *value, u32 key, u64 seq)
{
	for (u32 i = 0; i < WORDS; i++)
		value[i] = (u64)key << 40 | (seq & 0xffffffffff);
}

static void check_value(struct race *race, const u64 *value, u32 key)
{
	for (u32 i = 0; i < WORDS; i++)
		if (value[i] != value[0])
			wrong(race, "a torn value");
	if (value[0] >> 40 != key)
		wrong(race, "another key's value");
}

/* Each thread does something in any case: it may get its first turn when the time is over. */
static bool going(struct race *race)
{
	return !__atomic_load_n(&race->stop, __ATOMIC_RELAXED);
}

static void *race_reader(void *arg)
{
	struct race *race = arg;
	struct rnd r = {.state = (u64)(uintptr_t)&r | 1};
	u64 value[WORDS], n = 0;
	char key[64];

	while (going(race) || !n) {
		u32 k = rnd_below(&r, KEYS);
		int err;

		race_key(race, key, k);
		if (rnd_below(&r, 2)) {
			bpf_run_enter();
			for (int i = 0; i < 50; i++)
				if (!race->map->ops->map_lookup_elem(race->map, key) && k < PINNED)
					wrong(race, "a lookup missed a key that is there");
			bpf_run_exit();
		}
		err = bpf_map_lookup(race->map, key, value, 0);
		if (!err)
			check_value(race, value, k);
		else if (err != -ENOENT || k < PINNED)
			wrong(race, "a copy missed a key that is there");
		n++;
	}
	__atomic_fetch_add(&race->lookups, n, __ATOMIC_RELAXED);
	return NULL;
}

static void *race_updater(void *arg)
{
	struct race *race = arg;
	struct rnd r = {.state = (u64)(uintptr_t)&r | 1};
	u64 value[WORDS], seq = 0, deletes = 0;
	char key[64];
	long err;

	while (going(race) || !deletes) {
		u32 k = rnd_below(&r, KEYS);
		bool inside = rnd_below(&r, 2);

		race_key(race, key, k);
		race_value(value, k, seq++);
		if (inside)
			bpf_run_enter();
		if (k >= PINNED && rnd_below(&r, 2)) {
			err = inside ? race->map->ops->map_delete_elem(race->map, key)
				     : bpf_map_delete(race->map, key);
			if (err && err != -ENOENT)
				wrong(race, "a delete failed");
			deletes++;
		} else {
			err = inside ? race->map->ops->map_update_elem(race->map, key, value, 0)
				     : bpf_map_update(race->map, key, value, 0);
			if (err && (err != -E2BIG || k < PINNED))
				wrong(race, "an update failed");
		}
		if (inside)
			bpf_run_exit();
	}
	__atomic_fetch_add(&race->updates, seq, __ATOMIC_RELAXED);
	__atomic_fetch_add(&race->deletes, deletes, __ATOMIC_RELAXED);
	return NULL;
}

static void *race_dumper(void *arg)
{
	struct race *race = arg;
	u64 value[WORDS], n = 0;
	char key[64];

	while (going(race) || !n) {
		bool seen[KEYS] = {};
		struct bpf_map_iter it;
		u32 k, pinned = 0;

		bpf_map_iter_init(&it, race->map, false);
		while (bpf_map_iter_next(&it, key, value) == 1) {
			k = race_key_number(race, key);
			if (k >= KEYS)
				wrong(race, "a key that nobody made");
			else if (seen[k] && k < PINNED)
				wrong(race, "a dump gave an entry twice");
			else
				seen[k] = true;
			pinned += k < PINNED;
			check_value(race, value, k);
		}
		bpf_map_iter_end(&it);
		if (pinned != PINNED)
			wrong(race, "a dump missed an entry");
		n++;
	}
	__atomic_fetch_add(&race->dumps, n, __ATOMIC_RELAXED);
	return NULL;
}

static u32 race_tenths(void)
{
	const char *seconds = getenv("STRESS_SECONDS");

	return seconds ? (u32)(atof(seconds) * 10) : 20;
}

static void run_race(u32 key_size)
{
	struct race race = {.map = make(key_size, WORDS * 8, MAX), .key_size = key_size};
	pthread_t tid[READERS + UPDATERS + 1];
	struct bpf_map_stats stats;
	u64 value[WORDS];
	char key[64];
	u32 n = 0, left = 0;

	for (u32 k = 0; k < PINNED; k++) {
		race_key(&race, key, k);
		race_value(value, k, 0);
		assert_int_equal(bpf_map_update(race.map, key, value, 0), 0);
	}
	for (u32 i = 0; i < READERS; i++)
		pthread_create(&tid[n++], NULL, race_reader, &race);
	for (u32 i = 0; i < UPDATERS; i++)
		pthread_create(&tid[n++], NULL, race_updater, &race);
	pthread_create(&tid[n++], NULL, race_dumper, &race);
	for (u32 tenth = 0; tenth < race_tenths() && going(&race); tenth++)
		usleep(100000);
	__atomic_store_n(&race.stop, true, __ATOMIC_RELAXED);
	while (n)
		pthread_join(tid[--n], NULL);
	if (race.wrong)
		fail_msg("key size %u: %s", key_size, race.wrong);
	print_message("key size %2u: %llu lookups, %llu updates, %llu deletes, %llu dumps\n",
		      key_size, (unsigned long long)race.lookups, (unsigned long long)race.updates,
		      (unsigned long long)race.deletes, (unsigned long long)race.dumps);
	assert_true(race.lookups && race.updates && race.deletes && race.dumps);

	/* Nothing leaked: what is there can be counted, and the rest can be filled exactly. */
	for (u32 k = 0; k < KEYS; k++) {
		race_key(&race, key, k);
		left += !bpf_map_lookup(race.map, key, value, 0);
	}
	bpf_map_stats_read(race.map, &stats);
	assert_int_equal(stats.entries, left);
	for (u32 k = 1000; k < 1000 + MAX - left; k++) {
		race_key(&race, key, k);
		assert_int_equal(bpf_map_update(race.map, key, value, BPF_NOEXIST), 0);
	}
	race_key(&race, key, 5000);
	assert_int_equal(bpf_map_update(race.map, key, value, 0), -E2BIG);
	drop(race.map);
}

static void test_abc_threads_key4(void **state)
{
	run_race(4);
}

static void test_abc_threads_key8(void **state)
{
	run_race(8);
}

static void test_abc_threads_key16(void **state)
{
	run_race(16);
}

static void test_abc_threads_key40(void **state)
{
	run_race(40);
}

/* Two threads fill one map: of N keys each must get in, whoever comes first. */
struct filler {
	struct bpf_map *map;
	u32 from, to;
	int failed;
};

static void *filler(void *arg)
{
	struct filler *f = arg;
	u64 value = 0;

	for (u32 key = f->from; key < f->to; key++)
		if (bpf_map_update(f->map, &key, &value, BPF_NOEXIST))
			f->failed++;
	return NULL;
}

static void test_c_threads_fill_exactly(void **state)
{
	for (int round = 0; round < 50; round++) {
		struct bpf_map *map = make(4, 8, 1000);
		struct filler a = {map, 0, 500, 0}, b = {map, 500, 1000, 0};
		pthread_t ta, tb;

		pthread_create(&ta, NULL, filler, &a);
		pthread_create(&tb, NULL, filler, &b);
		pthread_join(ta, NULL);
		pthread_join(tb, NULL);
		assert_int_equal(a.failed + b.failed, 0);
		drop(map);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_against_model),
		cmocka_unit_test(test_random_in_program),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_next_key_of_missing_is_first),
		cmocka_unit_test(test_e_as_many_marks_as_entries),
		cmocka_unit_test(test_a_a_bucket_counts_its_changes),
		cmocka_unit_test(test_percpu_insert_zeroes_the_others),
		cmocka_unit_test(test_a_key_stays_within_its_element),
		cmocka_unit_test(test_c_full_map_still_updates),
		cmocka_unit_test(test_hash_spreads),
		cmocka_unit_test(test_a_filter_follows_its_chain),
		cmocka_unit_test(test_gen_lookup_agrees),
		cmocka_unit_test(test_large_map_is_sparse),
		cmocka_unit_test(test_full_filesystem),
		cmocka_unit_test(test_abc_threads_key4),
		cmocka_unit_test(test_abc_threads_key8),
		cmocka_unit_test(test_abc_threads_key16),
		cmocka_unit_test(test_abc_threads_key40),
		cmocka_unit_test(test_c_threads_fill_exactly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
