/*
 * test_cgroup_storage.c - how map/types/cgroup_storage.c is used by cgroup/ and test runs;
 * guarantees by letter
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include "cgroup/cgroup.h"
#include "load.h"
#include "map/map.h"
#include "prog_type/cgroup_test_run.h"
#include "run/test_run.h"
#include "map/create.h"
#include "map/syscall.h"
#include "map/iter.h"
#include "map/types/cgroup_storage.h"
#include "tests/lib/object.h"

#define MULTI BPF_F_ALLOW_MULTI

static u8 packet[74] = {[12] = 8, [14] = 0x45};

struct counts {
	u64 packets, bytes;
};

struct loaded {
	struct bpf_loaded l;
	void *data;
	struct bpf_map *by_direction, *by_cgroup;
};

static void load(struct loaded *x, bool no_jit)
{
	struct bpf_object_load_opts opts = {.no_jit = no_jit};
	size_t size;

	x->data = test_object_bytes("cgroup_storage", &size);
	if (bpf_object_load(x->data, size, &opts, &x->l))
		fail_msg("%s", bpf_log_text(&x->l.report));
	for (u32 i = 0; i < 2; i++)
		if (bpf_cgroup_storage_type(x->l.maps[i]) == BPF_CGROUP_STORAGE_PERCPU)
			x->by_cgroup = x->l.maps[i];
		else
			x->by_direction = x->l.maps[i];
}

static void unload(struct loaded *x)
{
	bpf_loaded_free(&x->l);
	free(x->data);
	for (u32 i = 0; i < 4; i++)
		bpf_rcu_barrier();
	assert_int_equal(bpf_map_live_count(), 0);
}

static int run(struct cgroup *cgrp, u32 type)
{
	struct bpf_test_run run = {.data_in = packet, .data_size_in = sizeof(packet)};

	assert_int_equal(cgroup_bpf_test_run(cgrp, type, &run), 0);
	return (int)run.retval;
}

static int packets(const struct loaded *x, struct cgroup *cgrp, u32 type)
{
	struct bpf_cgroup_storage_key key = {cgroup_id(cgrp), type};
	struct counts c;
	int err = bpf_map_lookup(x->by_direction, &key, &c, 0);

	return err ? err : (int)c.packets;
}

static int all_packets(const struct loaded *x, struct cgroup *cgrp)
{
	u64 key = cgroup_id(cgrp), values[BPF_MAX_SLOTS], sum = 0;
	int err = bpf_map_lookup(x->by_cgroup, &key, values, 0);

	for (u32 i = 0; !err && i < bpf_nr_slots(); i++)
		sum += values[i];
	return err ? err : (int)sum;
}

static struct cgroup *child(struct cgroup *parent)
{
	struct cgroup *cgrp;

	assert_int_equal(cgroup_create(parent, 0, &cgrp), 0);
	return cgrp;
}

static void drop(struct cgroup *cgrp)
{
	cgroup_remove(cgrp);
	cgroup_put(cgrp);
}

enum { COUNT_IN, EVERY_OTHER, COUNT_OUT }; /* in the order of their sections */

static int attach(struct cgroup *cgrp, u32 type, const struct loaded *x, u32 prog)
{
	return cgroup_bpf_attach(cgrp, type, x->l.progs[prog], NULL, MULTI);
}

/*
 * A storage belongs to the cgroup of the attachment; it outlives a detach, and ends with its
 * cgroup.
 */
static void attachments(bool no_jit)
{
	struct cgroup *root = cgroup_root_new(), *a = child(root), *b = child(a), *c = child(b);
	struct loaded x;

	load(&x, no_jit);
	assert_int_equal(packets(&x, a, CGROUP_INET_INGRESS), -ENOENT);
	assert_int_equal(attach(a, CGROUP_INET_INGRESS, &x, COUNT_IN), 0);
	assert_int_equal(packets(&x, a, CGROUP_INET_INGRESS), 0);
	assert_int_equal(packets(&x, a, CGROUP_INET_EGRESS), -ENOENT);
	assert_int_equal(all_packets(&x, a), 0);
	assert_int_equal(run(c, CGROUP_INET_INGRESS), 1);
	assert_int_equal(run(a, CGROUP_INET_INGRESS), 1);
	assert_int_equal(packets(&x, a, CGROUP_INET_INGRESS), 2);
	assert_int_equal(packets(&x, c, CGROUP_INET_INGRESS), -ENOENT);
	/* b's own runs beside a's; another program of the same map shares. */
	assert_int_equal(attach(b, CGROUP_INET_INGRESS, &x, COUNT_IN), 0);
	assert_int_equal(attach(b, CGROUP_INET_EGRESS, &x, COUNT_OUT), 0);
	assert_int_equal(attach(b, CGROUP_INET_INGRESS, &x, EVERY_OTHER), 0);
	run(c, CGROUP_INET_INGRESS);
	run(c, CGROUP_INET_EGRESS);
	assert_int_equal(packets(&x, a, CGROUP_INET_INGRESS), 3);
	assert_int_equal(packets(&x, b, CGROUP_INET_INGRESS), 2);
	assert_int_equal(packets(&x, b, CGROUP_INET_EGRESS), 1);
	assert_int_equal(all_packets(&x, a), 3);
	assert_int_equal(all_packets(&x, b), 3); /* the key without a direction */
	assert_int_equal(cgroup_bpf_detach(b, CGROUP_INET_INGRESS, x.l.progs[COUNT_IN]), 0);
	assert_int_equal(cgroup_bpf_detach(b, CGROUP_INET_INGRESS, x.l.progs[EVERY_OTHER]), 0);
	assert_int_equal(packets(&x, b, CGROUP_INET_INGRESS), 2);
	assert_int_equal(attach(b, CGROUP_INET_INGRESS, &x, COUNT_IN), 0);
	run(b, CGROUP_INET_INGRESS);
	assert_int_equal(packets(&x, b, CGROUP_INET_INGRESS), 3);
	drop(c);
	{
		struct bpf_cgroup_storage_key key = {cgroup_id(b), CGROUP_INET_INGRESS};
		u64 plain = cgroup_id(b), values[BPF_MAX_SLOTS];
		struct counts counts;

		drop(b);
		assert_int_equal(bpf_map_lookup(x.by_direction, &key, &counts, 0), -ENOENT);
		assert_int_equal(bpf_map_lookup(x.by_cgroup, &plain, values, 0), -ENOENT);
	}
	assert_int_equal(packets(&x, a, CGROUP_INET_INGRESS), 4);
	drop(a);
	cgroup_put(root);
	unload(&x);
}

static void test_attachments(void **state)
{
	attachments(false);
	attachments(true);
}

/* A test run has a storage of its own, kept over its repeats. */
static void test_temporary(void **state)
{
	struct cgroup *root = cgroup_root_new();
	struct loaded x;

	load(&x, false);
	assert_int_equal(attach(root, CGROUP_INET_INGRESS, &x, EVERY_OTHER), 0);
	for (u32 i = 1; i < 5; i++) {
		struct bpf_test_run run = {
			.data_in = packet, .data_size_in = sizeof(packet), .repeat = i};

		assert_int_equal(bpf_prog_test_run(x.l.progs[EVERY_OTHER], &run), 0);
		assert_int_equal(run.retval, !(i & 1));
	}
	assert_int_equal(packets(&x, root, CGROUP_INET_INGRESS), 0);
	/* Outside of any cgroup: a place, but nobody's. */
	bpf_run_enter();
	bpf_cgroup_storage_gone(12345);
	bpf_run_exit();
	cgroup_put(root);
	unload(&x);
}

/* ---- the map from outside */

static struct bpf_map *make(enum bpf_map_type type, u32 key_size, u32 value_size, int fd)
{
	struct bpf_map_spec spec = {
		.map_type = type, .key_size = key_size, .value_size = value_size};
	struct bpf_map *map;

	assert_int_equal(bpf_map_create(&spec, 0, fd, -1, &map), 0);
	return map;
}

/* As an attachment does it: a program that names the map is all that it takes. */
static int link_one(struct bpf_map *map, u64 id, u32 type, struct bpf_cgroup_storages *out)
{
	struct bpf_prog prog = {0};

	prog.cgroup_storage[bpf_cgroup_storage_type(map)] = map;
	return bpf_cgroup_storages_get(&prog, id, type, out);
}

static void test_outside(void **state)
{
	struct bpf_map *map = make(BPF_MAP_TYPE_CGROUP_STORAGE, 16, 12, -1);
	struct bpf_cgroup_storage_key key = {7, 1}, next;
	struct bpf_cgroup_storages s;
	struct bpf_map_iter it;
	u32 value[3] = {1, 2, 3}, n = 0;

	assert_int_equal(bpf_map_update(map, &key, value, BPF_ANY), -ENOENT);
	assert_int_equal(bpf_map_update(map, &key, value, BPF_NOEXIST), -EINVAL);
	assert_int_equal(bpf_map_delete(map, &key), -EINVAL);
	assert_int_equal(bpf_map_next_key(map, NULL, &next), -ENOENT);
	for (u64 id = 5; id < 9; id++)
		for (u32 type = 0; type < 2; type++)
			assert_int_equal(link_one(map, id, type, &s), 0);
	assert_int_equal(bpf_map_update(map, &key, value, BPF_NOEXIST), -EINVAL);
	assert_int_equal(bpf_map_update(map, &key, value, BPF_F_LOCK), -EINVAL);
	assert_int_equal(bpf_map_update(map, &key, value, BPF_EXIST), 0);
	assert_int_equal(bpf_map_delete(map, &key), -EINVAL);
	memset(value, 0, sizeof(value));
	assert_int_equal(bpf_map_lookup(map, &key, value, 0), 0);
	assert_int_equal(value[2], 3);
	assert_int_equal(bpf_map_next_key(map, NULL, &key), 0);
	do
		n++;
	while (!bpf_map_next_key(map, &key, &key));
	assert_int_equal(n, 8);
	key.cgroup_inode_id = 99;
	assert_int_equal(bpf_map_next_key(map, &key, &next), -ENOENT);
	bpf_map_iter_init(&it, map, false);
	for (n = 0; bpf_map_iter_next(&it, &key, value) > 0; n++)
		assert_int_equal(value[0],
				 key.cgroup_inode_id == 7 && key.attach_type == 1 ? 1 : 0);
	bpf_map_iter_end(&it);
	assert_int_equal(n, 8);
	assert_int_equal(bpf_map_freeze(map), 0);
	assert_int_equal(bpf_map_update(map, &key, value, BPF_EXIST), -EPERM);
	bpf_map_put(map);
	bpf_rcu_barrier();
}

static void test_specs(void **state)
{
	static const struct {
		u32 type, key_size, value_size, max_entries, flags;
		int err;
	} rows[] = {
		{BPF_MAP_TYPE_CGROUP_STORAGE, 4, 8, 0, 0, -EINVAL},
		{BPF_MAP_TYPE_CGROUP_STORAGE, 12, 8, 0, 0, -EINVAL},
		{BPF_MAP_TYPE_CGROUP_STORAGE, 16, 0, 0, 0, -EINVAL},
		{BPF_MAP_TYPE_CGROUP_STORAGE, 16, 8, 1, 0, -EINVAL},
		{BPF_MAP_TYPE_CGROUP_STORAGE, 16, 1 << 17, 0, 0, -E2BIG},
		{BPF_MAP_TYPE_CGROUP_STORAGE, 8, 8, 0, BPF_F_NO_PREALLOC, -EINVAL},
		{BPF_MAP_TYPE_CGROUP_STORAGE, 8, 8, 0, BPF_F_RDONLY_PROG, 0},
		{BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, 16, 32768, 0, 0, 0},
		{BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, 16, 32769, 0, 0, -E2BIG},
	};
	struct bpf_map *map;

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bpf_map_spec spec = {.map_type = rows[i].type,
					    .key_size = rows[i].key_size,
					    .value_size = rows[i].value_size,
					    .max_entries = rows[i].max_entries,
					    .map_flags = rows[i].flags};

		assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), rows[i].err);
		if (!rows[i].err)
			bpf_map_put(map);
	}
	bpf_rcu_barrier();
}

/* A, B: an ended element comes back zero, and not before a reader that has it is done. */
static void test_a_b_reuse(void **state)
{
	struct bpf_map *map = make(BPF_MAP_TYPE_CGROUP_STORAGE, 16, 8, -1);
	struct bpf_cgroup_storages s, t;
	u64 *first;

	assert_int_equal(link_one(map, 1, 0, &s), 0);
	first = s.value[0];
	*first = 77;
	bpf_rcu_read_lock();
	bpf_cgroup_storage_gone(1);
	for (u64 id = 2; id < 50; id++) {
		assert_int_equal(link_one(map, id, 0, &t), 0);
		assert_ptr_not_equal(t.value[0], first);
	}
	assert_int_equal(*first, 77);
	bpf_rcu_read_unlock();
	bpf_rcu_barrier();
	assert_int_equal(link_one(map, 50, 0, &t), 0);
	assert_ptr_equal(t.value[0], first);
	assert_int_equal(*first, 0);
	/* What an attachment that failed had made goes with it, and nothing else. */
	assert_int_equal(link_one(map, 50, 0, &s), 0);
	assert_false(s.made[0]);
	bpf_cgroup_storages_undo(&s);
	assert_int_equal(link_one(map, 51, 0, &s), 0);
	assert_true(s.made[0]);
	bpf_cgroup_storages_undo(&s);
	{
		struct bpf_cgroup_storage_key key = {50, 0};
		u64 value;

		assert_int_equal(bpf_map_lookup(map, &key, &value, 0), 0);
		key.cgroup_inode_id = 51;
		assert_int_equal(bpf_map_lookup(map, &key, &value, 0), -ENOENT);
	}
	bpf_map_put(map);
	for (u32 i = 0; i < 3; i++)
		bpf_rcu_barrier();
	assert_int_equal(bpf_map_live_count(), 0);
}

static bool even(u64 id)
{
	return id % 2 == 0;
}

/* D: a file that was not closed in order. */
static void test_d_recovery(void **state)
{
	int fd = memfd_create("index", 0), copy = memfd_create("copy", 0);
	struct bpf_map *map = make(BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, 8, 8, fd);
	struct bpf_cgroup_storages s;
	u64 values[BPF_MAX_SLOTS] = {0};
	off_t size = lseek(fd, 0, SEEK_END);
	struct bpf_map_stats stats;
	struct bpf_map *again;
	void *bytes;

	for (u64 id = 10; id < 20; id++) {
		assert_int_equal(link_one(map, id, 0, &s), 0);
		values[0] = id;
		assert_int_equal(bpf_map_update(map, &id, values, BPF_ANY), 0);
	}
	bpf_cgroup_storage_gone(13);
	bytes = mmap(NULL, 1 << 20, PROT_READ, MAP_SHARED, fd, 0);
	assert_int_equal(ftruncate(copy, size), 0);
	assert_int_equal(pwrite(copy, bytes, 1 << 20, 0), 1 << 20);
	munmap(bytes, 1 << 20);
	bpf_map_put(map);
	for (u32 i = 0; i < 3; i++)
		bpf_rcu_barrier();
	assert_int_equal(bpf_map_open(copy, -1, &again), 0);
	bpf_map_stats_read(again, &stats);
	assert_int_equal(stats.entries, 9);
	bpf_cgroup_storage_keep(even);
	for (u64 id = 10; id < 20; id++) {
		assert_int_equal(bpf_map_lookup(again, &id, values, 0), id % 2 ? -ENOENT : 0);
		assert_true(id % 2 || values[0] == id);
	}
	bpf_map_put(again);
	for (u32 i = 0; i < 3; i++)
		bpf_rcu_barrier();
	assert_int_equal(bpf_map_live_count(), 0);
	close(fd);
	close(copy);
}

/* Packets, attachments, and cgroups that come and go, at once. */
static bool stop;

static void *pusher(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		run(arg, CGROUP_INET_INGRESS);
	return NULL;
}

static void test_threads(void **state)
{
	struct cgroup *root = cgroup_root_new(), *a = child(root);
	struct loaded x;
	pthread_t tid[2];

	load(&x, false);
	assert_int_equal(attach(root, CGROUP_INET_INGRESS, &x, COUNT_IN), 0);
	for (u32 i = 0; i < 2; i++)
		pthread_create(&tid[i], NULL, pusher, a);
	for (u32 i = 0; i < 2000; i++) {
		struct cgroup *b = child(a);

		attach(i % 2 ? a : b, CGROUP_INET_INGRESS, &x, i % 3 ? COUNT_IN : EVERY_OTHER);
		run(b, CGROUP_INET_INGRESS);
		if (i % 4 == 3)
			cgroup_bpf_detach(a, CGROUP_INET_INGRESS, x.l.progs[COUNT_IN]);
		drop(b);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (u32 i = 0; i < 2; i++)
		pthread_join(tid[i], NULL);
	assert_true(packets(&x, root, CGROUP_INET_INGRESS) >= 2000);
	drop(a);
	cgroup_put(root);
	unload(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attachments), cmocka_unit_test(test_temporary),
		cmocka_unit_test(test_outside),	    cmocka_unit_test(test_specs),
		cmocka_unit_test(test_a_b_reuse),   cmocka_unit_test(test_d_recovery),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
