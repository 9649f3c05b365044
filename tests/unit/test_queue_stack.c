/*
 * test_queue_stack.c - map/types/queue_stack.c; guarantees by letter
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "map/map.h"
#include "map/create.h"
#include "map/syscall.h"
#include "map/iter.h"
#include "tests/lib/map_model.h"

#define MAX 7

static struct bpf_map *make(enum bpf_map_type type, u32 value_size, u32 max_entries, int fd)
{
	struct bpf_map_spec spec = {
		.map_type = type, .value_size = value_size, .max_entries = max_entries};
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

/* A plain list, oldest first. */
struct model {
	u64 values[MAX];
	u32 nr;
};

static void model_remove(struct model *m, u32 at)
{
	memmove(&m->values[at], &m->values[at + 1], (--m->nr - at) * sizeof(m->values[0]));
}

static int model_push(struct model *m, u64 value, u64 flags)
{
	if (flags != BPF_ANY && flags != BPF_EXIST)
		return -EINVAL;
	if (m->nr == MAX) {
		if (flags != BPF_EXIST)
			return -E2BIG;
		model_remove(m, 0);
	}
	m->values[m->nr++] = value;
	return 0;
}

static int model_take(struct model *m, bool newest, bool remove, u64 *value)
{
	u32 at = newest ? m->nr - 1 : 0;

	*value = 0;
	if (!m->nr)
		return -ENOENT;
	*value = m->values[at];
	if (remove)
		model_remove(m, at);
	return 0;
}

static void compare_walk(struct bpf_map *map, const struct model *m)
{
	struct bpf_map_stats stats;
	struct bpf_map_iter it;
	u64 value;

	bpf_map_iter_init(&it, map, false);
	for (u32 round = 0; round < 2; round++) {
		for (u32 i = 0; i < m->nr; i++) {
			assert_int_equal(bpf_map_iter_next(&it, &value, &value), 1);
			assert_int_equal(value, m->values[i]);
		}
		assert_int_equal(bpf_map_iter_next(&it, &value, &value), 0);
		bpf_map_iter_rewind(&it);
	}
	bpf_map_iter_end(&it);
	bpf_map_stats_read(map, &stats);
	assert_int_equal(stats.entries, m->nr);
}

/* A file, closed and opened again, is the same map. */
static void reopen(struct bpf_map **map, int fd)
{
	bpf_map_put(*map);
	bpf_rcu_barrier();
	assert_int_equal(bpf_map_open(fd, -1, map), 0);
}

static void random_ops(enum bpf_map_type type)
{
	int fd = memfd_create("queue", 0);
	struct bpf_map *map = make(type, 8, MAX, fd);
	struct rnd r = {.state = type};
	struct model m = {};

	for (u32 step = 0; step < 20000; step++) {
		u32 op = rnd_below(&r, 100);
		u64 a = rnd_next(&r), b = a, flags = rnd_below(&r, 4);

		if (op < (step / 500 % 2 ? 60u : 40u)) {
			flags = op % 4 ? BPF_ANY : flags;
			assert_int_equal(bpf_map_update(map, NULL, &a, flags),
					 model_push(&m, b, flags));
		} else if (op < 90) {
			assert_int_equal(bpf_map_pop(map, &a, 0),
					 model_take(&m, type == BPF_MAP_TYPE_STACK, true, &b));
			assert_int_equal(a, b);
		} else {
			int want = model_take(&m, type == BPF_MAP_TYPE_STACK, false, &b);

			assert_int_equal(bpf_map_lookup(map, NULL, &a, 0), want);
			assert_int_equal(a, b);
		}
		if (step % 97 == 0)
			compare_walk(map, &m);
		if (step % 1999 == 0)
			reopen(&map, fd);
	}
	close(fd);
	all_gone(map);
}

static void test_b_d_queue(void **state)
{
	random_ops(BPF_MAP_TYPE_QUEUE);
}

static void test_b_d_stack(void **state)
{
	random_ops(BPF_MAP_TYPE_STACK);
}

static void test_errors(void **state)
{
	static const struct {
		u32 key_size, value_size, max_entries, flags;
		int err;
	} rows[] = {
		{0, 4, 1, 0, 0},
		{4, 4, 1, 0, -EINVAL},
		{0, 0, 1, 0, -EINVAL},
		{0, 4, 0, 0, -EINVAL},
		{0, 4, 1, BPF_F_NO_PREALLOC, -EINVAL},
		{0, 4, 1, BPF_F_MMAPABLE, -EINVAL},
		{0, 4, 1, BPF_F_RDONLY | BPF_F_WRONLY, -EINVAL},
		{0, (4u << 20) + 1, 1, 0, -E2BIG},
		{0, 4u << 20, 0xffffffff, 0, -ENOMEM},
		{0, 8, 0xffffffff, 0, 0},
	};
	struct bpf_map *map;
	u64 value = 1;
	u32 key = 0;

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_QUEUE,
					    .key_size = rows[i].key_size,
					    .value_size = rows[i].value_size,
					    .max_entries = rows[i].max_entries,
					    .map_flags = rows[i].flags};
		int err = bpf_map_create(&spec, 0, -1, -1, &map);

		assert_int_equal(err, rows[i].err);
		if (!err)
			bpf_map_put(map);
	}
	map = make(BPF_MAP_TYPE_QUEUE, 8, 2, -1);
	assert_int_equal(bpf_map_delete(map, &key), -EINVAL);
	assert_int_equal(bpf_map_next_key(map, NULL, &key), -EINVAL);
	assert_int_equal(bpf_map_pop(map, &value, BPF_F_LOCK), -EINVAL);
	all_gone(map);
}

/*
 * ---- C: threads push numbers and pop them; each comes out once, and of a queue in its pusher's
 * order
 */

#define THREADS	 4
#define PER_PUSH 20000

struct worker {
	struct bpf_map *map;
	u32 index;
	u8 *seen; /* THREADS / 2 * PER_PUSH */
	bool ordered;
	bool *done;
};

static void *pusher(void *arg)
{
	struct worker *w = arg;

	for (u64 i = 0; i < PER_PUSH; i++) {
		u64 value[3] = {w->index, i, w->index ^ i};

		while (bpf_map_update(w->map, NULL, value, 0) == -E2BIG)
			sched_yield();
	}
	return NULL;
}

static void *popper(void *arg)
{
	struct worker *w = arg;
	u64 last[THREADS / 2] = {}, value[3];

	for (;;) {
		bool done = __atomic_load_n(w->done, __ATOMIC_ACQUIRE);

		if (bpf_map_pop(w->map, value, 0)) {
			if (done)
				return NULL;
			sched_yield();
			continue;
		}
		if (value[2] != (value[0] ^ value[1]) || value[0] >= THREADS / 2 ||
		    (w->ordered && value[1] + 1 <= last[value[0]]))
			return (void *)1;
		last[value[0]] = value[1] + 1;
		__atomic_fetch_add(&w->seen[value[0] * PER_PUSH + value[1]], 1, __ATOMIC_RELAXED);
	}
}

static void threads(enum bpf_map_type type)
{
	struct bpf_map *map = make(type, 24, 5, -1);
	u8 *seen = calloc(THREADS / 2, PER_PUSH);
	struct worker workers[THREADS];
	pthread_t tid[THREADS];
	bool done = false;
	void *bad;

	for (u32 i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){map, i, seen, type == BPF_MAP_TYPE_QUEUE, &done};
		pthread_create(&tid[i], NULL, i < THREADS / 2 ? pusher : popper, &workers[i]);
	}
	for (u32 i = 0; i < THREADS; i++) {
		pthread_join(tid[i], &bad);
		assert_null(bad);
		if (i == THREADS / 2 - 1)
			__atomic_store_n(&done, true, __ATOMIC_RELEASE);
	}
	for (u32 i = 0; i < THREADS / 2 * PER_PUSH; i++)
		assert_int_equal(seen[i], 1);
	free(seen);
	all_gone(map);
}

static void test_c_queue(void **state)
{
	threads(BPF_MAP_TYPE_QUEUE);
}

static void test_c_stack(void **state)
{
	threads(BPF_MAP_TYPE_STACK);
}

/* ---- E: a walk while values come and go */

static void test_e_walk(void **state)
{
	struct bpf_map *map = make(BPF_MAP_TYPE_STACK, 8, 1000, -1);
	struct bpf_map_iter it;
	u64 value, want = 0;

	for (u64 i = 0; i < 500; i++)
		assert_int_equal(bpf_map_update(map, NULL, &i, 0), 0);
	bpf_map_iter_init(&it, map, false);
	while (bpf_map_iter_next(&it, &value, &value) == 1) {
		u64 junk = 7777;

		if (want < 400) /* what stays below the top is given in order, once */
			assert_int_equal(value, want);
		want++;
		assert_true(want <= 500);
		for (u32 i = 0; want < 90 && i < 3; i++) /* takes some of the upper 100 away */
			bpf_map_pop(map, &value, 0);
		if (want < 90)
			for (u32 i = 0; i < 2; i++)
				bpf_map_update(map, NULL, &junk, 0);
	}
	assert_true(want >= 400);
	bpf_map_iter_end(&it);
	all_gone(map);
}

/* ---- A: SIGKILL at any moment */

struct ledger {
	u64 pushed, popped; /* acknowledged */
};

static void hammer(struct bpf_map *map, struct ledger *ledger)
{
	struct rnd r = {.state = (u64)getpid()};
	u64 value[5], first;

	for (;;) {
		if (rnd_below(&r, 2)) {
			for (u32 i = 0; i < 5; i++)
				value[i] = ledger->pushed + 1;
			if (!bpf_map_update(map, NULL, value, 0))
				__atomic_store_n(&ledger->pushed, value[0], __ATOMIC_SEQ_CST);
		} else if (!bpf_map_pop(map, value, 0)) {
			first = value[0];
			__atomic_store_n(&ledger->popped, first, __ATOMIC_SEQ_CST);
		}
	}
}

static void killed(void)
{
	struct ledger *ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd = memfd_create("queue", 0), status;
	struct bpf_map *map = make(BPF_MAP_TYPE_QUEUE, 40, 6, fd);

	for (u32 round = 0; round < 60; round++) {
		struct bpf_map_iter it;
		u64 value[5], next, before = ledger->pushed;
		pid_t child;

		bpf_map_put(map);
		bpf_rcu_barrier();
		child = fork();
		if (!child) {
			if (bpf_map_open(fd, -1, &map))
				_exit(2);
			hammer(map, ledger);
		}
		/* So many pushes, however long they take; then at any moment. */
		while (__atomic_load_n(&ledger->pushed, __ATOMIC_SEQ_CST) < before + 25 + round &&
		       !waitpid(child, &status, WNOHANG))
			usleep(50);
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));

		assert_int_equal(bpf_map_open(fd, -1, &map), 0);
		bpf_map_iter_init(&it, map, false);
		next = 0;
		while (bpf_map_iter_next(&it, value, value) == 1) {
			for (u32 i = 1; i < 5; i++) /* whole */
				assert_int_equal(value[i], value[0]);
			if (!next) /* at most one pop was not told */
				assert_true(value[0] == ledger->popped + 1 ||
					    value[0] == ledger->popped + 2);
			else
				assert_int_equal(value[0], next);
			next = value[0] + 1;
		}
		bpf_map_iter_end(&it);
		if (next) { /* nothing acknowledged is missing, at most one push was not told */
			assert_true(next - 1 == ledger->pushed || next - 1 == ledger->pushed + 1);
			ledger->pushed = next - 1;
		} else {
			ledger->pushed = ledger->popped = max(ledger->pushed, ledger->popped);
		}
	}
	assert_true(ledger->pushed > 1000);
	munmap(ledger, sizeof(*ledger));
	close(fd);
	all_gone(map);
}

static void test_a_sigkill(void **state)
{
#ifdef __SANITIZE_THREAD__
	print_message("ThreadSanitizer has no threads after a fork\n");
	skip();
#endif
	killed();
}

struct noted {
	struct bpf_map_note note;
	struct bpf_map *map;
	u64 marks[64];
	u32 nr, len;
	u64 value;
};

/* In the middle of a change: all before it were made, it was not. */
static void take_note(struct bpf_map_note *note, u64 mark, const void *data, u32 len)
{
	struct noted *n = container_of(note, struct noted, note);

	assert_false(bpf_map_made(n->map, mark));
	for (u32 i = 0; i < n->nr; i++)
		assert_true(bpf_map_made(n->map, n->marks[i]));
	n->marks[n->nr++] = mark;
	n->len = len;
	if (len)
		memcpy(&n->value, data, len);
}

static void note_changes(enum bpf_map_type type)
{
	struct noted n = {.note = {take_note}, .map = make(type, 8, 2, -1)};
	u64 value;

	bpf_map_noting = &n.note;
	for (u64 i = 1; i <= 10; i++) { /* the word is the same again and again */
		assert_int_equal(bpf_map_update(n.map, NULL, &i, BPF_EXIST), 0);
		assert_int_equal(n.len, 0);
		assert_true(bpf_map_made(n.map, n.marks[n.nr - 1]));
		if (i % 3 == 0) {
			assert_int_equal(bpf_map_pop(n.map, &value, 0), 0);
			assert_int_equal(n.len, 8);
			assert_int_equal(n.value, value);
			assert_true(bpf_map_made(n.map, n.marks[n.nr - 1]));
		}
	}
	assert_int_equal(n.nr, 13);
	while (!bpf_map_pop(n.map, &value, 0))
		;
	assert_int_equal(n.nr, 15); /* none when empty */
	bpf_map_noting = NULL;
	all_gone(n.map);
}

static void test_f_made(void **state)
{
	note_changes(BPF_MAP_TYPE_QUEUE);
	note_changes(BPF_MAP_TYPE_STACK);
}

static void test_a_damaged(void **state)
{
	int fd = memfd_create("queue", 0);
	struct bpf_map *map = make(BPF_MAP_TYPE_QUEUE, 8, 6, fd);
	u64 ends = 7;

	bpf_map_put(map);
	bpf_rcu_barrier();
	assert_int_equal(pwrite(fd, &ends, 8, BPF_ARENA_HEADER_SIZE), 8);
	assert_int_equal(bpf_map_open(fd, -1, &map), -EBADMSG);
	ends = 7ull << 32;
	assert_int_equal(pwrite(fd, &ends, 8, BPF_ARENA_HEADER_SIZE), 8);
	assert_int_equal(bpf_map_open(fd, -1, &map), -EBADMSG);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_sigkill), /* forks: before there are threads */
		cmocka_unit_test(test_a_damaged), cmocka_unit_test(test_b_d_queue),
		cmocka_unit_test(test_b_d_stack), cmocka_unit_test(test_errors),
		cmocka_unit_test(test_c_queue),	  cmocka_unit_test(test_c_stack),
		cmocka_unit_test(test_e_walk),	  cmocka_unit_test(test_f_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
