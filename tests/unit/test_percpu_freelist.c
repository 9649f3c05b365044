/*
 * test_percpu_freelist.c - map/arena/percpu_freelist.h, case by letter
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "map/arena/percpu_freelist.h"
#include "tests/lib/map_model.h"

#define NODE_SIZE 16

struct fixture {
	struct pcpu_freelist fl;
	void *heads;
	char *nodes;
};

static void setup(struct fixture *f, u32 nr_slots, u32 total)
{
	size_t bytes = pcpu_freelist_bytes(nr_slots);

	f->heads = aligned_alloc(64, bytes);
	f->nodes = calloc(total, NODE_SIZE);
	assert_non_null(f->heads);
	assert_non_null(f->nodes);
	memset(f->heads, 0, bytes);
	pcpu_freelist_init(&f->fl, f->heads, nr_slots, f->nodes, NODE_SIZE, total);
}

static void teardown(struct fixture *f)
{
	free(f->heads);
	free(f->nodes);
}

static void test_e_fresh_nodes_ascend(void **state)
{
	struct fixture f;

	setup(&f, 3, 100);
	assert_int_equal(pcpu_freelist_fresh(&f.fl), 1);
	for (u32 i = 1; i < 100; i++) {
		assert_int_equal(pcpu_freelist_pop(&f.fl, i), i);
		assert_int_equal(pcpu_freelist_fresh(&f.fl), i + 1);
	}
	assert_int_equal(pcpu_freelist_pop(&f.fl, 0), 0);
	assert_int_equal(pcpu_freelist_fresh(&f.fl), 100);
	teardown(&f);
}

static void test_own_list_first_then_neighbours(void **state)
{
	struct fixture f;

	setup(&f, 3, 4);
	for (int i = 0; i < 3; i++)
		pcpu_freelist_pop(&f.fl, 0);
	pcpu_freelist_push(&f.fl, 0, 1);
	pcpu_freelist_push(&f.fl, 1, 2);
	pcpu_freelist_push(&f.fl, 2 + 3, 3); /* modulo the slots */
	assert_int_equal(pcpu_freelist_pop(&f.fl, 1), 2);
	assert_int_equal(pcpu_freelist_pop(&f.fl, 1), 3); /* slot 2 is the next neighbour */
	assert_int_equal(pcpu_freelist_pop(&f.fl, 1), 1);
	assert_int_equal(pcpu_freelist_pop(&f.fl, 1), 0);
	teardown(&f);
}

static void test_free_links_are_marked(void **state)
{
	struct fixture f;

	setup(&f, 1, 4);
	for (int i = 0; i < 3; i++)
		pcpu_freelist_pop(&f.fl, 0);
	pcpu_freelist_push(&f.fl, 0, 1);
	pcpu_freelist_push(&f.fl, 0, 3);
	assert_int_equal(*(u32 *)(f.nodes + 1 * NODE_SIZE), PCPU_FREE_LINK);
	assert_int_equal(*(u32 *)(f.nodes + 3 * NODE_SIZE), PCPU_FREE_LINK | 1);
	teardown(&f);
}

static void test_b_against_a_set(void **state)
{
	struct rnd r = {.state = 42};
	bool given[200] = {};
	struct fixture f;
	u32 out = 0;

	setup(&f, 4, 200);
	for (u32 step = 0; step < 200000; step++) {
		bool filling = step / 1000 % 2;

		if (rnd_below(&r, 100) < (filling ? 70 : 30)) {
			u32 idx = pcpu_freelist_pop(&f.fl, rnd_below(&r, 4));

			if (!idx) {
				assert_int_equal(out, 199);
				continue;
			}
			assert_true(idx < 200);
			assert_false(given[idx]);
			given[idx] = true;
			out++;
		} else {
			u32 idx = 1 + rnd_below(&r, 199);

			if (!given[idx])
				continue;
			given[idx] = false;
			out--;
			pcpu_freelist_push(&f.fl, rnd_below(&r, 4), idx);
		}
	}
	teardown(&f);
}

static void test_f_reset(void **state)
{
	struct fixture f;

	setup(&f, 2, 50);
	for (u32 i = 1; i <= 20; i++)
		pcpu_freelist_pop(&f.fl, 0);
	pcpu_freelist_push(&f.fl, 0, 5);
	pcpu_freelist_push(&f.fl, 1, 6);
	pcpu_freelist_reset(&f.fl);
	assert_int_equal(pcpu_freelist_fresh(&f.fl), 21);
	assert_int_equal(pcpu_freelist_pop(&f.fl, 0), 21);
	/* Attaching again, as after a restart, changes nothing. */
	pcpu_freelist_init(&f.fl, f.heads, 2, f.nodes, NODE_SIZE, 50);
	assert_int_equal(pcpu_freelist_pop(&f.fl, 0), 22);
	/* A count that cannot be is clamped. */
	f.fl.heads[2].first = ~0ull;
	pcpu_freelist_reset(&f.fl);
	assert_int_equal(pcpu_freelist_fresh(&f.fl), 50);
	assert_int_equal(pcpu_freelist_pop(&f.fl, 0), 0);
	f.fl.heads[2].first = 0;
	pcpu_freelist_reset(&f.fl);
	assert_int_equal(pcpu_freelist_pop(&f.fl, 0), 1);
	teardown(&f);
}

/* ---- many threads */

#define THREADS 4
#define NODES	64

struct worker {
	struct fixture *f;
	u32 slot;
	u32 rounds;
	u64 failures; /* pops that failed */
	u64 *owner; /* by node: who has it; unsynchronised, so the sanitizer checks B and C too */
};

/* Each takes up to NODES / THREADS nodes, so a pop never may fail: that is D. */
static void *worker(void *arg)
{
	struct worker *w = arg;
	struct rnd r = {.state = w->slot * 77 + 1};
	u32 mine[NODES / THREADS], n = 0;

	for (u32 i = 0; i < w->rounds; i++) {
		if (n < ARRAY_SIZE(mine) && rnd_below(&r, 2)) {
			u32 idx = pcpu_freelist_pop(&w->f->fl, w->slot);

			if (!idx) {
				w->failures++;
				continue;
			}
			if (w->owner[idx])
				w->failures += 1000000;
			w->owner[idx] = w->slot + 1;
			mine[n++] = idx;
		} else if (n) {
			u32 pick = rnd_below(&r, n), idx = mine[pick];

			mine[pick] = mine[--n];
			if (w->owner[idx] != w->slot + 1)
				w->failures += 1000000;
			w->owner[idx] = 0;
			/* Often to a neighbour's list, so that lists are shared. */
			pcpu_freelist_push(&w->f->fl, rnd_below(&r, THREADS), idx);
		}
	}
	while (n) {
		w->owner[mine[--n]] = 0;
		pcpu_freelist_push(&w->f->fl, w->slot, mine[n]);
	}
	return NULL;
}

static void test_a_to_d_threads(void **state)
{
	u64 owner[NODES + 1] = {};
	struct worker w[THREADS];
	pthread_t tid[THREADS];
	bool seen[NODES + 1] = {};
	struct fixture f;
	u32 idx, n = 0;

	setup(&f, 2, NODES + 1); /* fewer lists than threads */
	for (u32 i = 0; i < THREADS; i++) {
		w[i] = (struct worker){.f = &f, .slot = i, .rounds = 400000, .owner = owner};
		assert_int_equal(pthread_create(&tid[i], NULL, worker, &w[i]), 0);
	}
	for (u32 i = 0; i < THREADS; i++) {
		pthread_join(tid[i], NULL);
		assert_int_equal(w[i].failures, 0);
	}
	while ((idx = pcpu_freelist_pop(&f.fl, 0))) {
		assert_false(seen[idx]);
		seen[idx] = true;
		n++;
	}
	assert_int_equal(n, NODES);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_e_fresh_nodes_ascend),
		cmocka_unit_test(test_own_list_first_then_neighbours),
		cmocka_unit_test(test_free_links_are_marked),
		cmocka_unit_test(test_b_against_a_set),
		cmocka_unit_test(test_f_reset),
		cmocka_unit_test(test_a_to_d_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
