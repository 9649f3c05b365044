/*
 * test_arraymap.c - array and percpu_array
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <cmocka.h>
#include "map/map.h"
#include "map/mmap.h"
#include "map/create.h"
#include "map/syscall.h"
#include "map/iter.h"
#include "tests/lib/map_model.h"
#include "tests/lib/rawprog.h"

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

static void random_ops(enum bpf_map_type type, u32 value_size, u32 max_entries)
{
	struct bpf_map *map = make(type, value_size, max_entries, 0);
	u32 size = bpf_map_value_size(map), per_slot = round_up(value_size, 8);
	char *model = calloc(max_entries, size), *value = malloc(size), *got = malloc(size);
	struct rnd r = {.state = value_size + max_entries};

	for (u32 step = 0; step < 5000; step++) {
		u32 index = rnd_below(&r, max_entries + 2);
		bool in_range = index < max_entries;
		char *place = model + (size_t)(in_range ? index : 0) * size;
		u64 flags = rnd_below(&r, 5);
		int err;

		switch (rnd_below(&r, 4)) {
		case 0: /* from outside: all slots */
			for (u32 i = 0; i < size; i++)
				value[i] = (char)rnd_next(&r);
			err = bpf_map_update(map, &index, value, flags);
			assert_int_equal(err, flags > BPF_EXIST	     ? -EINVAL
					      : !in_range	     ? -E2BIG
					      : flags == BPF_NOEXIST ? -EEXIST
								     : 0);
			if (!err)
				memcpy(place, value, size);
			break;
		case 1: /* from a program: this slot */
			bpf_run_enter();
			for (u32 i = 0; i < value_size; i++)
				value[i] = (char)rnd_next(&r);
			err = (int)map->ops->map_update_elem(map, &index, value, 0);
			assert_int_equal(err, in_range ? 0 : -E2BIG);
			if (!err && map->ops->percpu) {
				memset(place + (size_t)bpf_this.slot * per_slot, 0, per_slot);
				memcpy(place + (size_t)bpf_this.slot * per_slot, value, value_size);
			} else if (!err) {
				memcpy(place, value, value_size);
			}
			bpf_run_exit();
			break;
		case 2:
			err = bpf_map_lookup(map, &index, got, 0);
			assert_int_equal(err, in_range ? 0 : -ENOENT);
			if (!err)
				assert_memory_equal(got, place, size);
			break;
		default:
			assert_int_equal(bpf_map_delete(map, &index), -EINVAL);
			bpf_run_enter();
			char *here = map->ops->map_lookup_elem(map, &index);

			assert_int_equal(here != NULL, in_range);
			if (here) {
				u32 slot = map->ops->percpu ? (u32)bpf_this.slot : 0;

				assert_int_equal((uintptr_t)here % 8, 0);
				assert_memory_equal(here, place + (size_t)slot * per_slot,
						    value_size);
			}
			bpf_run_exit();
		}
	}
	/* Walks give all indices in order. */
	struct bpf_map_iter it;
	u32 key, next, n = 0;

	assert_int_equal(bpf_map_next_key(map, NULL, &next), 0);
	do {
		assert_int_equal(next, n++);
		key = next;
	} while (!bpf_map_next_key(map, &key, &next));
	assert_int_equal(n, max_entries);
	bpf_map_iter_init(&it, map, false);
	for (n = 0; bpf_map_iter_next(&it, &key, got) == 1; n++) {
		assert_int_equal(key, n);
		assert_memory_equal(got, model + (size_t)n * size, size);
	}
	assert_int_equal(n, max_entries);
	bpf_map_iter_rewind(&it);
	assert_int_equal(bpf_map_iter_next(&it, &key, got), 1);
	assert_int_equal(key, 0);
	bpf_map_iter_end(&it);
	free(model);
	free(value);
	free(got);
	drop(map);
}

static void test_array_against_model(void **state)
{
	random_ops(BPF_MAP_TYPE_ARRAY, 8, 100);
	random_ops(BPF_MAP_TYPE_ARRAY, 1, 7);
	random_ops(BPF_MAP_TYPE_ARRAY, 13, 100);
	random_ops(BPF_MAP_TYPE_ARRAY, 5000, 3);
	random_ops(BPF_MAP_TYPE_ARRAY, 24, 1);
}

static void test_percpu_array_against_model(void **state)
{
	random_ops(BPF_MAP_TYPE_PERCPU_ARRAY, 8, 100);
	random_ops(BPF_MAP_TYPE_PERCPU_ARRAY, 1, 7);
	random_ops(BPF_MAP_TYPE_PERCPU_ARRAY, 20, 50);
	random_ops(BPF_MAP_TYPE_PERCPU_ARRAY, 32768, 2);
}

static void test_percpu_slots_are_apart(void **state)
{
	struct bpf_map *map = make(BPF_MAP_TYPE_PERCPU_ARRAY, 8, 10, 0);
	u32 key = 3, slots = bpf_nr_slots();
	u64 *values = calloc(slots, 8);

	assert_int_equal(bpf_map_value_size(map), slots * 8);
	for (u32 s = 0; s < slots; s++)
		values[s] = 100 + s;
	assert_int_equal(bpf_map_update(map, &key, values, 0), 0);
	bpf_run_enter();
	u64 *mine = map->ops->map_lookup_elem(map, &key);

	assert_int_equal(*mine, 100 + (u64)bpf_this.slot);
	for (u32 s = 0; s < slots; s++) {
		u64 *slot = map->ops->map_lookup_percpu_elem(map, &key, s);

		assert_int_equal(*slot, 100 + s);
		/* No two on one cache line. */
		assert_true(s == (u32)bpf_this.slot || llabs((char *)slot - (char *)mine) >= 64);
	}
	assert_null(map->ops->map_lookup_percpu_elem(map, &key, slots));
	bpf_run_exit();
	free(values);
	drop(map);
}

/* Run the generated instructions in the interpreter: r1 (the context) is the key's address. */
static u64 run_gen_lookup(struct bpf_map *map, u32 key)
{
	struct bpf_insn insns[16];
	struct bpf_prog *prog;
	int n;
	u64 ret;

	insns[0] = (struct bpf_insn){
		.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_1};
	n = map->ops->map_gen_lookup(map, insns + 1, 14);
	assert_true(n > 0);
	insns[n + 1] = (struct bpf_insn){.code = BPF_JMP | BPF_EXIT};
	prog = rawprog_new(insns, (u32)n + 2);
	assert_non_null(prog);
	bpf_run_enter();
	ret = bpf_prog_run(prog, &key);
	bpf_run_exit();
	rawprog_free(prog);
	return ret;
}

static void test_gen_lookup(void **state)
{
	static const u32 value_sizes[] = {1, 8, 16, 24, 4096, 100};
	static const u32 entries[] = {1, 2, 100, 4096};
	struct bpf_insn one;

	for (u32 v = 0; v < ARRAY_SIZE(value_sizes); v++)
		for (u32 e = 0; e < ARRAY_SIZE(entries); e++) {
			struct bpf_map *map =
				make(BPF_MAP_TYPE_ARRAY, value_sizes[v], entries[e], 0);
			u32 keys[] = {0,	  entries[e] - 1, entries[e], entries[e] + 1,
				      0x7fffffff, 0x80000000,	  ~0u};

			assert_int_equal(map->ops->map_gen_lookup(map, &one, 1), -EOPNOTSUPP);
			for (u32 k = 0; k < ARRAY_SIZE(keys); k++)
				assert_int_equal(
					run_gen_lookup(map, keys[k]),
					(uintptr_t)map->ops->map_lookup_elem(map, &keys[k]));
			drop(map);
		}
	/* More entries than a signed 32-bit comparison knows. */
	struct bpf_map *map = make(BPF_MAP_TYPE_ARRAY, 1, 0x90000000, 0);

	assert_int_equal(run_gen_lookup(map, 0x8fffffff),
			 (uintptr_t)map->values + 8 * 0x8fffffffull);
	assert_int_equal(run_gen_lookup(map, 0x90000000), 0);
	drop(map);
}

static void test_direct_value(void **state)
{
	struct bpf_map *map = make(BPF_MAP_TYPE_ARRAY, 100, 1, 0);
	u32 key = 0;
	u64 addr;

	assert_int_equal(map->ops->map_direct_value_addr(map, &addr, 99), 0);
	assert_int_equal(addr, (uintptr_t)map->ops->map_lookup_elem(map, &key) + 99);
	assert_int_equal(map->ops->map_direct_value_addr(map, &addr, 100), -EINVAL);
	drop(map);
	map = make(BPF_MAP_TYPE_ARRAY, 100, 2, 0);
	assert_int_equal(map->ops->map_direct_value_addr(map, &addr, 0), -EOPNOTSUPP);
	drop(map);
}

static void test_values_file(void **state)
{
	int index = memfd_create("i", 0), values = memfd_create("v", 0);
	struct bpf_map_spec spec = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 600};
	struct bpf_map *map;
	u64 value;

	assert_true(bpf_map_has_values_file(&spec));
	assert_int_equal(bpf_map_create(&spec, 0, index, values, &map), 0);
	for (u32 key = 0; key < 600; key++) {
		value = key + 7;
		assert_int_equal(bpf_map_update(map, &key, &value, 0), 0);
	}
	assert_int_equal(pread(values, &value, 8, 8 * 599), 8);
	assert_int_equal(value, 599 + 7);
	value = 12345;
	assert_int_equal(pwrite(values, &value, 8, 8 * 3), 8);
	bpf_map_put(map);
	bpf_rcu_barrier();
	assert_int_equal(bpf_map_open(index, values, &map), 0);
	for (u32 key = 0; key < 600; key++) {
		assert_int_equal(bpf_map_lookup(map, &key, &value, 0), 0);
		assert_int_equal(value, key == 3 ? 12345 : key + 7);
	}
	drop(map);

	spec.map_type = BPF_MAP_TYPE_PERCPU_ARRAY;
	assert_false(bpf_map_has_values_file(&spec));
	spec.map_type = BPF_MAP_TYPE_HASH;
	assert_false(bpf_map_has_values_file(&spec));
	close(index);
	close(values);
}

static void test_mmapable(void **state)
{
	struct bpf_map *map = make(BPF_MAP_TYPE_ARRAY, 8, 10, BPF_F_MMAPABLE);
	u32 key = 4;
	u64 value = 9, *mapped;

	assert_true(map->arena->values_fd >= 0);
	mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, map->arena->values_fd, 0);
	assert_ptr_not_equal(mapped, MAP_FAILED);
	assert_int_equal(bpf_map_update(map, &key, &value, 0), 0);
	assert_int_equal(mapped[4], 9);
	mapped[4] = 10;
	assert_int_equal(bpf_map_lookup(map, &key, &value, 0), 0);
	assert_int_equal(value, 10);
	munmap(mapped, 4096);
	drop(map);
}

/* B: no aligned word of a value is torn, with several writers and readers. */
static bool stop;

static void *word_writer(void *arg)
{
	struct bpf_map *map = arg;
	u64 value[8];

	for (u64 seq = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); seq++) {
		for (u32 i = 0; i < 8; i++)
			value[i] = (seq & 0xffffffff) * 0x100000001ull;
		assert_int_equal(bpf_map_update(map, &(u32){1}, value, 0), 0);
	}
	return NULL;
}

static void test_b_words_are_whole(void **state)
{
	struct bpf_map *map = make(BPF_MAP_TYPE_ARRAY, 64, 4, 0);
	pthread_t a, b;
	u64 value[8];

	pthread_create(&a, NULL, word_writer, map);
	pthread_create(&b, NULL, word_writer, map);
	for (u32 i = 0; i < 300000; i++) {
		bpf_map_lookup(map, &(u32){1}, value, 0);
		for (u32 w = 0; w < 8; w++)
			assert_int_equal(value[w] >> 32, (u32)value[w]);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	drop(map);
}

/* map/mmap.c, guarantees A and B: constants are followed, and written by nobody else. */
static void test_mirror(void **state)
{
	struct bpf_map *map = make(BPF_MAP_TYPE_ARRAY, 8, 1000, BPF_F_MMAPABLE | BPF_F_RDONLY_PROG);
	u64 before = 17, after = 18, *view;
	u32 early = 0, late = 999;
	int fd;

	assert_int_equal(bpf_map_update(map, &early, &before, BPF_ANY), 0);
	fd = bpf_map_mmap_fd(map);
	assert_true(fd >= 0 && fd != map->arena->values_fd);
	assert_int_equal(bpf_map_mmap_fd(map), fd);
	view = mmap(NULL, 8000, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(view != MAP_FAILED);
	assert_true(view[early] == before && view[late] == 0);
	assert_int_equal(bpf_map_update(map, &late, &after, BPF_ANY), 0);
	assert_int_equal(bpf_map_update(map, &early, &after, BPF_ANY), 0);
	assert_true(view[early] == after && view[late] == after);

	assert_true(mmap(NULL, 8000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	assert_int_equal(mprotect(view, 8000, PROT_READ | PROT_WRITE), -1);
	assert_int_equal(pwrite(fd, &before, 8, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	munmap(view, 8000);
	drop(map);

	map = make(BPF_MAP_TYPE_ARRAY, 8, 10, BPF_F_MMAPABLE);
	assert_int_equal(bpf_map_mmap_fd(map), map->arena->values_fd);
	drop(map);
	map = make(BPF_MAP_TYPE_ARRAY, 8, 10, BPF_F_RDONLY_PROG);
	assert_int_equal(bpf_map_mmap_fd(map), -ENODEV);
	drop(map);
	map = make(BPF_MAP_TYPE_ARRAY, 8, 10, BPF_F_MMAPABLE | BPF_F_WRONLY);
	assert_int_equal(bpf_map_mmap_fd(map), -ENODEV);
	drop(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_array_against_model),
		cmocka_unit_test(test_percpu_array_against_model),
		cmocka_unit_test(test_percpu_slots_are_apart),
		cmocka_unit_test(test_gen_lookup),
		cmocka_unit_test(test_direct_value),
		cmocka_unit_test(test_values_file),
		cmocka_unit_test(test_mmapable),
		cmocka_unit_test(test_mirror),
		cmocka_unit_test(test_b_words_are_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
