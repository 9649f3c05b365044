/*
 * test_map_in_map.c - map/fd/map_in_map.c; guarantees by letter
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "load.h"
#include "map/map.h"
#include "tests/lib/map_model.h"
#include "uapi/bpf_insn.h"
#include "map/create.h"
#include "map/syscall.h"
#include "map/iter.h"

#define MAX 8

static const enum bpf_map_type outer_types[] = {BPF_MAP_TYPE_ARRAY_OF_MAPS,
						BPF_MAP_TYPE_HASH_OF_MAPS};

static const struct bpf_map_spec array_spec = {
	.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 2};
static const struct bpf_map_spec hash_spec = {
	.map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 8, .max_entries = 2};

static struct bpf_map *make(const struct bpf_map_spec *spec)
{
	struct bpf_map *map;

	assert_int_equal(bpf_map_create(spec, 0, -1, -1, &map), 0);
	return map;
}

static int outer_try(enum bpf_map_type type, u32 template, int fd, struct bpf_map **out)
{
	struct bpf_map_spec spec = {.map_type = type,
				    .key_size = 4,
				    .value_size = 4,
				    .max_entries = MAX,
				    .inner_map_id = template};

	return bpf_map_create(&spec, 0, fd, -1, out);
}

static struct bpf_map *outer_new(enum bpf_map_type type, const struct bpf_map *template)
{
	struct bpf_map *map;

	assert_int_equal(outer_try(type, template->id, -1, &map), 0);
	return map;
}

static void all_gone(void)
{
	for (int i = 0; i < 3; i++)
		bpf_rcu_barrier();
	assert_int_equal(bpf_map_live_count(), 0);
}

static struct bpf_map *get(struct bpf_map *outer, u32 key)
{
	struct bpf_map *map;

	bpf_rcu_read_lock();
	map = outer->ops->map_lookup_elem(outer, &key);
	bpf_rcu_read_unlock();
	return map;
}

static void test_slots(void **state)
{
	for (u32 t = 0; t < ARRAY_SIZE(outer_types); t++) {
		struct bpf_map *a = make(&array_spec), *b = make(&array_spec);
		struct bpf_map *outer = outer_new(outer_types[t], a);
		u32 key = 3, id, past = MAX;
		struct bpf_map_stats stats;
		struct bpf_map_iter it;

		assert_null(get(outer, 3));
		assert_int_equal(bpf_map_lookup(outer, &key, &id, 0), -ENOENT);
		assert_int_equal(bpf_map_update_slot(outer, &key, a, 0), 0);
		assert_int_equal(a->refcnt, 2);
		assert_int_equal(a->uref, 1);
		assert_ptr_equal(get(outer, 3), a);
		assert_int_equal(bpf_map_lookup(outer, &key, &id, 0), 0);
		assert_int_equal(id, a->id);
		id = b->id;
		assert_int_equal(bpf_map_update(outer, &key, &id, 0), 0);
		assert_int_equal(a->refcnt, 1);
		assert_int_equal(b->refcnt, 2);
		assert_ptr_equal(get(outer, 3), b);
		id = 99999;
		assert_int_equal(bpf_map_update(outer, &key, &id, 0), -ENOENT);
		if (t == 0)
			assert_int_equal(bpf_map_update_slot(outer, &past, a, 0), -E2BIG);
		bpf_map_iter_init(&it, outer, false);
		assert_int_equal(bpf_map_iter_next(&it, &key, &id), 1);
		assert_int_equal(key, 3);
		assert_int_equal(id, b->id);
		assert_int_equal(bpf_map_iter_next(&it, &key, &id), 0);
		bpf_map_iter_end(&it);
		bpf_map_stats_read(outer, &stats);
		assert_int_equal(stats.entries, 1);

		/* The slot keeps the map alive when its maker drops it. */
		bpf_map_put(b);
		bpf_rcu_barrier();
		assert_ptr_equal(get(outer, 3), b);
		assert_int_equal(bpf_map_delete(outer, &key), 0);
		assert_int_equal(bpf_map_delete(outer, &key), -ENOENT);
		assert_null(get(outer, 3));
		bpf_rcu_barrier();
		assert_int_equal(bpf_map_live_count(), 2);
		assert_int_equal(bpf_map_update_slot(outer, &key, a, 0), 0);
		bpf_map_put(a);
		bpf_map_put(outer);
		all_gone();
	}
}

/* C, and which templates there are. */
static void test_c_fits(void **state)
{
	struct bpf_map_spec specs[] = {array_spec, array_spec, array_spec,
				       array_spec, hash_spec,  array_spec};
	struct bpf_map *a = make(&array_spec), *h = make(&hash_spec), *outer, *other;
	struct bpf_map_spec prog_spec = {.map_type = BPF_MAP_TYPE_PROG_ARRAY,
					 .key_size = 4,
					 .value_size = 4,
					 .max_entries = 2};
	struct bpf_map *progs = make(&prog_spec);
	u32 key = 1;

	specs[0].value_size = 16;
	specs[1].max_entries = 3;
	specs[2].map_flags = BPF_F_RDONLY_PROG;
	specs[3].map_type = BPF_MAP_TYPE_PERCPU_ARRAY;
	specs[5].value_size = 4;
	for (u32 t = 0; t < ARRAY_SIZE(outer_types); t++) {
		outer = outer_new(outer_types[t], a);
		assert_int_equal(outer_try(outer_types[t], outer->id, -1, &other), -EINVAL);
		assert_int_equal(outer_try(outer_types[t], progs->id, -1, &other), -EOPNOTSUPP);
		assert_int_equal(outer_try(outer_types[t], 99999, -1, &other), -EBADF);
		for (u32 i = 0; i < ARRAY_SIZE(specs); i++) {
			u32 past = outer->max_entries;

			other = make(&specs[i]);
			if (t == 0) /* said first */
				assert_int_equal(bpf_map_update_slot(outer, &past, other, 0),
						 -E2BIG);
			assert_int_equal(bpf_map_update_slot(outer, &key, other, 0), -EINVAL);
			assert_int_equal(other->refcnt, 1);
			bpf_map_put(other);
		}
		bpf_map_put(outer);

		/* Hashes may be of any size, and arrays if the template says so. */
		outer = outer_new(outer_types[t], h);
		specs[4].max_entries = 77;
		other = make(&specs[4]);
		assert_int_equal(bpf_map_update_slot(outer, &key, other, 0), 0);
		bpf_map_put(other);
		bpf_map_put(outer);
		specs[1].map_flags = BPF_F_INNER_MAP;
		other = make(&specs[1]);
		outer = outer_new(outer_types[t], other);
		specs[1].max_entries = 50;
		bpf_map_put(other);
		other = make(&specs[1]);
		assert_int_equal(bpf_map_update_slot(outer, &key, other, 0), 0);
		bpf_map_put(other);
		bpf_map_put(outer);
		specs[1].map_flags = 0;
		specs[1].max_entries = 3;
	}
	bpf_map_put(a);
	bpf_map_put(h);
	bpf_map_put(progs);
	all_gone();
}

/* Kinds that can be in a map of maps, and one of another size: is it taken in? */
static const struct {
	enum bpf_map_type type;
	u32 flags, other_size;
	bool fits;
} kinds[] = {
	{BPF_MAP_TYPE_ARRAY, 0, 1, false},
	{BPF_MAP_TYPE_ARRAY, 0, 5, false},
	{BPF_MAP_TYPE_ARRAY, BPF_F_INNER_MAP, 1, true},
	{BPF_MAP_TYPE_PERCPU_ARRAY, 0, 1, false},
	{BPF_MAP_TYPE_PERCPU_ARRAY, 0, 5, false},
	{BPF_MAP_TYPE_HASH, 0, 1, true},
	{BPF_MAP_TYPE_PERCPU_HASH, 0, 1, true},
	{BPF_MAP_TYPE_LRU_HASH, 0, 1, true},
	{BPF_MAP_TYPE_LRU_PERCPU_HASH, 0, 1, true},
	{BPF_MAP_TYPE_LPM_TRIE, BPF_F_NO_PREALLOC, 1, true},
};

/* A lookup of key 3 in the map in slot 0, and a load from what it finds, NULL or not. */
static int load_without_check(struct bpf_map *outer)
{
	const struct bpf_insn insns[] = {
		BPF_ST_MEM(BPF_W, BPF_REG_10, -8, 0),
		BPF_MOV64_REG(BPF_REG_2, BPF_REG_10),
		BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, -8),
		BPF_LD_MAP_IDX(BPF_REG_1, 0),
		BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem),
		BPF_JMP_IMM(BPF_JEQ, BPF_REG_0, 0, 6),
		BPF_ST_MEM(BPF_W, BPF_REG_10, -8, 3),
		BPF_MOV64_REG(BPF_REG_1, BPF_REG_0),
		BPF_MOV64_REG(BPF_REG_2, BPF_REG_10),
		BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, -8),
		BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem),
		BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_0, 0),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog_load_attr attr = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
					  .license = "GPL",
					  .insns = insns,
					  .insn_cnt = ARRAY_SIZE(insns),
					  .maps = &outer,
					  .map_cnt = 1};
	struct bpf_prog *prog;
	int err = bpf_prog_load(&attr, NULL, NULL, NULL, &prog);

	if (!err)
		bpf_prog_put(prog);
	return err;
}

/* C: what a program need not check in the template is there in each map. */
static void test_c_no_check_is_left_out(void **state)
{
	for (u32 i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct bpf_map_spec spec = {
			.map_type = kinds[i].type,
			.key_size = kinds[i].type == BPF_MAP_TYPE_LPM_TRIE ? 8 : 4,
			.value_size = 8,
			.max_entries = 4,
			.map_flags = kinds[i].flags,
		};
		struct bpf_map *template = make(&spec), *other, *outer;
		u32 key = 0;

		spec.max_entries = kinds[i].other_size;
		other = make(&spec);
		for (u32 t = 0; t < ARRAY_SIZE(outer_types); t++) {
			outer = outer_new(outer_types[t], template);
			assert_int_equal(bpf_map_update_slot(outer, &key, other, 0),
					 kinds[i].fits ? 0 : -EINVAL);
			assert_int_equal(load_without_check(outer), kinds[i].fits ? -EACCES : 0);
			bpf_map_put(outer);
		}
		bpf_map_put(template);
		bpf_map_put(other);
	}
	all_gone();
}

/* ---- B: what a new process finds */

static int by_id(u32 id, void *priv, void **object)
{
	*object = id == *(u32 *)priv ? NULL : bpf_map_get_by_id(id);
	return *object ? 0 : -ENOENT;
}

static int unreadable(u32 id, void *priv, void **object)
{
	return id == *(u32 *)priv ? -EIO : by_id(id, priv, object);
}

static void test_b_restore(void **state)
{
	for (u32 t = 0; t < ARRAY_SIZE(outer_types); t++) {
		struct bpf_map *a = make(&array_spec), *b = make(&array_spec), *outer;
		int fd = memfd_create("outer", 0);
		u32 lost = b->id, id, n = 0, keys[] = {1, 4, 6};
		struct bpf_map_stats stats;
		struct bpf_map_iter it;
		u32 key;

		assert_int_equal(outer_try(outer_types[t], a->id, fd, &outer), 0);
		for (u32 i = 0; i < 3; i++)
			assert_int_equal(bpf_map_update_slot(outer, &keys[i], i == 1 ? b : a, 0),
					 0);
		bpf_map_put(outer);
		bpf_rcu_barrier();
		bpf_rcu_barrier();
		assert_int_equal(a->refcnt, 1);
		assert_int_equal(b->refcnt, 1);
		assert_int_equal(bpf_map_open(fd, -1, &outer), 0);
		assert_int_equal(outer->inner_map_meta->value_size, 8);
		if (t == 1)
			assert_int_equal(bpf_map_update_slot(outer, &keys[0], a, 0), -EBUSY);
		assert_int_equal(bpf_map_restore_slots(outer, by_id, &lost), 0);
		assert_int_equal(a->refcnt, 3);
		assert_int_equal(a->uref, 1);
		assert_int_equal(b->refcnt, 1);
		assert_ptr_equal(get(outer, 1), a);
		assert_null(get(outer, 4));
		assert_ptr_equal(get(outer, 6), a);
		bpf_map_iter_init(&it, outer, false);
		while (bpf_map_iter_next(&it, &key, &id) == 1)
			n++;
		bpf_map_iter_end(&it);
		assert_int_equal(n, 2);
		bpf_map_stats_read(outer, &stats);
		assert_int_equal(stats.entries, 2);
		assert_int_equal(bpf_map_update_slot(outer, &keys[0], b, 0), 0);
		assert_int_equal(a->refcnt, 2);
		bpf_map_put(outer);
		bpf_map_put(a);
		bpf_map_put(b);
		close(fd);
		all_gone();
	}
}

/* ---- A: lookups while keys are exchanged; the maps that go are freed under the readers */

struct race {
	struct bpf_map *outer;
	bool stop;
	u32 nothing, wrong;
	u64 reads;
};

static void *race_reader(void *arg)
{
	struct race *race = arg;
	u32 key = 2, zero = 0;

	while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED)) {
		struct bpf_map *map;
		u64 *value;

		bpf_run_enter();
		map = race->outer->ops->map_lookup_elem(race->outer, &key);
		if (!map) {
			__atomic_fetch_add(&race->nothing, 1, __ATOMIC_RELAXED);
		} else {
			value = map->ops->map_lookup_elem(map, &zero);
			if (__atomic_load_n(value, __ATOMIC_RELAXED) != 42)
				__atomic_fetch_add(&race->wrong, 1, __ATOMIC_RELAXED);
		}
		bpf_run_exit();
		__atomic_fetch_add(&race->reads, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void test_a_exchange(void **state)
{
	for (u32 t = 0; t < ARRAY_SIZE(outer_types); t++) {
		struct bpf_map *first = make(&array_spec);
		struct race race = {.outer = outer_new(outer_types[t], first)};
		u32 key = 2, zero = 0;
		u64 value = 42;
		pthread_t tid[2];

		assert_int_equal(bpf_map_update(first, &zero, &value, 0), 0);
		assert_int_equal(bpf_map_update_slot(race.outer, &key, first, 0), 0);
		bpf_map_put(first);
		for (u32 i = 0; i < 2; i++)
			pthread_create(&tid[i], NULL, race_reader, &race);
		/* At least until both have begun and are at work. */
		for (u32 i = 0; i < 3000 || __atomic_load_n(&race.reads, __ATOMIC_RELAXED) <= 100;
		     i++) {
			struct bpf_map *next = make(&array_spec);

			assert_int_equal(bpf_map_update(next, &zero, &value, 0), 0);
			assert_int_equal(bpf_map_update_slot(race.outer, &key, next, 0), 0);
			bpf_map_put(next);
		}
		__atomic_store_n(&race.stop, true, __ATOMIC_RELAXED);
		for (u32 i = 0; i < 2; i++)
			pthread_join(tid[i], NULL);
		assert_int_equal(race.nothing, 0);
		assert_int_equal(race.wrong, 0);
		bpf_map_put(race.outer);
		all_gone();
	}
}

static void outer_end(struct bpf_map *outer)
{
	bpf_map_put(outer);
	bpf_rcu_barrier();
	bpf_rcu_barrier();
}

/* What cannot be read at one start is there at the next. */
static void test_b_restore_keeps(void **state)
{
	for (u32 t = 0; t < ARRAY_SIZE(outer_types); t++) {
		int fd = memfd_create("outer", 0), index = memfd_create("inner", 0),
		    values = memfd_create("values", 0);
		struct bpf_map *inner, *outer;
		u32 id, none = 0, key = 4;

		assert_int_equal(bpf_map_create(&array_spec, 0, index, values, &inner), 0);
		assert_int_equal(outer_try(outer_types[t], inner->id, fd, &outer), 0);
		assert_int_equal(bpf_map_update_slot(outer, &key, inner, 0), 0);
		id = inner->id;
		outer_end(outer);
		outer_end(inner);

		assert_int_equal(bpf_map_open(fd, -1, &outer), 0);
		assert_int_equal(bpf_map_restore_slots(outer, unreadable, &id), 1);
		assert_null(get(outer, key));
		outer_end(outer);

		assert_int_equal(bpf_map_open(index, values, &inner), 0);
		assert_int_equal(bpf_map_open(fd, -1, &outer), 0);
		assert_int_equal(bpf_map_restore_slots(outer, by_id, &none), 0);
		assert_ptr_equal(get(outer, key), inner);
		assert_int_equal(inner->refcnt, 2);
		outer_end(outer);
		assert_int_equal(inner->refcnt, 1);

		/* It can be had after all: its reference must be taken. */
		assert_int_equal(bpf_map_open(fd, -1, &outer), 0);
		bpf_map_restore_slots(outer, unreadable, &id);
		assert_int_equal(inner->refcnt, get(outer, key) ? 2 : 1);
		outer_end(outer);
		assert_int_equal(inner->refcnt, 1);
		bpf_map_put(inner);
		close(fd);
		close(index);
		close(values);
		all_gone();
	}
}

/* A huge map costs what is used of it, also when it ends and when it is opened. */
static void test_huge(void **state)
{
	struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_ARRAY_OF_MAPS,
				    .key_size = 4,
				    .value_size = 4,
				    .max_entries = 0xffffffff};
	struct bpf_map *a = make(&array_spec), *outer;
	u32 key = 5000, id, none = 0;
	struct bpf_map_iter it;
	struct stat st;
	int fd = memfd_create("outer", 0);

	spec.inner_map_id = a->id;
	assert_int_equal(bpf_map_create(&spec, 0, fd, -1, &outer), 0);
	assert_int_equal(bpf_map_update_slot(outer, &key, a, 0), 0);
	for (u32 round = 0; round < 2; round++) {
		bpf_map_iter_init(&it, outer, false);
		assert_int_equal(bpf_map_iter_next(&it, &key, &id), 1);
		assert_int_equal(id, a->id);
		assert_int_equal(bpf_map_iter_next(&it, &key, &id), 0);
		bpf_map_iter_end(&it);
		bpf_map_put(outer);
		bpf_rcu_barrier();
		bpf_rcu_barrier();
		assert_int_equal(a->refcnt, 1);
		assert_int_equal(fstat(fd, &st), 0);
		assert_true(st.st_blocks * 512 < 1 << 20);
		if (round)
			break;
		assert_int_equal(bpf_map_open(fd, -1, &outer), 0);
		assert_int_equal(bpf_map_restore_slots(outer, by_id, &none), 0);
	}
	bpf_map_put(a);
	close(fd);
	all_gone();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_c_fits),
		cmocka_unit_test(test_b_restore),
		cmocka_unit_test(test_a_exchange),
		cmocka_unit_test(test_huge),
		cmocka_unit_test(test_c_no_check_is_left_out),
		cmocka_unit_test(test_b_restore_keeps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
