/*
 * test_map_linear.c - each key of a map is one register: what threads saw has an order that
 * explains it
 *
 * Round by round three threads do random operations on a few keys of one map. Each operation is
 * noted with the moments of a common clock at which it began and ended, and with its result. Then,
 * key by key, an order is looked for in which every operation lies between its two moments and a
 * plain model gives just these results (linearizability, Herlihy and Wing). Every written value is
 * another one, in each word of the value, so a torn value has no place in any order.
 *
 * A third of the work is done as programs do it, with a slot. There only the presence of a key
 * counts: what a pointer points to may change at once (docs/reference.md, "Pointers to values").
 *
 * The maps have room for each thread's work in hand: an element that is taken out is free a moment
 * later only, so that a full map may say E2BIG although a key was just seen to go (as Linux's
 * does).
 *
 * Each type's rounds take half a second, or STRESS_SECONDS.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>
#include <cmocka.h>
#include "run/run.h"
#include "map/map.h"
#include "map/create.h"
#include "map/syscall.h"
#include "tests/lib/map_model.h"

#define THREADS	  3
#define KEYS	  2
#define OPS	  400 /* a thread and round: long enough for the threads to meet */
#define MAX_VALUE 64 /* 8-byte words */

enum kind { LOOKUP, UPDATE, DELETE };

struct op {
	enum kind kind;
	u32 key;
	u64 flags, begin, end;
	u64 value; /* written, or seen; 0: nobody looked */
	int ret;
};

struct linear {
	struct bpf_map *map;
	bool fixed; /* arrays: every key is there */
	struct bpf_map **objects; /* what goes into slots, or NULL */
	u32 nr_objects;
	u64 initial[KEYS]; /* 0: absent */

	u64 clock, unique;
	u32 round, ready; /* of a barrier that does not sleep */
	bool stop;
	struct op ops[THREADS][OPS];
	u64 overlaps;
};

/* ---- doing */

static void key_bytes(const struct linear *l, u32 key, u8 *out)
{
	memset(out, 0, l->map->key_size);
	if (l->map->map_type == BPF_MAP_TYPE_LPM_TRIE) {
		u32 prefixlen = 32;

		memcpy(out, &prefixlen, 4);
		out[7] = (u8)key;
		return;
	}
	out[0] = (u8)key;
	out[l->map->key_size - 1] |= l->map->key_size > 8 ? (u8)key : 0;
}

static int do_lookup(struct linear *l, struct op *op, const u8 *key, bool inside)
{
	u64 value[MAX_VALUE];
	u32 size = bpf_map_value_size(l->map);
	int err;

	if (inside && !l->objects && !l->fixed) {
		bpf_run_enter();
		err = l->map->ops->map_lookup_elem(l->map, key) ? 0 : -ENOENT;
		bpf_run_exit();
		return err;
	}
	err = bpf_map_lookup(l->map, key, value, 0);
	if (err)
		return err;
	op->value = size == 4 ? (u32)value[0] : value[0];
	for (u32 i = 1; i < size / 8; i++)
		if (!l->fixed && value[i] != value[0])
			op->value = UINT64_MAX; /* torn: nobody wrote that */
	return 0;
}

static int do_update(struct linear *l, struct op *op, struct rnd *r, const u8 *key, bool inside)
{
	u64 value[MAX_VALUE];
	long err;

	if (l->objects) {
		struct bpf_map *object = l->objects[rnd_below(r, l->nr_objects)];

		op->value = object->id;
		return bpf_map_update_slot(l->map, key, object, op->flags);
	}
	op->value = __atomic_add_fetch(&l->unique, 1, __ATOMIC_RELAXED);
	for (u32 i = 0; i < MAX_VALUE; i++)
		value[i] = op->value;
	/* A program writes its own slot's value only: not what the others look at. */
	if (!inside || l->map->ops->percpu)
		return bpf_map_update(l->map, key, value, op->flags);
	bpf_run_enter();
	err = l->map->ops->map_update_elem(l->map, key, value, op->flags);
	bpf_run_exit();
	return (int)err;
}

static void do_op(struct linear *l, struct op *op, struct rnd *r)
{
	u32 what = rnd_below(r, 10);
	bool inside = rnd_below(r, 3) == 0;
	u8 key[64];

	*op = (struct op){.kind = what < 4 ? UPDATE : what < 6 && !l->fixed ? DELETE : LOOKUP};
	op->key = rnd_below(r, KEYS);
	op->flags = op->kind == UPDATE && !l->objects && !rnd_below(r, 2) ? rnd_below(r, 3) : 0;
	key_bytes(l, op->key, key);
	op->begin = __atomic_fetch_add(&l->clock, 1, __ATOMIC_SEQ_CST);
	if (op->kind == LOOKUP)
		op->ret = do_lookup(l, op, key, inside);
	else if (op->kind == UPDATE)
		op->ret = do_update(l, op, r, key, inside);
	else
		op->ret = bpf_map_delete(l->map, key);
	op->end = __atomic_fetch_add(&l->clock, 1, __ATOMIC_SEQ_CST);
}

/* The round with this number has begun. */
static bool await_round(struct linear *l, u32 round)
{
	for (u32 i = 0; __atomic_load_n(&l->round, __ATOMIC_ACQUIRE) != round; i++) {
		if (__atomic_load_n(&l->stop, __ATOMIC_ACQUIRE))
			return false;
		if (i % 64 == 63)
			sched_yield();
	}
	return true;
}

struct worker {
	struct linear *l;
	u32 nr;
};

static void *worker(void *arg)
{
	struct worker *w = arg;
	struct linear *l = w->l;
	struct rnd r = {.state = 0x9e37 + w->nr * 77};

	for (u32 round = 1; await_round(l, round); round++) {
		for (u32 i = 0; i < OPS; i++)
			do_op(l, &l->ops[w->nr][i], &r);
		__atomic_fetch_add(&l->ready, 1, __ATOMIC_ACQ_REL);
	}
	return NULL;
}

/* ---- checking */

/*
 * Can the model, with *state under the key, answer as the operation was answered? Then it does it.
 */
static bool explains(const struct linear *l, const struct op *op, u64 *state)
{
	bool there = *state || l->fixed;

	switch (op->kind) {
	case LOOKUP:
		return there ? !op->ret && (!op->value || op->value == *state) : op->ret == -ENOENT;
	case DELETE:
		if (!there)
			return op->ret == -ENOENT;
		*state = 0;
		return !op->ret;
	case UPDATE:
		if (there && op->flags == BPF_NOEXIST)
			return op->ret == -EEXIST;
		if (!there && op->flags == BPF_EXIST)
			return op->ret == -ENOENT;
		*state = op->value;
		return !op->ret;
	}
	return false;
}

/* A key's operations, by thread: each thread's own have their order already. */
struct history {
	struct op *ops[THREADS + 1][OPS]; /* the last: the one lookup when all rest */
	u32 nr[THREADS + 1];
};

/* What was tried in vain: how far each thread was, and what the key held. */
#define TRIED (1u << 18)

struct tried {
	u32 round, done[THREADS + 1];
	u64 state;
};

static struct tried tried[TRIED];

/* Notes it; true: it was there. A full neighbourhood forgets, which costs time and nothing else. */
static bool tried_before(u32 round, const u32 *done, u64 state)
{
	struct tried t = {.round = round, .state = state};
	u64 hash = state * 0x9e3779b97f4a7c15ull;
	struct tried *slot;

	for (u32 i = 0; i <= THREADS; i++) {
		t.done[i] = done[i];
		hash = (hash ^ done[i]) * 0x9e3779b97f4a7c15ull;
	}
	slot = &tried[hash >> 46];
	if (!memcmp(slot, &t, sizeof(t)))
		return true;
	*slot = t;
	return false;
}

/* Where the longest attempt ended: what is of interest when none succeeds. */
static u32 farthest;
static u64 farthest_moment;

/* Is there an order of the operations from done[] on? */
static bool order(const struct linear *l, const struct history *h, u32 round, u32 *done, u64 state)
{
	u64 first_end = UINT64_MAX;
	u32 sum = 0;

	for (u32 t = 0; t <= THREADS; t++) {
		sum += done[t];
		if (done[t] < h->nr[t])
			first_end = min(first_end, h->ops[t][done[t]]->end);
	}
	if (first_end == UINT64_MAX)
		return true;
	if (sum > farthest) {
		farthest = sum;
		farthest_moment = first_end;
	}
	if (tried_before(round, done, state))
		return false;
	for (u32 t = 0; t <= THREADS; t++) {
		const struct op *op = done[t] < h->nr[t] ? h->ops[t][done[t]] : NULL;
		u64 next = state;
		bool found;

		if (!op || op->begin > first_end || !explains(l, op, &next))
			continue;
		done[t]++;
		found = order(l, h, round, done, next);
		done[t]--;
		if (found)
			return true;
	}
	return false;
}

static int by_begin(const void *a, const void *b)
{
	const struct op *x = *(struct op *const *)a, *y = *(struct op *const *)b;

	return (x->begin > y->begin) - (x->begin < y->begin);
}

static void tell(const struct linear *l, const struct history *h, u32 key)
{
	static const char *const kinds[] = {"lookup", "update", "delete"};
	static const struct op *all[(THREADS + 1) * OPS];
	u32 nr = 0;

	for (u32 t = 0; t <= THREADS; t++)
		for (u32 i = 0; i < h->nr[t]; i++)
			all[nr++] = h->ops[t][i];
	qsort(all, nr, sizeof(all[0]), by_begin);
	print_message(
		"%s, key size %u: key %u began as %llu; no order explains (here up to %llu)\n",
		l->map->ops->name, l->map->key_size, key, (unsigned long long)l->initial[key],
		(unsigned long long)farthest_moment);
	for (u32 i = 0; i < nr; i++)
		if (all[i]->end + 40 > farthest_moment && all[i]->begin < farthest_moment + 20)
			print_message("  %llu..%llu %s flags %llu value %llu: %d\n",
				      (unsigned long long)all[i]->begin,
				      (unsigned long long)all[i]->end, kinds[all[i]->kind],
				      (unsigned long long)all[i]->flags,
				      (unsigned long long)all[i]->value, all[i]->ret);
}

/* All threads rest. What each key holds now is one lookup more, and the next round's beginning. */
static bool check_round(struct linear *l)
{
	static struct history h;
	u32 done[THREADS + 1] = {0};
	u8 bytes[64];

	for (u32 key = 0; key < KEYS; key++) {
		struct op last = {.kind = LOOKUP, .key = key};

		memset(h.nr, 0, sizeof(h.nr));
		for (u32 t = 0; t < THREADS; t++)
			for (u32 i = 0; i < OPS; i++)
				if (l->ops[t][i].key == key)
					h.ops[t][h.nr[t]++] = &l->ops[t][i];
		for (u32 t = 0; t < THREADS; t++)
			for (u32 i = 0; i < h.nr[t]; i++)
				l->overlaps += h.ops[t][i]->end > h.ops[t][i]->begin + 1;
		key_bytes(l, key, bytes);
		last.begin = l->clock++;
		last.ret = do_lookup(l, &last, bytes, false);
		last.end = l->clock++;
		h.ops[THREADS][0] = &last;
		h.nr[THREADS] = 1;
		farthest = 0;
		if (!order(l, &h, l->round * KEYS + key, done, l->initial[key])) {
			tell(l, &h, key);
			return false;
		}
		l->initial[key] = last.ret ? 0 : last.value;
	}
	return true;
}

static u64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000 + (u64)ts.tv_nsec / 1000000;
}

/* A machine with much other work runs one thread at a time: then there is nothing to see. */
static bool sequential; /* in this case */
static bool waited; /* in vain, once */

static void run_linear(struct linear *l)
{
	u64 patience = waited ? 0 : 20000;
	const char *seconds = getenv("STRESS_SECONDS");
	u64 end = now_ms() + (seconds ? (u64)(atof(seconds) * 1000) : 500);
	struct worker workers[THREADS];
	pthread_t tid[THREADS];
	bool good = true;

	for (u32 t = 0; t < THREADS; t++) {
		workers[t] = (struct worker){l, t};
		pthread_create(&tid[t], NULL, worker, &workers[t]);
	}
	while (good && (now_ms() < end || (!l->overlaps && now_ms() < end + patience))) {
		__atomic_store_n(&l->ready, 0, __ATOMIC_RELEASE);
		__atomic_fetch_add(&l->round, 1, __ATOMIC_ACQ_REL);
		while (__atomic_load_n(&l->ready, __ATOMIC_ACQUIRE) < THREADS)
			sched_yield();
		good = check_round(l);
	}
	__atomic_store_n(&l->stop, true, __ATOMIC_RELEASE);
	for (u32 t = 0; t < THREADS; t++)
		pthread_join(tid[t], NULL);
	print_message("%s, key size %u: %u rounds, %llu operations overlapped others\n",
		      l->map->ops->name, l->map->key_size, l->round,
		      (unsigned long long)l->overlaps);
	assert_true(good);
	sequential |= !l->overlaps;
	waited |= sequential;
}

static void skip_if_sequential(void)
{
	if (!sequential)
		return;
	sequential = false;
	print_message("one thread at a time ran here: no operation overlapped another\n");
	skip();
}

static struct bpf_map *make(const struct bpf_map_spec *spec)
{
	struct bpf_map *map;

	assert_int_equal(bpf_map_create(spec, 0, -1, -1, &map), 0);
	return map;
}

static void drop(struct bpf_map *map)
{
	bpf_map_put(map);
	bpf_rcu_barrier();
}

static void run_type(enum bpf_map_type type, u32 key_size, u32 value_size, u32 max_entries,
		     u32 flags)
{
	struct bpf_map_spec spec = {.map_type = type,
				    .key_size = key_size,
				    .value_size = value_size,
				    .max_entries = max_entries,
				    .map_flags = flags};
	static struct linear l;

	l = (struct linear){.map = make(&spec)};
	memset(tried, 0, sizeof(tried));
	assert_true(bpf_map_value_size(l.map) <= MAX_VALUE * 8);
	l.fixed = type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY;
	run_linear(&l);
	drop(l.map);
}

/* ---- the types */

static void test_hash(void **state)
{
	run_type(BPF_MAP_TYPE_HASH, 4, 24, 8, 0);
	run_type(BPF_MAP_TYPE_HASH, 8, 24, KEYS + THREADS, 0);
	run_type(BPF_MAP_TYPE_HASH, 16, 24, 8, 0);
	run_type(BPF_MAP_TYPE_HASH, 40, 24, 8, BPF_F_NO_PREALLOC);
	skip_if_sequential();
}

static void test_percpu_hash(void **state)
{
	run_type(BPF_MAP_TYPE_PERCPU_HASH, 4, 16, 8, 0);
	run_type(BPF_MAP_TYPE_PERCPU_HASH, 16, 8, 8, 0);
	skip_if_sequential();
}

static void test_lru_hash(void **state)
{
	run_type(BPF_MAP_TYPE_LRU_HASH, 4, 24, 64, 0);
	run_type(BPF_MAP_TYPE_LRU_HASH, 16, 24, 64, 0);
	run_type(BPF_MAP_TYPE_LRU_HASH, 4, 24, 2000, BPF_F_NO_COMMON_LRU);
	run_type(BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 16, 64, 0);
	skip_if_sequential();
}

static void test_array(void **state)
{
	run_type(BPF_MAP_TYPE_ARRAY, 4, 8, KEYS, 0);
	run_type(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, KEYS, 0);
	skip_if_sequential();
}

static void test_lpm_trie(void **state)
{
	run_type(BPF_MAP_TYPE_LPM_TRIE, 8, 24, 64, BPF_F_NO_PREALLOC);
	skip_if_sequential();
}

static void run_outer(enum bpf_map_type type)
{
	struct bpf_map_spec inner = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1};
	struct bpf_map *objects[3];
	struct bpf_map_spec spec = {
		.map_type = type, .key_size = 4, .value_size = 4, .max_entries = 4};
	static struct linear l;

	l = (struct linear){.objects = objects, .nr_objects = ARRAY_SIZE(objects)};
	memset(tried, 0, sizeof(tried));
	for (u32 i = 0; i < ARRAY_SIZE(objects); i++)
		objects[i] = make(&inner);
	spec.inner_map_id = objects[0]->id;
	l.map = make(&spec);
	run_linear(&l);
	drop(l.map);
	for (u32 i = 0; i < ARRAY_SIZE(objects); i++)
		drop(objects[i]);
	assert_int_equal(bpf_map_live_count(), 0);
}

static void test_maps_of_maps(void **state)
{
	run_outer(BPF_MAP_TYPE_ARRAY_OF_MAPS);
	run_outer(BPF_MAP_TYPE_HASH_OF_MAPS);
	skip_if_sequential();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash),	 cmocka_unit_test(test_percpu_hash),
		cmocka_unit_test(test_lru_hash), cmocka_unit_test(test_array),
		cmocka_unit_test(test_lpm_trie), cmocka_unit_test(test_maps_of_maps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
