/*
 * test_lpm_trie.c - map/types/lpm_trie.c; guarantees by letter
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "map/map.h"
#include "map/create.h"
#include "map/syscall.h"
#include "map/iter.h"
#include "tests/lib/map_model.h"

#define MAX	 120
#define KEY_ROOM 264

struct key {
	u32 prefixlen;
	u8 data[256];
};

static struct bpf_map *make(u32 data_size, u32 value_size, u32 max_entries, int fd)
{
	struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_LPM_TRIE,
				    .key_size = 4 + data_size,
				    .value_size = value_size,
				    .max_entries = max_entries,
				    .map_flags = BPF_F_NO_PREALLOC};
	struct bpf_map *map;

	assert_int_equal(bpf_map_create(&spec, 0, fd, -1, &map), 0);
	return map;
}

static void all_gone(struct bpf_map *map)
{
	bpf_map_put(map);
	for (u32 i = 0; i < 3; i++)
		bpf_rcu_barrier();
	assert_int_equal(bpf_map_live_count(), 0);
}

/* ---- the model: a list, searched whole */

struct entry {
	struct key key;
	u64 value;
};

struct model {
	struct entry entries[MAX];
	u32 nr, data_size;
};

static bool covers(const struct key *prefix, const struct key *key)
{
	if (prefix->prefixlen > key->prefixlen)
		return false;
	for (u32 i = 0; i < prefix->prefixlen; i++)
		if ((prefix->data[i / 8] ^ key->data[i / 8]) & 0x80 >> i % 8)
			return false;
	return true;
}

static int model_find(const struct model *m, const struct key *key, bool longest)
{
	int best = -1;

	if (key->prefixlen > m->data_size * 8)
		return -1;
	for (u32 i = 0; i < m->nr; i++)
		if (covers(&m->entries[i].key, key) &&
		    (longest || m->entries[i].key.prefixlen == key->prefixlen) &&
		    (best < 0 || m->entries[i].key.prefixlen > m->entries[best].key.prefixlen))
			best = (int)i;
	return best;
}

static int model_update(struct model *m, const struct key *key, u64 value, u64 flags)
{
	int at;

	if (flags > BPF_EXIST || key->prefixlen > m->data_size * 8)
		return -EINVAL;
	at = model_find(m, key, false);
	if (at >= 0 && flags == BPF_NOEXIST)
		return -EEXIST;
	if (at < 0 && flags == BPF_EXIST)
		return -ENOENT;
	if (at < 0) {
		if (m->nr == MAX)
			return -ENOSPC;
		at = (int)m->nr++;
	}
	m->entries[at] = (struct entry){*key, value};
	return 0;
}

static int model_delete(struct model *m, const struct key *key)
{
	int at;

	if (key->prefixlen > m->data_size * 8)
		return -EINVAL;
	at = model_find(m, key, false);
	if (at < 0)
		return -ENOENT;
	m->entries[at] = m->entries[--m->nr];
	return 0;
}

/* By address, a prefix before the longer ones in it. */
static int in_order(const struct key *a, const struct key *b)
{
	u32 bits = min(a->prefixlen, b->prefixlen);

	for (u32 i = 0; i < bits; i++) {
		int x = a->data[i / 8] >> (7 - i % 8) & 1, y = b->data[i / 8] >> (7 - i % 8) & 1;

		if (x != y)
			return x - y;
	}
	return (a->prefixlen > b->prefixlen) - (a->prefixlen < b->prefixlen);
}

static int by_order(const void *a, const void *b)
{
	return in_order(a, b);
}

static void compare_walk(struct bpf_map *map, struct model *m)
{
	struct bpf_map_stats stats;
	struct bpf_map_iter it;
	struct key key = {}, prev;
	u64 value;
	int err;

	qsort(m->entries, m->nr, sizeof(m->entries[0]), by_order);
	bpf_map_iter_init(&it, map, false);
	for (u32 i = 0; i < m->nr; i++) {
		assert_int_equal(bpf_map_iter_next(&it, &key, &value), 1);
		assert_memory_equal(&key, &m->entries[i].key, 4 + m->data_size);
		assert_int_equal(value, m->entries[i].value);
	}
	assert_int_equal(bpf_map_iter_next(&it, &key, &value), 0);
	bpf_map_iter_end(&it);
	for (u32 i = 0; i < m->nr; i++) {
		prev = key;
		err = bpf_map_next_key(map, i ? &prev : NULL, &key);
		assert_int_equal(err, 0);
		assert_memory_equal(&key, &m->entries[i].key, 4 + m->data_size);
	}
	prev = key;
	assert_int_equal(bpf_map_next_key(map, m->nr ? &prev : NULL, &key), -ENOENT);
	bpf_map_stats_read(map, &stats);
	assert_int_equal(stats.entries, m->nr);
}

/* Few addresses, so that prefixes meet; now and then one that is too long. */
static void random_key(struct rnd *r, u32 data_size, struct key *key)
{
	u32 near = rnd_below(r, 3);

	memset(key->data, 0, data_size);
	if (near == 0)
		for (u32 i = 0; i < data_size; i++)
			key->data[i] = (u8)rnd_next(r);
	else
		for (u32 i = 0; i < near; i++)
			key->data[rnd_below(r, data_size)] = (u8)(1u << rnd_below(r, 8));
	key->prefixlen = rnd_below(r, data_size * 8 + 2);
	if (near == 2 && rnd_below(r, 3))
		key->prefixlen = min(key->prefixlen, 7u);
}

static void random_ops(u32 data_size)
{
	int fd = memfd_create("trie", 0);
	struct bpf_map *map = make(data_size, 8, MAX, fd);
	struct rnd r = {.state = data_size};
	struct model m = {.data_size = data_size};
	u32 full = 0;

	for (u32 step = 0; step < 20000; step++) {
		u32 op = rnd_below(&r, 100);
		u64 value = rnd_next(&r), got, flags = op % 4 ? 0 : rnd_below(&r, 4);
		struct key key;
		int want, err, at;

		random_key(&r, data_size, &key);
		if (op < 80 && m.nr && rnd_below(&r, 2))
			key = m.entries[rnd_below(&r, m.nr)].key;
		if (op < (step / 1000 % 2 ? 70u : 30u)) {
			want = model_update(&m, &key, value, flags);
			err = bpf_map_update(map, &key, &value, flags);
			full += want == -ENOSPC;
		} else if (op < 80) {
			want = model_delete(&m, &key);
			err = bpf_map_delete(map, &key);
		} else {
			at = model_find(&m, &key, true);
			want = at < 0 ? -ENOENT : 0;
			err = bpf_map_lookup(map, &key, &got, 0);
			if (!want && !err)
				assert_int_equal(got, m.entries[at].value);
		}
		if (err != want)
			fail_msg("data %u step %u op %u: want %d, got %d", data_size, step, op,
				 want, err);
		if (step % 197 == 0)
			compare_walk(map, &m);
		if (step % 1999 == 0) {
			bpf_map_put(map);
			bpf_rcu_barrier();
			bpf_rcu_barrier();
			assert_int_equal(bpf_map_open(fd, -1, &map), 0);
			compare_walk(map, &m);
		}
	}
	assert_true(full > 10 || data_size == 1);
	close(fd);
	all_gone(map);
}

static void test_a_c_e_model(void **state)
{
	static const u32 sizes[] = {1, 4, 7, 8, 16, 21, 256};

	for (u32 i = 0; i < ARRAY_SIZE(sizes); i++)
		random_ops(sizes[i]);
}

static void test_errors(void **state)
{
	static const struct {
		u32 key_size, value_size, max_entries, flags;
		int err;
	} rows[] = {
		{8, 4, 1, BPF_F_NO_PREALLOC, 0},
		{8, 4, 1, 0, -EINVAL},
		{4, 4, 1, BPF_F_NO_PREALLOC, -EINVAL},
		{260, 4, 1, BPF_F_NO_PREALLOC, 0},
		{261, 4, 1, BPF_F_NO_PREALLOC, -EINVAL},
		{8, 0, 1, BPF_F_NO_PREALLOC, -EINVAL},
		{8, 4, 0, BPF_F_NO_PREALLOC, -EINVAL},
		{8, 4, 1, BPF_F_NO_PREALLOC | BPF_F_ZERO_SEED, -EINVAL},
		{8, 4, 0xffffffff, BPF_F_NO_PREALLOC, -ENOMEM},
	};
	struct bpf_map *map;

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_LPM_TRIE,
					    .key_size = rows[i].key_size,
					    .value_size = rows[i].value_size,
					    .max_entries = rows[i].max_entries,
					    .map_flags = rows[i].flags};
		int err = bpf_map_create(&spec, 0, -1, -1, &map);

		assert_int_equal(err, rows[i].err);
		if (!err)
			bpf_map_put(map);
	}
	bpf_rcu_barrier();
}

/* ---- A, B: readers while prefixes are exchanged under them */

struct race {
	struct bpf_map *map;
	bool stop, *bad;
	u64 reads, writes, refused;
};

#define RACE_WORDS 4

/* The value says which prefix it belongs to, in every word. */
static void race_value(u64 *value, const struct key *key, u64 round)
{
	for (u32 i = 0; i < RACE_WORDS; i++)
		value[i] = round << 16 | (u64)key->prefixlen << 8 | key->data[1];
}

static void *race_reader(void *arg)
{
	struct race *race = arg;
	struct rnd r = {.state = 5};

	while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED)) {
		struct key key = {.prefixlen = 32, .data = {10, (u8)rnd_below(&r, 8), 3, 4}};
		u64 *value, first;

		bpf_run_enter();
		value = race->map->ops->map_lookup_elem(race->map, &key);
		/* 10/8 is always there, and what is found fits and stays what it was. */
		if (!value) {
			*race->bad = true;
		} else {
			first = __atomic_load_n(value, __ATOMIC_RELAXED);
			if ((first >> 8 & 0xff) > 8 && (first & 0xff) != key.data[1])
				*race->bad = true;
			for (u32 i = 0; i < 50; i++)
				for (u32 w = 0; w < RACE_WORDS; w++)
					if (__atomic_load_n(value + w, __ATOMIC_RELAXED) != first)
						*race->bad = true;
		}
		bpf_run_exit();
		__atomic_fetch_add(&race->reads, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *race_writer(void *arg)
{
	struct race *race = arg;
	struct rnd r = {.state = (uintptr_t)&race};
	u64 value[RACE_WORDS];

	for (u64 i = 1; !__atomic_load_n(&race->stop, __ATOMIC_RELAXED); i++) {
		struct key key = {.prefixlen = rnd_below(&r, 4) ? 16 + rnd_below(&r, 3) * 8 : 8,
				  .data = {10, (u8)rnd_below(&r, 8), 3, 4}};
		int err;

		race_value(value, &key, i);
		if (key.prefixlen == 8 || rnd_below(&r, 2))
			err = bpf_map_update(race->map, &key, value, 0);
		else
			err = bpf_map_delete(race->map, &key);
		if (err == -ENOMEM) {
			__atomic_fetch_add(&race->refused, 1, __ATOMIC_RELAXED);
			bpf_synchronize_rcu();
		} else if (err && err != -ENOENT) {
			*race->bad = true;
		}
		__atomic_fetch_add(&race->writes, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void test_a_b_threads(void **state)
{
	struct bpf_map *map = make(4, RACE_WORDS * 8, 64, -1);
	struct key all = {.prefixlen = 8, .data = {10}};
	u64 value[RACE_WORDS];
	bool bad = false;
	struct race race = {.map = map, .bad = &bad};
	pthread_t tid[4];

	race_value(value, &all, 0);
	assert_int_equal(bpf_map_update(map, &all, value, 0), 0);
	for (u32 i = 0; i < 4; i++)
		pthread_create(&tid[i], NULL, i < 2 ? race_writer : race_reader, &race);
	for (u32 tenth = 0; tenth < 20 || __atomic_load_n(&race.writes, __ATOMIC_RELAXED) <= 1000;
	     tenth++)
		usleep(100000);
	__atomic_store_n(&race.stop, true, __ATOMIC_RELAXED);
	for (u32 i = 0; i < 4; i++)
		pthread_join(tid[i], NULL);
	print_message("%llu writes, %llu of them beyond what grace periods allow\n",
		      (unsigned long long)race.writes, (unsigned long long)race.refused);
	assert_false(bad);
	assert_true(race.refused * 2 < race.writes);
	all_gone(map);
}

/* ---- D: SIGKILL at any moment */

#define KILL_KEYS 40

struct ledger {
	u64 begun[KILL_KEYS], done[KILL_KEYS]; /* 0: absent */
};

static void kill_key(struct key *key, u32 n)
{
	memset(key, 0, sizeof(*key));
	key->prefixlen = 8 + n / 5 * 3; /* five chains of prefixes in prefixes */
	key->data[0] = (u8)(n % 5);
	key->data[1] = (u8)(n % 5 * 85);
}

static void hammer(struct bpf_map *map, struct ledger *ledger)
{
	struct rnd r = {.state = (u64)getpid()};
	u64 seq = 0, value[3];

	for (u32 n = 0; n < KILL_KEYS; n++)
		seq = max(seq, ledger->begun[n]);
	for (;;) {
		u32 n = rnd_below(&r, KILL_KEYS);
		u64 target = rnd_below(&r, 3) ? ++seq : 0;
		struct key key;
		int err;

		kill_key(&key, n);
		value[0] = value[1] = value[2] = target;
		__atomic_store_n(&ledger->begun[n], target, __ATOMIC_SEQ_CST);
		err = target ? bpf_map_update(map, &key, value, 0) : bpf_map_delete(map, &key);
		if (err && err != -ENOENT && err != -ENOMEM)
			_exit(3);
		if (err == -ENOMEM)
			__atomic_store_n(&ledger->begun[n], ledger->done[n], __ATOMIC_SEQ_CST);
		else
			__atomic_store_n(&ledger->done[n], target, __ATOMIC_SEQ_CST);
	}
}

static void verify(struct bpf_map *map, struct ledger *ledger)
{
	struct bpf_map_stats stats;
	u32 live = 0;

	for (u32 n = 0; n < KILL_KEYS; n++) {
		struct key key, found;
		struct bpf_map_iter it;
		u64 value[3], seen = 0;

		kill_key(&key, n);
		bpf_map_iter_init(&it, map, false);
		while (bpf_map_iter_next(&it, &found, value) == 1) {
			if (memcmp(&found, &key, 8))
				continue;
			assert_int_equal(seen, 0);
			seen = value[0];
			assert_true(value[1] == seen && value[2] == seen);
		}
		bpf_map_iter_end(&it);
		assert_true(seen == ledger->done[n] || seen == ledger->begun[n]);
		ledger->done[n] = ledger->begun[n] = seen;
		live += seen != 0;
	}
	bpf_map_stats_read(map, &stats);
	assert_int_equal(stats.entries, live);
}

static void killed(void)
{
	struct ledger *ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd = memfd_create("trie", 0), status;
	struct bpf_map *map = make(4, 24, KILL_KEYS, fd);

	for (u32 a = 0; a < KILL_KEYS; a++) /* the keys are as many prefixes */
		for (u32 b = 0; b < a; b++) {
			struct key x, y;

			kill_key(&x, a);
			kill_key(&y, b);
			assert_true(x.prefixlen != y.prefixlen || in_order(&x, &y));
		}
	for (u32 round = 0; round < 60; round++) {
		pid_t child;

		bpf_map_put(map);
		bpf_rcu_barrier();
		bpf_rcu_barrier();
		child = fork();
		if (!child) {
			if (bpf_map_open(fd, -1, &map))
				_exit(2);
			hammer(map, ledger);
		}
		usleep(1000 + round * 70);
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(bpf_map_open(fd, -1, &map), 0);
		verify(map, ledger);
	}
	munmap(ledger, sizeof(*ledger));
	close(fd);
	all_gone(map);
}

static void test_d_sigkill(void **state)
{
#ifdef __SANITIZE_THREAD__
	print_message("ThreadSanitizer has no threads after a fork\n");
	skip();
#endif
	killed();
}

/* A file of any bytes opens or is refused, and works when it opened. */
static void test_d_damaged(void **state)
{
	struct rnd r = {.state = 99};

	for (u32 round = 0; round < 200; round++) {
		int fd = memfd_create("trie", 0), err;
		struct bpf_map *map = make(4, 8, 20, fd);
		struct bpf_map_iter it;
		struct key key;
		u64 value = 1;

		for (u32 i = 0; i < 20; i++) {
			random_key(&r, 4, &key);
			bpf_map_update(map, &key, &value, 0);
		}
		bpf_map_put(map);
		bpf_rcu_barrier();
		bpf_rcu_barrier();
		for (u32 i = 0; i < 40; i++) {
			u8 byte = (u8)rnd_next(&r);

			assert_int_equal(pwrite(fd, &byte, 1,
						BPF_ARENA_HEADER_SIZE + 64 + rnd_below(&r, 2400)),
					 1);
		}
		err = bpf_map_open(fd, -1, &map);
		if (!err) {
			bpf_map_iter_init(&it, map, false);
			while (bpf_map_iter_next(&it, &key, &value) == 1)
				assert_int_equal(bpf_map_delete(map, &key), 0);
			bpf_map_iter_end(&it);
			for (u32 i = 0; i < 20; i++) {
				kill_key(&key, i);
				assert_int_equal(bpf_map_update(map, &key, &value, 0), 0);
			}
			bpf_map_put(map);
			bpf_rcu_barrier();
		} else {
			assert_int_equal(err, -EBADMSG);
		}
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_d_sigkill), /* forks: before there are threads */
		cmocka_unit_test(test_d_damaged), cmocka_unit_test(test_a_c_e_model),
		cmocka_unit_test(test_errors),	  cmocka_unit_test(test_a_b_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
