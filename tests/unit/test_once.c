/*
 * test_once.c - store/once.c: a server is killed in the middle of a change, and the next one gets
 * the request again
 *
 * The servers are processes that share the memory and the map's file.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "fs/keeper/records.h"
#include "fs/keeper/requests.h"
#include "fs/keeper/shared.h"
#include "fs/store/once.h"
#include "map/create.h"
#include "map/syscall.h"

#define UNIQUE 6
#define OTHER  8
#define OPCODE 39
#define VALUE  700

enum point { BEFORE, AFTER, POINTS }; /* the change */

static struct bpf_map_note *own_note;

static void note_and_die(struct bpf_map_note *note, u64 mark, const void *data, u32 len)
{
	own_note->note(own_note, mark, data, len);
	raise(SIGKILL);
}

static void begin_request(u64 unique)
{
	struct request_record *record;

	requests_begin(unique, OPCODE, true, &record);
	assert_non_null(record);
}

/* What a server does that gets the request first; *at: where it is killed. */
static void first_server(struct bpf_map *map, bool push, enum point at)
{
	struct bpf_map_note killer = {note_and_die};
	struct fs_req req = {.unique = UNIQUE};
	struct map_once once;
	u64 value = VALUE;

	if (requests_start())
		_exit(2);
	begin_request(UNIQUE);
	map_once_begin(&once, map, &req);
	own_note = &once.note;
	bpf_map_noting = at == BEFORE ? &killer : &once.note;
	if (push)
		bpf_map_update(map, NULL, &value, 0);
	else
		bpf_map_pop(map, &value, 0);
	raise(SIGKILL);
}

static void next_server(int fd, struct bpf_map **map)
{
	shared->starts++;
	shared->init_answered = 1;
	if (fd >= 0)
		assert_int_equal(bpf_map_open(fd, -1, map), 0);
	assert_int_equal(requests_start(), 0);
	map_once_recover();
}

static void run_and_wait(struct bpf_map *map, bool push, enum point at)
{
	pid_t child = fork();
	int status;

	if (!child)
		first_server(map, push, at);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void start_shared(void)
{
	assert_int_equal(shared_map(), 0);
	shared->starts = 1;
}

static u64 entries(struct bpf_map *map)
{
	struct bpf_map_stats stats;

	bpf_map_stats_read(map, &stats);
	return stats.entries;
}

static struct bpf_map *make(enum bpf_map_type type, u32 key_size, int fd)
{
	struct bpf_map_spec spec = {
		.map_type = type, .key_size = key_size, .value_size = 8, .max_entries = 4};
	struct bpf_map *map;

	assert_int_equal(bpf_map_create(&spec, 0, fd, -1, &map), 0);
	return map;
}

static void let_go(struct bpf_map *map)
{
	bpf_map_put(map);
	bpf_rcu_barrier();
}

/* Somebody else's change in between may get the number that the first one had. */
static void push_and_pop(enum bpf_map_type type, bool push, enum point at, bool other)
{
	int fd = memfd_create("queue", 0);
	struct bpf_map *map = make(type, 0, fd);
	struct fs_req req = {.unique = UNIQUE | REQUEST_AGAIN}, second = {.unique = OTHER};
	u64 value, first = 1, last = 2, got = 0;
	struct map_once once;

	assert_int_equal(bpf_map_update(map, NULL, &first, 0), 0);
	assert_int_equal(bpf_map_update(map, NULL, &last, 0), 0);
	start_shared();
	run_and_wait(map, push, at);
	let_go(map);
	next_server(fd, &map);
	assert_int_equal(entries(map), 2 + (push ? 1 : -1) * (at == AFTER));

	if (other) {
		begin_request(OTHER);
		map_once_begin(&once, map, &second);
		assert_int_equal(map_once_pop(&once, map, &got, 0), 0);
		requests_end(OTHER);
	}
	begin_request(UNIQUE | REQUEST_AGAIN);
	map_once_begin(&once, map, &req);
	value = VALUE;
	if (push) {
		assert_int_equal(map_once_push(&once, map, &value, 0), 0);
		assert_int_equal(entries(map), 3 - other);
	} else {
		assert_int_equal(map_once_pop(&once, map, &value, 0), 0);
		assert_int_equal(entries(map), 1 - other);
		assert_int_equal(value + got, other ? 3 : type == BPF_MAP_TYPE_QUEUE ? 1 : 2);
		assert_int_not_equal(value, got);
	}
	requests_end(UNIQUE);
	let_go(map);
	close(fd);
}

static void test_queues_and_stacks(void **state)
{
	for (int at = 0; at < POINTS; at++)
		for (int other = 0; other < 2; other++)
			for (int push = 0; push < 2; push++) {
				push_and_pop(BPF_MAP_TYPE_QUEUE, push, at, other);
				push_and_pop(BPF_MAP_TYPE_STACK, push, at, other);
			}
}

static void delete_and_die(struct bpf_map *map, u64 *pair, enum point at)
{
	struct fs_req req = {.unique = UNIQUE};
	struct map_once once;

	if (requests_start())
		_exit(2);
	begin_request(UNIQUE);
	map_once_begin(&once, map, &req);
	if (at == BEFORE) {
		requests_note(UNIQUE, map->id, ~0ULL, pair, 16);
		raise(SIGKILL);
	}
	map_once_delete(&once, map, pair, 16);
	raise(SIGKILL);
}

/* The value is the one that was there, also when the key has come again. */
static void delete_once(enum point at, bool again)
{
	int fd = memfd_create("hash", 0), status;
	struct bpf_map *map = make(BPF_MAP_TYPE_HASH, 8, fd);
	struct fs_req req = {.unique = UNIQUE | REQUEST_AGAIN};
	u64 pair[2] = {5, 50}, later = 60;
	struct map_once once;
	const void *data;
	pid_t child;
	u32 len;
	int ret;

	assert_int_equal(bpf_map_update(map, &pair[0], &pair[1], 0), 0);
	start_shared();
	child = fork();
	if (!child)
		delete_and_die(map, pair, at);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	let_go(map);
	next_server(fd, &map);
	if (again) {
		assert_int_equal(bpf_map_update(map, &pair[0], &later, 0), 0);
		/* One more server dies meanwhile: what was settled stays so. */
		next_server(-1, &map);
	}
	begin_request(UNIQUE | REQUEST_AGAIN);
	map_once_begin(&once, map, &req);
	ret = map_once_before(&once, &data, &len);
	assert_int_equal(ret, at == AFTER);
	if (ret) {
		assert_int_equal(len, 16);
		assert_memory_equal(data, pair, 16);
		assert_int_equal(map_once_before(&once, &data, &len), 0);
	}
	requests_end(UNIQUE);
	let_go(map);
	close(fd);
}

static void test_deletes(void **state)
{
	for (int at = 0; at < POINTS; at++)
		for (int again = 0; again < 2; again++)
			delete_once(at, again);
}

static void create_and_die(struct bpf_map *map, const u64 *pair, enum point at)
{
	struct fs_req req = {.unique = UNIQUE};
	struct map_once once;

	if (requests_start())
		_exit(2);
	begin_request(UNIQUE);
	map_once_begin(&once, map, &req);
	map_once_create(&once, map, pair);
	if (at == AFTER)
		bpf_map_update(map, &pair[0], &pair[1], BPF_NOEXIST);
	raise(SIGKILL);
}

/* Who asked for a new element has made it, also when it is gone again. */
static void create_once(enum point at, bool again)
{
	int fd = memfd_create("hash", 0), status;
	struct bpf_map *map = make(BPF_MAP_TYPE_HASH, 8, fd);
	struct fs_req req = {.unique = UNIQUE | REQUEST_AGAIN};
	u64 pair[2] = {5, 50};
	struct map_once once;
	const void *data;
	pid_t child;
	u32 len;
	int ret;

	start_shared();
	child = fork();
	if (!child)
		create_and_die(map, pair, at);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	let_go(map);
	next_server(fd, &map);
	if (again) {
		bpf_map_delete(map, &pair[0]);
		next_server(-1, &map);
	}
	begin_request(UNIQUE | REQUEST_AGAIN);
	map_once_begin(&once, map, &req);
	ret = map_once_before(&once, &data, &len);
	assert_int_equal(ret, at == AFTER);
	if (ret) {
		assert_int_equal(len, 8);
		assert_memory_equal(data, pair, 8);
	}
	requests_end(UNIQUE);
	let_go(map);
	close(fd);
}

static void test_creations(void **state)
{
	for (int at = 0; at < POINTS; at++)
		for (int again = 0; again < 2; again++)
			create_once(at, again);
}

/* What this server notes is not what one before it did. */
static void test_several_of_one_request(void **state)
{
	struct fs_req req = {.unique = UNIQUE | REQUEST_AGAIN};
	struct bpf_map *map = make(BPF_MAP_TYPE_QUEUE, 0, -1);
	struct map_once once;

	start_shared();
	assert_int_equal(requests_start(), 0);
	begin_request(UNIQUE);
	next_server(-1, &map);
	begin_request(UNIQUE | REQUEST_AGAIN);
	map_once_begin(&once, map, &req);
	for (u64 value = 1; value <= 3; value++)
		assert_int_equal(map_once_push(&once, map, &value, 0), 0);
	assert_int_equal(entries(map), 3);
	requests_end(UNIQUE);
	let_go(map);
}

static void test_more_than_fits(void **state)
{
	static char large[NOTES_MAX];
	struct fs_req req = {.unique = UNIQUE | REQUEST_AGAIN};
	struct bpf_map *map = make(BPF_MAP_TYPE_QUEUE, 0, -1);
	struct map_once once;
	const void *data;
	u32 len;

	start_shared();
	assert_int_equal(requests_start(), 0);
	begin_request(UNIQUE);
	requests_note(UNIQUE, map->id, 1, NULL, 0);
	requests_note(UNIQUE, map->id, 2, large, sizeof(large));
	next_server(-1, &map);
	begin_request(UNIQUE | REQUEST_AGAIN);
	map_once_begin(&once, map, &req);
	assert_int_equal(map_once_before(&once, &data, &len), -EIO);
	error_clear(&req.error);
	requests_end(UNIQUE);
	let_go(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queues_and_stacks),
		cmocka_unit_test(test_deletes),
		cmocka_unit_test(test_creations),
		cmocka_unit_test(test_several_of_one_request),
		cmocka_unit_test(test_more_than_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
