/*
 * test_lru_list.c - map/hash/lru_list.h by itself: the "map" is an array that says which nodes
 * have an entry
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "map/hash/lru_list.h"
#include "tests/lib/map_model.h"

struct fixture {
	struct bpf_lru *lru;
	void *lists, *nodes;
	u8 *refs;
	bool *linked; /* by node: has an entry in the map */
	u32 evicted, *victims;
	u32 back_until; /* ranks from here on have no memory */
};

static bool del_from_htab(void *arg, u32 node)
{
	struct fixture *f = arg;

	if (!f->linked[node])
		return false;
	f->linked[node] = false;
	f->victims[f->evicted++ % 4096] = node;
	return true;
}

static bool back(void *arg, u32 rank, u32 nr)
{
	struct fixture *f = arg;

	return rank + nr <= f->back_until;
}

static void setup(struct fixture *f, u32 nr_nodes, u32 nr_slots, bool percpu)
{
	size_t lists = bpf_lru_lists_bytes(nr_slots), nodes;

	memset(f, 0, sizeof(*f));
	nodes = bpf_lru_nodes_bytes(nr_nodes, nr_slots);
	f->lists = aligned_alloc(64, lists);
	f->nodes = calloc(1, nodes);
	memset(f->lists, 0, lists);
	f->lru = bpf_lru_new(f->lists, f->nodes, nr_nodes, nr_slots, percpu);
	assert_non_null(f->lru);
	f->refs = calloc(nr_nodes + 1, 1);
	f->linked = calloc(nodes / sizeof(struct bpf_lru_node), 1);
	f->victims = calloc(4096, sizeof(u32));
	f->lru->refs = f->refs;
	f->lru->ref_stride = 1;
	f->lru->first_elem = 1;
	f->lru->del_from_htab = del_from_htab;
	f->lru->back = back;
	f->lru->arg = f;
	f->back_until = ~0u;
	bpf_lru_reset(f->lru);
}

static void teardown(struct fixture *f)
{
	bpf_lru_free(f->lru);
	free(f->lists);
	free(f->nodes);
	free(f->refs);
	free(f->linked);
	free(f->victims);
}

static u32 insert(struct fixture *f, u32 slot)
{
	u32 n = bpf_lru_pop_free(f->lru, slot);

	assert_true(n);
	assert_false(f->linked[n]);
	f->linked[n] = true;
	return n;
}

static void reference(struct fixture *f, u32 n)
{
	f->refs[f->lru->nodes[n].elem] = 1;
}

static u32 nr_linked(const struct fixture *f)
{
	u32 nr = 0;

	for (u32 i = 0; i < f->lru->nr_nodes; i++)
		nr += f->linked[f->lru->first_node + i];
	return nr;
}

static void test_f_fresh_ascend(void **state)
{
	struct fixture f;

	setup(&f, 500, 1, false);
	for (u32 i = 0; i < 500; i++) {
		u32 n = insert(&f, 0);

		assert_int_equal(n, f.lru->first_node + i);
		assert_int_equal(f.lru->nodes[n].elem, 1 + i);
		assert_true(bpf_lru_fresh(f.lru, 0) <= i + f.lru->target_free);
	}
	assert_int_equal(f.evicted, 0);
	teardown(&f);
}

static void test_a_takes_from_all_slots_before_it_evicts(void **state)
{
	struct fixture f;

	setup(&f, 2000, 3, false);
	for (u32 i = 0; i < 2000; i++)
		insert(&f, i % 7 ? 0 : 1 + i % 2);
	assert_int_equal(f.evicted, 0);
	assert_int_equal(nr_linked(&f), 2000);
	insert(&f, 2);
	assert_true(f.evicted >= 1 && f.evicted <= f.lru->target_free);
	/* What was evicted too much is used up by any slot before the next eviction. */
	u32 spare = f.evicted - 1, before = f.evicted;

	for (u32 i = 0; i < spare; i++)
		insert(&f, i % 3);
	assert_int_equal(f.evicted, before);
	teardown(&f);
}

static void test_freed_nodes_come_back(void **state)
{
	struct rnd r = {.state = 8};

	for (int percpu = 0; percpu < 2; percpu++) {
		struct fixture f;
		u32 deleted = 0, inserted = 0;

		setup(&f, 300, 3, percpu);
		for (u32 step = 0; step < 100000; step++) {
			u32 n = f.lru->first_node + rnd_below(&r, 300);

			if (f.linked[n] && rnd_below(&r, 3) == 0) {
				f.linked[n] = false;
				bpf_lru_push_free(f.lru, n);
				deleted++;
			} else if (f.linked[n] && rnd_below(&r, 2)) {
				reference(&f, n);
			} else {
				insert(&f, rnd_below(&r, 3));
				inserted++;
			}
			assert_int_equal(inserted, deleted + f.evicted + nr_linked(&f));
		}
		assert_true(deleted > 1000 && f.evicted > 1000);
		teardown(&f);
	}
}

static void test_c_rotation_only_while_active_is_longer(void **state)
{
	struct fixture f;
	struct bpf_lru_list *l;
	u32 active;

	setup(&f, 1000, 1, false);
	l = &f.lru->lists[0];
	for (u32 i = 0; i < 1000; i++) {
		u32 n = insert(&f, 0);

		if (i < 300)
			reference(&f, n);
	}
	insert(&f, 0); /* flushes the rest, evicts */
	active = l->counts[BPF_LRU_LIST_T_ACTIVE];
	assert_int_equal(active, 300);
	assert_true(l->counts[BPF_LRU_LIST_T_INACTIVE] > active);
	/*
	 * While the inactive list is longer, no active entry moves, though none was referenced
	 * again.
	 */
	while (l->counts[BPF_LRU_LIST_T_INACTIVE] >= l->counts[BPF_LRU_LIST_T_ACTIVE] &&
	       f.evicted < 400) {
		insert(&f, 0);
		assert_int_equal(l->counts[BPF_LRU_LIST_T_ACTIVE], 300);
	}
	/* Reference all that are inactive: they become active, and then rotation must begin. */
	for (u32 i = 0; i < 1000; i++)
		if (f.lru->nodes[f.lru->first_node + i].type == BPF_LRU_LIST_T_INACTIVE)
			reference(&f, f.lru->first_node + i);
	for (u32 i = 0; i < 3000; i++)
		insert(&f, 0);
	assert_true(l->counts[BPF_LRU_LIST_T_ACTIVE] < 900);
	assert_true(l->counts[BPF_LRU_LIST_T_INACTIVE] > 0);
	teardown(&f);
}

/* Equally long is not longer. */
static void test_c_equal_lists_do_not_rotate(void **state)
{
	struct fixture f;

	setup(&f, 200, 1, false);
	for (u32 i = 0; i < 200; i++) {
		u32 n = insert(&f, 0);

		if (i % 2)
			reference(&f, n);
	}
	insert(&f, 0);
	assert_true(f.evicted > 0);
	assert_int_equal(f.lru->lists[0].counts[BPF_LRU_LIST_T_ACTIVE], 100);
	teardown(&f);
}

/*
 * Step 2 of a rotation: once around the inactive list, wherever the last one stopped. The oldest
 * entries are not referenced, so that eviction takes those and looks at no other.
 */
static void test_c_rotation_goes_once_around(void **state)
{
	const u32 nr = 20, old = 6;

	for (u32 start = 0; start <= nr; start++) {
		struct fixture f;
		u32 nodes[20];

		setup(&f, nr, 1, true);
		f.lru->nr_scans = 2 * nr;
		for (u32 i = 0; i < nr; i++)
			nodes[i] = insert(&f, 0);
		for (u32 i = old; i < nr; i++)
			reference(&f, nodes[i]);
		/* At a node, or where it is at first. */
		if (start < nr)
			f.lru->lists[0].next_inactive_rotation = nodes[start];
		insert(&f, 0);
		for (u32 i = 0; i < f.evicted; i++)
			assert_int_equal(f.victims[i], nodes[i]);
		assert_in_range(f.evicted, 1, old);
		for (u32 i = old; i < nr; i++) {
			assert_int_equal(f.lru->nodes[nodes[i]].type, BPF_LRU_LIST_T_ACTIVE);
			assert_int_equal(f.refs[f.lru->nodes[nodes[i]].elem], 0);
		}
		assert_int_equal(f.lru->lists[0].counts[BPF_LRU_LIST_T_ACTIVE], nr - old);
		teardown(&f);
	}
}

/* But no more nodes than NR_SCANS, and the next rotation goes on behind them. */
static void test_c_rotation_stops_after_its_scans(void **state)
{
	struct fixture f;
	u32 nr, old = 6, *nodes;

	setup(&f, 2000, 1, true);
	nr = f.lru->nr_nodes;
	nodes = calloc(nr, sizeof(*nodes));
	assert_true(nr > 2 * f.lru->nr_scans + old);
	for (u32 i = 0; i < nr; i++)
		nodes[i] = insert(&f, 0);
	for (u32 i = old; i < nr; i += 2)
		reference(&f, nodes[i]);
	f.lru->lists[0].next_inactive_rotation = nodes[old];
	insert(&f, 0);
	for (u32 i = old; i < nr; i++)
		assert_int_equal(f.lru->nodes[nodes[i]].type,
				 i < old + f.lru->nr_scans && i % 2 == 0 ? BPF_LRU_LIST_T_ACTIVE
									 : BPF_LRU_LIST_T_INACTIVE);
	assert_int_equal(f.lru->lists[0].next_inactive_rotation, nodes[old + f.lru->nr_scans]);
	free(nodes);
	teardown(&f);
}

static void test_d_oldest_unreferenced_goes_first(void **state)
{
	struct fixture f;
	u32 nodes[200];

	setup(&f, 200, 1, false);
	for (u32 i = 0; i < 200; i++)
		nodes[i] = insert(&f, 0);
	for (u32 i = 0; i < 200; i += 2)
		reference(&f, nodes[i]);
	/* The unreferenced ones, in the order in which they came. */
	for (u32 i = 0; i < 90; i++)
		insert(&f, 0);
	assert_true(f.evicted >= 90);
	for (u32 i = 0; i < 90; i++)
		assert_int_equal(f.victims[i], nodes[2 * i + 1]);
	for (u32 i = 0; i < 200; i += 2)
		assert_true(f.linked[nodes[i]]);
	teardown(&f);
}

static void test_d_all_referenced_forces_one(void **state)
{
	struct fixture f;
	u32 nodes[64];

	setup(&f, 64, 1, false);
	for (u32 i = 0; i < 64; i++)
		nodes[i] = insert(&f, 0);
	for (u32 round = 0; round < 500; round++) {
		for (u32 i = 0; i < 64; i++)
			reference(&f, nodes[i]);
		insert(&f, 0);
	}
	assert_int_equal(f.evicted, 500);
	assert_int_equal(nr_linked(&f), 64);
	teardown(&f);
}

static void test_e_fails_only_when_nothing_is_linked(void **state)
{
	for (int percpu = 0; percpu < 2; percpu++) {
		struct fixture f;
		u32 nodes[8];

		setup(&f, 8, 2, percpu);
		for (u32 i = 0; i < 8; i++) { /* taken, and linked by nobody */
			nodes[i] = bpf_lru_pop_free(f.lru, i % 2);
			assert_true(nodes[i]);
		}
		assert_int_equal(bpf_lru_pop_free(f.lru, 0), 0);
		assert_int_equal(bpf_lru_pop_free(f.lru, 1), 0);
		bpf_lru_push_free(f.lru, nodes[3]);
		assert_int_equal(bpf_lru_pop_free(f.lru, 1), nodes[3]);
		/*
		 * One linked anywhere (own lists: there) is enough, also on another slot's pending
		 * list.
		 */
		f.linked[nodes[2]] = true;
		reference(&f, nodes[2]);
		assert_int_equal(bpf_lru_pop_free(f.lru, percpu ? 0 : 1), nodes[2]);
		assert_int_equal(f.evicted, 1);
		teardown(&f);
	}
}

static void test_own_lists_do_not_mix(void **state)
{
	struct fixture f;
	u32 share = 100;

	setup(&f, 300, 3, true);
	for (u32 i = 0; i < 1000; i++) {
		u32 slot = i % 3, n = insert(&f, slot), rank = n - f.lru->first_node;

		assert_int_equal(rank / share, slot);
		assert_int_equal(f.lru->nodes[n].slot, slot);
	}
	teardown(&f);
}

static void test_without_memory_it_evicts(void **state)
{
	struct fixture f;

	setup(&f, 10000, 1, false);
	f.back_until = 1024;
	for (u32 i = 0; i < 5000; i++)
		assert_true(insert(&f, 0) < f.lru->first_node + 1024);
	assert_true(f.evicted >= 5000 - 1024);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_f_fresh_ascend),
		cmocka_unit_test(test_a_takes_from_all_slots_before_it_evicts),
		cmocka_unit_test(test_freed_nodes_come_back),
		cmocka_unit_test(test_c_rotation_only_while_active_is_longer),
		cmocka_unit_test(test_c_equal_lists_do_not_rotate),
		cmocka_unit_test(test_c_rotation_goes_once_around),
		cmocka_unit_test(test_c_rotation_stops_after_its_scans),
		cmocka_unit_test(test_d_oldest_unreferenced_goes_first),
		cmocka_unit_test(test_d_all_referenced_forces_one),
		cmocka_unit_test(test_e_fails_only_when_nothing_is_linked),
		cmocka_unit_test(test_own_lists_do_not_mix),
		cmocka_unit_test(test_without_memory_it_evicts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
