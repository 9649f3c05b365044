/*
 * test_hashtab_recovery.c - hashtab.c's guarantee E: what SIGKILL leaves
 *
 * Two ways: a child is killed at random times while two of its threads work on a map in a file; and
 * a child is single-stepped through one operation, and a copy of the file is taken after each of
 * its instructions. Each time the map is opened again and must hold what was acknowledged, and
 * nothing that was not at least begun.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>
#include "run/run.h"
#include "map/hash/hashtab.h"
#include "map/hash/lru_list.h"
#include "map/create.h"
#include "map/syscall.h"
#include "map/iter.h"
#include "tests/lib/map_model.h"
#include "tests/lib/emulator.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#if defined(__SANITIZE_THREAD__)
/* The children that are killed run threads of their own. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "die_after_fork=0";
}
#endif
#else
#define SANITIZED 0
#endif

#define KEYS  64
#define MAX   56
#define WORDS 5

/* Shared with the child: what it began and what it was told is done. Sequence 0: absent. */
struct ledger {
	u64 begun[KEYS], done[KEYS];
	u64 operations;
};

/* The kind of map under test. LRU maps are made so large that nothing need be evicted. */
static struct {
	enum bpf_map_type type;
	u32 max_entries, flags;
} kind = {BPF_MAP_TYPE_HASH, MAX, 0};

static void set_kind(enum bpf_map_type type, u32 flags)
{
	kind.type = type;
	kind.flags = flags;
	kind.max_entries = type == BPF_MAP_TYPE_HASH ? MAX : (KEYS + MAX) * bpf_nr_slots();
}

static struct bpf_map_spec spec_of(u32 key_size)
{
	return (struct bpf_map_spec){.map_type = kind.type,
				     .key_size = key_size,
				     .value_size = WORDS * 8,
				     .max_entries = kind.max_entries,
				     .map_flags = kind.flags};
}

/*
 * After a recovery: all free elements are found again. The map can be filled, and emptied of that.
 */
static void check_free_elements(struct bpf_map *map, u32 live)
{
	u32 room = map->max_entries - live;
	u64 value[WORDS] = {};
	char key[64];

	if (kind.flags & BPF_F_NO_COMMON_LRU)
		room = MAX; /* what one slot has left in any case */
	for (u32 extra = 0; extra < room; extra++) {
		memset(key, 0x77, sizeof(key));
		memcpy(key, &(u32){1000 + extra}, 4);
		assert_int_equal(bpf_map_update(map, key, value, BPF_NOEXIST), 0);
	}
	memcpy(key, &(u32){999}, 4);
	if (kind.type == BPF_MAP_TYPE_HASH)
		assert_int_equal(bpf_map_update(map, key, value, 0), -E2BIG);
	for (u32 extra = 0; extra < room; extra++) {
		memcpy(key, &(u32){1000 + extra}, 4);
		assert_int_equal(bpf_map_delete(map, key), 0);
	}
}

static void key_of(char *key, u32 key_size, u32 n)
{
	memset(key, (int)n, key_size);
	memcpy(key, &n, 4);
}

static void value_of(u64 *value, u32 n, u64 seq)
{
	for (u32 i = 0; i < WORDS; i++)
		value[i] = (u64)n << 48 | seq;
}

/* ---- the child */

struct hammer {
	struct bpf_map *map;
	struct ledger *ledger;
	u32 first; /* this thread's keys: first, first + 2, ... */
};

static void *hammer(void *arg)
{
	struct hammer *h = arg;
	struct rnd r = {.state = (u64)getpid() * 7919 + h->first + 1};
	struct ledger *ledger = h->ledger;
	u64 value[WORDS], seq = 0;
	char key[64];

	for (u32 i = h->first; i < KEYS; i += 2)
		seq = max(seq, ledger->begun[i]);
	for (;;) {
		u32 n = h->first + 2 * rnd_below(&r, KEYS / 2);
		bool in_program = rnd_below(&r, 2), removing = rnd_below(&r, 3) == 0;
		u64 target = removing ? 0 : ++seq;
		long err;

		key_of(key, h->map->key_size, n);
		value_of(value, n, seq);
		__atomic_store_n(&ledger->begun[n], target, __ATOMIC_SEQ_CST);
		if (in_program)
			bpf_run_enter();
		if (removing)
			err = in_program ? h->map->ops->map_delete_elem(h->map, key)
					 : bpf_map_delete(h->map, key);
		else
			err = in_program ? h->map->ops->map_update_elem(h->map, key, value, 0)
					 : bpf_map_update(h->map, key, value, 0);
		if (in_program)
			bpf_run_exit();
		if (err && err != -E2BIG && err != -ENOENT)
			_exit(3);
		if (!err)
			__atomic_store_n(&ledger->done[n], target, __ATOMIC_SEQ_CST);
		else /* nothing happened */
			__atomic_store_n(&ledger->begun[n],
					 __atomic_load_n(&ledger->done[n], __ATOMIC_SEQ_CST),
					 __ATOMIC_SEQ_CST);
		__atomic_fetch_add(&ledger->operations, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* argv: --hammer MAPFD LEDGERFD */
static int hammer_main(int map_fd, int ledger_fd)
{
	struct ledger *ledger =
		mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE, MAP_SHARED, ledger_fd, 0);
	struct bpf_map *map;
	struct hammer a, b;
	pthread_t thread;

	if (ledger == MAP_FAILED || bpf_map_open(map_fd, -1, &map))
		return 2;
	a = (struct hammer){map, ledger, 0};
	b = (struct hammer){map, ledger, 1};
	pthread_create(&thread, NULL, hammer, &b);
	hammer(&a);
	return 4;
}

/* ---- the parent */

/* Open what is left, compare it with the ledger, and make it the state to go on from. */
static void verify(int fd, struct ledger *ledger)
{
	struct bpf_map_stats stats;
	struct bpf_map_iter it;
	struct bpf_map *map;
	u64 value[WORDS];
	bool seen[KEYS] = {};
	char key[64];
	u32 n, live = 0;

	assert_int_equal(bpf_map_open(fd, -1, &map), 0);
	for (n = 0; n < KEYS; n++) {
		u64 seq = 0;

		key_of(key, map->key_size, n);
		if (!bpf_map_lookup(map, key, value, 0)) {
			for (u32 i = 0; i < WORDS; i++)
				assert_int_equal(value[i], value[0]);
			assert_int_equal(value[0] >> 48, n);
			seq = value[0] & 0xffffffffffff;
			assert_true(seq > 0);
			live++;
		}
		if (seq != ledger->done[n] && seq != ledger->begun[n])
			fail_msg("key %u holds %llu, done %llu, begun %llu", n,
				 (unsigned long long)seq, (unsigned long long)ledger->done[n],
				 (unsigned long long)ledger->begun[n]);
		ledger->done[n] = ledger->begun[n] = seq;
	}
	bpf_map_iter_init(&it, map, false);
	for (u32 count = 0;; count++) {
		int ret = bpf_map_iter_next(&it, key, value);

		if (!ret) {
			assert_int_equal(count, live);
			break;
		}
		assert_int_equal(ret, 1);
		memcpy(&n, key, 4);
		assert_true(n < KEYS && !seen[n]);
		seen[n] = true;
	}
	bpf_map_iter_end(&it);
	bpf_map_stats_read(map, &stats);
	assert_int_equal(stats.entries, live);

	check_free_elements(map, live);
	for (n = 0; n < KEYS; n++) { /* nothing was evicted for it, and every spare is there */
		key_of(key, map->key_size, n);
		if (ledger->done[n]) {
			value_of(value, n, ledger->done[n]);
			assert_int_equal(bpf_map_update(map, key, value, BPF_EXIST), 0);
		}
	}
	bpf_map_stats_read(map, &stats);
	assert_int_equal(stats.evictions, 0);
	assert_int_equal(stats.entries, live);
	bpf_map_put(map);
}

static struct ledger *ledger_new(int *fd)
{
	struct ledger *ledger;

	*fd = memfd_create("ledger", 0);
	assert_true(*fd >= 0);
	assert_int_equal(ftruncate(*fd, sizeof(*ledger)), 0);
	ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	assert_ptr_not_equal(ledger, MAP_FAILED);
	return ledger;
}

static void make_in(int fd, u32 key_size)
{
	struct bpf_map_spec spec = spec_of(key_size);
	struct bpf_map *map;

	assert_int_equal(bpf_map_create(&spec, 0, fd, -1, &map), 0);
	bpf_map_put(map);
	bpf_rcu_barrier();
}

static pid_t start_hammer(int map_fd, int ledger_fd)
{
	char a[16], b[16];
	pid_t pid;

	snprintf(a, sizeof(a), "%d", map_fd);
	snprintf(b, sizeof(b), "%d", ledger_fd);
	pid = fork();
	if (!pid) {
		execl("/proc/self/exe", "hammer", "--hammer", a, b, (char *)NULL);
		_exit(9);
	}
	assert_true(pid > 0);
	return pid;
}

static void kill_at_random(int map_fd, u32 key_size, int rounds)
{
	struct rnd r = {.state = key_size};
	int ledger_fd;
	struct ledger *ledger = ledger_new(&ledger_fd);
	u64 operations = 0;

	make_in(map_fd, key_size);
	for (int round = 0; round < rounds; round++) {
		pid_t pid = start_hammer(map_fd, ledger_fd);
		int status = 0;

		/* Kill only a child that works, then wait for a while that differs each time. */
		while (__atomic_load_n(&ledger->operations, __ATOMIC_RELAXED) == operations &&
		       !waitpid(pid, &status, WNOHANG))
			usleep(100);
		assert_int_equal(status, 0);
		usleep(rnd_below(&r, 3000));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		operations = ledger->operations;
		verify(map_fd, ledger);
		bpf_rcu_barrier(); /* its close is through, before the next child opens it */
	}
	print_message("%d kills, %llu operations\n", rounds, (unsigned long long)operations);
	munmap(ledger, sizeof(*ledger));
	close(ledger_fd);
}

static void test_e_killed_at_random_memfd(void **state)
{
	int fd = memfd_create("map", 0);

	NOT_UNDER_EMULATOR("exec of its own kind");
	kill_at_random(fd, 4, SANITIZED ? 10 : 60);
	close(fd);
}

static void test_e_killed_at_random_file(void **state)
{
	char path[] = "/var/tmp/ubpffs-test-XXXXXX";
	int fd = mkstemp(path);

	NOT_UNDER_EMULATOR("exec of its own kind");
	assert_true(fd >= 0);
	unlink(path);
	kill_at_random(fd, 20, SANITIZED ? 10 : 60);
	close(fd);
}

static void test_e_killed_at_random_lru(void **state)
{
	int common = memfd_create("map", 0), own = memfd_create("map", 0);

	NOT_UNDER_EMULATOR("exec of its own kind");
	set_kind(BPF_MAP_TYPE_LRU_HASH, 0);
	kill_at_random(common, 4, SANITIZED ? 10 : 40);
	set_kind(BPF_MAP_TYPE_LRU_HASH, BPF_F_NO_COMMON_LRU);
	kill_at_random(own, 16, SANITIZED ? 10 : 40);
	set_kind(BPF_MAP_TYPE_HASH, 0);
	close(common);
	close(own);
}

/* ---- after each instruction */

enum step_op { OP_INSERT, OP_REPLACE, OP_DELETE, OP_MAX };

/*
 * A child that does one operation on key 3 of a map in which six keys share a few buckets. It stops
 * itself before and after.
 */
static pid_t stepped_begin(int fd, enum step_op op, u32 key_size)
{
	struct bpf_map *map;
	u64 value[WORDS];
	char key[64];
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (bpf_map_open(fd, -1, &map))
			_exit(2);
		key_of(key, key_size, 3);
		value_of(value, 3, 200);
		bpf_run_enter();
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(2);
		raise(SIGSTOP);
		if (op == OP_DELETE)
			map->ops->map_delete_elem(map, key);
		else
			map->ops->map_update_elem(map, key, value, 0);
		raise(SIGSTOP);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	return pid;
}

/* False: the operation ended within so many instructions. */
static bool stepped_go_on(pid_t pid, long steps)
{
	int status;

	for (long i = 0; i < steps; i++) {
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSTOPPED(status));
		if (WSTOPSIG(status) == SIGSTOP)
			return false;
	}
	return true;
}

static void copy_file(int from, int to)
{
	struct stat st;
	void *a, *b;

	assert_int_equal(fstat(from, &st), 0);
	assert_int_equal(ftruncate(to, st.st_size), 0);
	a = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, from, 0);
	b = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, to, 0);
	assert_true(a != MAP_FAILED && b != MAP_FAILED);
	memcpy(b, a, (size_t)st.st_size);
	munmap(a, (size_t)st.st_size);
	munmap(b, (size_t)st.st_size);
}

static void kill_after_each(enum step_op op, u32 key_size, long stride)
{
	int seed = memfd_create("seed", 0), work, ledger_fd;
	pid_t pid;
	struct ledger *ledger = ledger_new(&ledger_fd);
	struct bpf_map_spec spec = spec_of(key_size);
	long steps = 0;
	struct bpf_map *map;
	u64 value[WORDS];
	char key[64];

	if (SANITIZED)
		stride = 97;
	/* A full map of many keys, so that chains have more than one element. */
	assert_int_equal(bpf_map_create(&spec, 0, seed, -1, &map), 0);
	for (u32 n = 0; n < MAX + (op == OP_INSERT); n++) {
		if (op == OP_INSERT && n == 3)
			continue;
		key_of(key, key_size, n);
		value_of(value, n, 100);
		assert_int_equal(bpf_map_update(map, key, value, 0), 0);
	}
	if (op == OP_INSERT) {
		key_of(key, key_size, MAX);
		assert_int_equal(bpf_map_delete(map, key), 0);
	}
	bpf_map_put(map);
	bpf_rcu_barrier();

	/*
	 * What SIGKILL would leave after an instruction is what the file holds while the child
	 * stands there.
	 */
	work = memfd_create("work", 0);
	copy_file(seed, work);
	pid = stepped_begin(work, op, key_size);
	for (bool going = true; going; steps += stride) {
		/* A new one each time, so that no close is waited for. */
		int fd = memfd_create("map", 0);

		going = stepped_go_on(pid, steps ? stride : 0);
		copy_file(work, fd);
		for (u32 n = 0; n < KEYS; n++)
			ledger->done[n] = ledger->begun[n] = n < MAX ? 100 : 0;
		if (op == OP_INSERT)
			ledger->done[3] = 0;
		ledger->begun[3] = op == OP_DELETE ? 0 : 200;
		if (!going)
			ledger->done[3] = ledger->begun[3]; /* it returned */
		verify(fd, ledger);
		close(fd);
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(work);
	bpf_rcu_barrier();
	print_message("killed after each %ld of %ld instructions\n", stride, steps);
	assert_true(steps > 50);
	munmap(ledger, sizeof(*ledger));
	close(ledger_fd);
	close(seed);
}

static void test_e_insert_each_instruction(void **state)
{
	NOT_UNDER_EMULATOR("ptrace()");
	kill_after_each(OP_INSERT, 4, 1);
	kill_after_each(OP_INSERT, 20, 7);
}

static void test_e_replace_each_instruction(void **state)
{
	NOT_UNDER_EMULATOR("ptrace()");
	kill_after_each(OP_REPLACE, 4, 1);
	kill_after_each(OP_REPLACE, 16, 7);
}

static void test_e_delete_each_instruction(void **state)
{
	NOT_UNDER_EMULATOR("ptrace()");
	kill_after_each(OP_DELETE, 4, 1);
	kill_after_each(OP_DELETE, 8, 7);
}

static void test_e_lru_each_instruction(void **state)
{
	NOT_UNDER_EMULATOR("ptrace()");
	set_kind(BPF_MAP_TYPE_LRU_HASH, 0);
	kill_after_each(OP_INSERT, 4, 3);
	kill_after_each(OP_REPLACE, 4, 3);
	kill_after_each(OP_DELETE, 4, 3);
	set_kind(BPF_MAP_TYPE_LRU_HASH, BPF_F_NO_COMMON_LRU);
	kill_after_each(OP_INSERT, 8, 7);
	kill_after_each(OP_DELETE, 8, 7);
	set_kind(BPF_MAP_TYPE_HASH, 0);
}

/* ---- what a crash could leave, made by hand */

static void test_garbage_in_links_is_not_used(void **state)
{
	int fd = memfd_create("map", 0), ledger_fd;
	struct ledger *ledger = ledger_new(&ledger_fd);
	struct bpf_map_spec spec = spec_of(8);
	struct bpf_htab *htab;
	struct bpf_map *map;
	u64 value[WORDS];
	char key[64];

	assert_int_equal(bpf_map_create(&spec, 0, fd, -1, &map), 0);
	for (u32 n = 0; n < 40; n++) {
		key_of(key, 8, n);
		value_of(value, n, n + 1);
		assert_int_equal(bpf_map_update(map, key, value, 0), 0);
		ledger->done[n] = ledger->begun[n] = n + 1;
	}
	htab = bpf_htab(map);
	for (u32 b = 0; b <= htab->mask; b++)
		htab->buckets[b] = 0xdeadbeefdeadbeef; /* locked, and leading nowhere */
	for (u32 i = 1; i < htab->total_elems; i++)
		htab_elem(htab, i)->next = 0x12345678;
	for (u32 i = 0; i < htab->nr_slots; i++)
		htab->freelist.heads[i].first = 0x1234567800000007;
	for (u32 i = 0; i <= htab->nr_slots; i++)
		htab->spares[i * 16] = 5;
	/* As if the process had died: the arena is not closed in order. */
	int again = memfd_create("map", 0);

	copy_file(fd, again);
	bpf_map_put(map);
	bpf_rcu_barrier();
	verify(again, ledger);
	munmap(ledger, sizeof(*ledger));
	close(ledger_fd);
	close(again);
	close(fd);
}

/*
 * With a list for each slot, elements between the used ranks of two lists were never in use,
 * whatever they say.
 */
static void test_garbage_between_used_ranks_is_not_used(void **state)
{
	int fd = memfd_create("map", 0), again = memfd_create("map", 0);
	struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_LRU_HASH,
				    .key_size = 4,
				    .value_size = 8,
				    .max_entries = 64 * bpf_nr_slots(),
				    .map_flags = BPF_F_NO_COMMON_LRU};
	struct bpf_map_stats stats;
	struct bpf_lru_list *last;
	struct bpf_htab *htab;
	struct bpf_map *map;
	u32 key = 1, share;
	u64 value = 7;

	assert_int_equal(bpf_map_create(&spec, 0, fd, -1, &map), 0);
	assert_int_equal(bpf_map_update(map, &key, &value, 0), 0);
	htab = bpf_htab(map);
	share = htab->lru->nr_nodes / htab->nr_slots;
	for (u32 rank = share / 2; rank < htab->lru->nr_nodes - share / 2; rank++) {
		u32 idx = htab->lru->first_elem + rank;
		struct htab_elem *elem = htab_elem(htab, idx);

		if (htab_elem_live(elem) || rank % share < share / 2)
			continue;
		elem->version |= 1;
		elem->node = 0x12345678;
		*(u32 *)(elem + 1) = 1000 + idx; /* its key */
	}
	last = &htab->lru->lists[htab->nr_slots - 1];
	last->fresh = max(last->fresh, 1u);
	copy_file(fd, again);
	bpf_map_put(map);
	bpf_rcu_barrier();
	assert_int_equal(bpf_map_open(again, -1, &map), 0);
	bpf_map_stats_read(map, &stats);
	assert_int_equal(stats.entries, 1);
	while (!bpf_map_next_key(map, NULL, &key))
		assert_int_equal(bpf_map_delete(map, &key), 0);
	bpf_map_put(map);
	bpf_rcu_barrier();
	close(again);
	close(fd);
}

static void test_clean_close_and_open(void **state)
{
	int fd = memfd_create("map", 0);
	struct bpf_map_spec spec = spec_of(4);
	struct bpf_map_stats stats;
	struct bpf_map *map;
	u64 value[WORDS];
	u32 id;

	assert_int_equal(bpf_map_create(&spec, 0, fd, -1, &map), 0);
	for (u32 n = 0; n < MAX; n++) {
		value_of(value, n, 1);
		assert_int_equal(bpf_map_update(map, &n, value, 0), 0);
	}
	id = map->id;
	bpf_map_put(map);
	bpf_rcu_barrier();
	for (int round = 0; round < 3; round++) {
		assert_int_equal(bpf_map_open(fd, -1, &map), 0);
		assert_true(map->arena->was_clean);
		assert_int_equal(map->id, id);
		bpf_map_stats_read(map, &stats);
		assert_int_equal(stats.entries, MAX);
		for (u32 n = 0; n < MAX; n++) {
			assert_int_equal(bpf_map_lookup(map, &n, value, 0), 0);
			assert_int_equal(bpf_map_update(map, &n, value, BPF_EXIST), 0);
		}
		bpf_map_put(map);
		bpf_rcu_barrier();
	}
	close(fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean_close_and_open),
		cmocka_unit_test(test_garbage_in_links_is_not_used),
		cmocka_unit_test(test_garbage_between_used_ranks_is_not_used),
		cmocka_unit_test(test_e_insert_each_instruction),
		cmocka_unit_test(test_e_replace_each_instruction),
		cmocka_unit_test(test_e_delete_each_instruction),
		cmocka_unit_test(test_e_lru_each_instruction),
		cmocka_unit_test(test_e_killed_at_random_lru),
		cmocka_unit_test(test_e_killed_at_random_memfd),
		cmocka_unit_test(test_e_killed_at_random_file),
	};

	if (argc == 4 && !strcmp(argv[1], "--hammer"))
		return hammer_main(atoi(argv[2]), atoi(argv[3]));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
