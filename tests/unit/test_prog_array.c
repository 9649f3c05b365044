/*
 * test_prog_array.c - map/fd/prog_array.c; guarantees by letter
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <cmocka.h>
#include "map/map.h"
#include "map/create.h"
#include "map/syscall.h"
#include "map/iter.h"
#include "tests/lib/map_model.h"

static const struct bpf_insn exit_0[] = {
	{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
	{.code = BPF_JMP | BPF_EXIT},
};

static struct bpf_prog *prog_new(enum bpf_prog_type type, u32 id, struct bpf_map *uses)
{
	struct bpf_prog_load_attr attr = {.prog_type = type,
					  .name = "p",
					  .license = "GPL",
					  .insns = exit_0,
					  .insn_cnt = 2,
					  .maps = &uses,
					  .map_cnt = uses ? 1 : 0,
					  .id = id};
	struct bpf_prog *prog = bpf_prog_alloc(&attr);

	assert_non_null(prog);
	assert_int_equal(bpf_prog_publish(prog), 0);
	return prog;
}

static const struct bpf_map_spec spec = {
	.map_type = BPF_MAP_TYPE_PROG_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 8};

static struct bpf_map *make(void)
{
	struct bpf_map *map;

	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
	return map;
}

static void all_gone(void)
{
	/* Freeing a map may put programs, freeing programs may put maps. */
	for (int i = 0; i < 3; i++)
		bpf_rcu_barrier();
	assert_int_equal(bpf_map_live_count(), 0);
	assert_int_equal(bpf_prog_live_count(), 0);
}

static struct bpf_prog *get(struct bpf_map *map, u32 index)
{
	struct bpf_prog *prog;

	bpf_rcu_read_lock();
	prog = bpf_prog_array_get(map, index);
	bpf_rcu_read_unlock();
	return prog;
}

static void test_set_get_clear(void **state)
{
	struct bpf_map *map = make();
	struct bpf_prog *a = prog_new(BPF_PROG_TYPE_XDP, 0, NULL);
	struct bpf_prog *b = prog_new(BPF_PROG_TYPE_XDP, 0, NULL);
	struct bpf_map_stats stats;
	struct bpf_map_iter it;
	u32 key = 2, id, past = 8;

	assert_null(get(map, 2));
	assert_null(get(map, 8));
	assert_null(get(map, ~0u));
	assert_int_equal(bpf_map_lookup(map, &key, &id, 0), -ENOENT);
	assert_int_equal(bpf_map_delete(map, &key), -ENOENT);
	assert_int_equal(bpf_map_delete(map, &past), -E2BIG);
	assert_int_equal(bpf_map_update_slot(map, &past, a, 0), -E2BIG);
	assert_int_equal(bpf_map_update_slot(map, &key, a, BPF_NOEXIST), -EINVAL);

	assert_int_equal(bpf_map_update_slot(map, &key, a, 0), 0);
	assert_ptr_equal(get(map, 2), a);
	assert_int_equal(a->refcnt, 2);
	assert_int_equal(bpf_map_lookup(map, &key, &id, 0), 0);
	assert_int_equal(id, a->id);

	id = b->id; /* by id, as `echo ID > entries/2` */
	assert_int_equal(bpf_map_update(map, &key, &id, 0), 0);
	assert_ptr_equal(get(map, 2), b);
	assert_int_equal(a->refcnt, 1);
	assert_int_equal(b->refcnt, 2);
	id = 123456;
	assert_int_equal(bpf_map_update(map, &key, &id, 0), -ENOENT);

	bpf_map_iter_init(&it, map, false);
	assert_int_equal(bpf_map_iter_next(&it, &key, &id), 1);
	assert_int_equal(key, 2);
	assert_int_equal(id, b->id);
	assert_int_equal(bpf_map_iter_next(&it, &key, &id), 0);
	bpf_map_iter_end(&it);
	bpf_map_stats_read(map, &stats);
	assert_int_equal(stats.entries, 1);

	key = 2;
	assert_int_equal(bpf_map_delete(map, &key), 0);
	assert_null(get(map, 2));
	assert_int_equal(b->refcnt, 1);
	bpf_prog_put(a);
	bpf_prog_put(b);
	bpf_map_put(map);
	all_gone();
}

static void test_c_compatible(void **state)
{
	struct bpf_map *map = make();
	struct bpf_prog *xdp = prog_new(BPF_PROG_TYPE_XDP, 0, NULL);
	struct bpf_prog *tc = prog_new(BPF_PROG_TYPE_SCHED_CLS, 0, NULL);
	struct bpf_prog *jited = prog_new(BPF_PROG_TYPE_XDP, 0, NULL);
	u32 key = 0;

	jited->jited_len = 100;
	assert_true(bpf_prog_map_compatible(map, xdp));
	assert_false(bpf_prog_map_compatible(map, tc));
	assert_false(bpf_prog_map_compatible(map, jited));
	assert_int_equal(bpf_map_update_slot(map, &key, tc, 0), -EINVAL);
	assert_int_equal(bpf_map_update_slot(map, &key, jited, 0), -EINVAL);
	assert_int_equal(bpf_map_update_slot(map, &key, xdp, 0), 0);
	assert_int_equal(tc->refcnt, 1);
	jited->jited_len = 0;
	bpf_prog_put(xdp);
	bpf_prog_put(tc);
	bpf_prog_put(jited);
	bpf_map_put(map);
	all_gone();
}

/* A program with a storage joins those of the same one; without any it may too, as in Linux. */
static void test_c_storages(void **state)
{
	for (u32 type = 0; type < MAX_BPF_CGROUP_STORAGE_TYPE; type++) {
		struct bpf_map *map = make(), first = {.id = 71}, second = {.id = 72};
		struct bpf_prog *one = prog_new(BPF_PROG_TYPE_CGROUP_SKB, 0, NULL);
		struct bpf_prog *other = prog_new(BPF_PROG_TYPE_CGROUP_SKB, 0, NULL);
		struct bpf_prog *none = prog_new(BPF_PROG_TYPE_CGROUP_SKB, 0, NULL);

		one->cgroup_storage[type] = &first;
		other->cgroup_storage[type] = &second;
		assert_true(bpf_prog_map_compatible(map, one));
		assert_false(bpf_prog_map_compatible(map, other));
		assert_true(bpf_prog_map_compatible(map, none));
		other->cgroup_storage[type] = &first;
		assert_true(bpf_prog_map_compatible(map, other));
		/* In an array of programs without any, none with one. */
		bpf_map_put(map);
		map = make();
		assert_true(bpf_prog_map_compatible(map, none));
		assert_false(bpf_prog_map_compatible(map, one));
		one->cgroup_storage[type] = other->cgroup_storage[type] = NULL;
		bpf_prog_put(one);
		bpf_prog_put(other);
		bpf_prog_put(none);
		bpf_map_put(map);
	}
	all_gone();
}

/* D: a program that tail-calls itself through the array that holds it. */
static void test_d_cycle_is_broken(void **state)
{
	struct bpf_map *map = make();
	struct bpf_prog *prog = prog_new(BPF_PROG_TYPE_XDP, 0, map);
	u32 key = 5;

	assert_int_equal(bpf_map_update_slot(map, &key, prog, 0), 0);
	bpf_map_inc(map); /* a pin */
	bpf_map_put(map);
	assert_non_null(get(map, 5));
	bpf_prog_put(prog);
	assert_int_equal(bpf_prog_live_count(), 1); /* the slot holds it */
	bpf_map_put(map);
	all_gone();
}

/* priv: what cannot be had now. */
static int get_by_id(u32 id, void *priv, void **object)
{
	if (priv && id == *(const u32 *)priv)
		return -EIO;
	*object = bpf_prog_get_by_id(id);
	return *object ? 0 : -ENOENT;
}

static void test_b_restart(void **state)
{
	int fd = memfd_create("m", 0);
	struct bpf_prog *a, *b;
	struct bpf_map *map;
	u32 key, id;

	assert_int_equal(bpf_map_create(&spec, 0, fd, -1, &map), 0);
	a = prog_new(BPF_PROG_TYPE_XDP, 501, NULL);
	b = prog_new(BPF_PROG_TYPE_XDP, 502, NULL);
	for (key = 0; key < 4; key++)
		assert_int_equal(bpf_map_update_slot(map, &key, key % 2 ? b : a, 0), 0);
	/* An orderly end keeps what the slots hold. */
	bpf_map_keep_slots = true;
	bpf_map_put(map);
	bpf_prog_put(a);
	bpf_prog_put(b);
	all_gone();
	bpf_map_keep_slots = false;

	/* Program 502 does not come back. */
	a = prog_new(BPF_PROG_TYPE_XDP, 501, NULL);
	assert_int_equal(bpf_map_open(fd, -1, &map), 0);
	assert_int_equal(bpf_map_restore_slots(map, get_by_id, NULL), 0);
	for (key = 0; key < 8; key++) {
		bool there = key < 4 && key % 2 == 0;

		assert_int_equal(bpf_map_lookup(map, &key, &id, 0), there ? 0 : -ENOENT);
		assert_ptr_equal(get(map, key), there ? a : NULL);
	}
	assert_int_equal(a->refcnt, 3);
	bpf_prog_put(a);
	bpf_map_put(map);
	all_gone();
	close(fd);
}

/* What cannot be had now, or does not fit now, keeps its slot for another start. */
static void test_b_restart_keeps(void **state)
{
	int fd = memfd_create("m", 0);
	u32 key, id, lacks = 601;
	struct bpf_prog *a, *b;
	struct bpf_map *map;

	assert_int_equal(bpf_map_create(&spec, 0, fd, -1, &map), 0);
	a = prog_new(BPF_PROG_TYPE_XDP, 601, NULL);
	b = prog_new(BPF_PROG_TYPE_XDP, 602, NULL);
	for (key = 0; key < 2; key++)
		assert_int_equal(bpf_map_update_slot(map, &key, key ? b : a, 0), 0);
	bpf_map_keep_slots = true;
	bpf_map_put(map);
	bpf_prog_put(b);
	bpf_prog_put(a);
	all_gone();

	/*
	 * 601 cannot be read; 602 is of another type for once, and the array is asked by one of the
	 * old.
	 */
	a = prog_new(BPF_PROG_TYPE_XDP, 603, NULL);
	b = prog_new(BPF_PROG_TYPE_SOCKET_FILTER, 602, NULL);
	assert_int_equal(bpf_map_open(fd, -1, &map), 0);
	assert_true(bpf_prog_map_compatible(map, a));
	assert_int_equal(bpf_map_restore_slots(map, get_by_id, &lacks), 2);
	for (key = 0; key < 2; key++)
		assert_int_equal(bpf_map_lookup(map, &key, &id, 0), -ENOENT);
	bpf_map_put(map);
	bpf_prog_put(b);
	bpf_prog_put(a);
	all_gone();

	a = prog_new(BPF_PROG_TYPE_XDP, 601, NULL);
	b = prog_new(BPF_PROG_TYPE_XDP, 602, NULL);
	assert_int_equal(bpf_map_open(fd, -1, &map), 0);
	assert_int_equal(bpf_map_restore_slots(map, get_by_id, NULL), 0);
	assert_ptr_equal(get(map, 0), a);
	assert_ptr_equal(get(map, 1), b);
	bpf_map_keep_slots = false;
	bpf_map_put(map);
	bpf_prog_put(a);
	bpf_prog_put(b);
	all_gone();
	close(fd);
}

static void test_refused_specs(void **state)
{
	struct bpf_map_spec bad = spec;
	struct bpf_map *map;

	bad.value_size = 8;
	assert_int_equal(bpf_map_create(&bad, 0, -1, -1, &map), -EINVAL);
	bad = spec;
	bad.key_size = 8;
	assert_int_equal(bpf_map_create(&bad, 0, -1, -1, &map), -EINVAL);
	bad = spec;
	bad.map_flags = BPF_F_RDONLY_PROG;
	assert_int_equal(bpf_map_create(&bad, 0, -1, -1, &map), -EINVAL);
	bad = spec;
	bad.map_flags = BPF_F_MMAPABLE;
	assert_int_equal(bpf_map_create(&bad, 0, -1, -1, &map), -EINVAL);
	bad = spec;
	bad.max_entries = 0;
	assert_int_equal(bpf_map_create(&bad, 0, -1, -1, &map), -EINVAL);
}

/* A: what a reader sees lives until its section ends, while others replace and free programs. */
static bool stop;

static void *reader(void *arg)
{
	struct bpf_map *map = arg;
	u64 sum = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		bpf_run_enter();
		for (u32 i = 0; i < 100; i++) {
			struct bpf_prog *prog = bpf_prog_array_get(map, i % 8);

			if (prog)
				sum += prog->type + prog->len;
		}
		bpf_run_exit();
	}
	return (void *)(uintptr_t)(sum != 0);
}

static void test_a_replaced_under_readers(void **state)
{
	struct bpf_map *map = make();
	pthread_t tid;
	struct rnd r = {.state = 5};

	pthread_create(&tid, NULL, reader, map);
	for (u32 i = 0; i < 3000; i++) {
		u32 key = rnd_below(&r, 8);

		if (rnd_below(&r, 3)) {
			struct bpf_prog *prog = prog_new(BPF_PROG_TYPE_XDP, 0, NULL);

			assert_int_equal(bpf_map_update_slot(map, &key, prog, 0), 0);
			bpf_prog_put(prog);
		} else {
			bpf_map_delete(map, &key);
		}
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(tid, NULL);
	bpf_map_put(map);
	all_gone();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_get_clear),
		cmocka_unit_test(test_c_compatible),
		cmocka_unit_test(test_c_storages),
		cmocka_unit_test(test_d_cycle_is_broken),
		cmocka_unit_test(test_b_restart),
		cmocka_unit_test(test_b_restart_keeps),
		cmocka_unit_test(test_refused_specs),
		cmocka_unit_test(test_a_replaced_under_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
