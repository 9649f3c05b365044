/*
 * test_read_back.c - fs/store/names/read_back.c: what a start finds sleeps, and is read back when
 * it is needed
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/resource.h>
#include <cmocka.h>
#include "fs/store/names/read_back.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/objects/asleep.h"
#include "map/syscall.h"
#include "rcu/rcu.h"
#include "tests/lib/state.h"

static u32 map_id, prog_id;

/* A program that uses a map with a value; then this server ends, and the next one begins. */
static void restart_with_both(void)
{
	struct store_object *map = state_map("m"), *prog = state_prog("p", 1, map);
	u64 value = 42;
	u32 key = 1;

	assert_int_equal(bpf_map_update(map->map, &key, &value, BPF_ANY), 0);
	map_id = map->id;
	prog_id = prog->id;
	store_put(prog);
	store_put(map);
	state_stop();
	assert_int_equal(state_start(), 0);
}

static struct store_object *get(enum store_kind kind, u32 id)
{
	struct store_object *obj;

	assert_int_equal(store_by_id(kind, id, &obj), 0);
	return obj;
}

static void assert_value(const struct store_object *map)
{
	u32 key = 1;
	u64 value;

	assert_int_equal(bpf_map_lookup(map->map, &key, &value, 0), 0);
	assert_int_equal(value, 42);
}

static void assert_gone(u32 id)
{
	bpf_rcu_barrier();
	bpf_rcu_barrier();
	assert_false(state_has("objects/%u", id));
}

static void a_start_opens_and_verifies_nothing(void **state)
{
	struct store_object *map, *prog, *next;

	restart_with_both();
	assert_int_equal(store_asleep(), 2);
	map = get(STORE_MAP, map_id);
	prog = get(STORE_PROG, prog_id);
	assert_true(store_is_asleep(map) && store_is_asleep(prog));
	assert_null(map->map);
	assert_null(prog->prog);
	/* What lists and looks need is there. */
	assert_string_equal(store_name(prog), "p");
	assert_string_equal(store_name(map), "m");
	assert_int_equal(store_map_type(map), BPF_MAP_TYPE_ARRAY);
	assert_int_equal(store_map_type(prog), BPF_MAP_TYPE_UNSPEC);
	assert_true(store_prog_uses(prog, map_id));
	assert_false(store_prog_uses(prog, prog_id));
	assert_int_equal(store_next(STORE_PROG, 0, &next), 0);
	assert_ptr_equal(next, prog);
	store_put(next);
	/* A program's maps are read back with it. */
	assert_int_equal(store_wake(prog), 0);
	assert_null(prog->broken);
	assert_false(store_is_asleep(map));
	assert_ptr_equal(prog->prog->used_maps[0], map->map);
	assert_true(store_prog_uses(prog, map_id));
	assert_value(map);
	assert_int_equal(store_asleep(), 0);
	assert_int_equal(store_wake(prog), 0); /* and that is that */
	store_put(prog);
	store_put(map);
}

static void its_owner_is_charged_while_it_sleeps(void **state)
{
	u64 before[LIMIT_CNT];
	uid_t me = geteuid();

	store_put(state_map("m"));
	for (u32 i = 0; i < LIMIT_CNT; i++)
		before[i] = limits_used(me, i);
	state_stop();
	assert_int_equal(state_start(), 0);
	assert_int_equal(store_asleep(), 1);
	assert_int_equal(limits_used(me, LIMIT_OBJECTS), before[LIMIT_OBJECTS]);
	assert_int_equal(limits_used(me, LIMIT_BYTES), before[LIMIT_BYTES]);
	state_unname("maps/m", "map");
	assert_int_equal(limits_used(me, LIMIT_OBJECTS), before[LIMIT_OBJECTS] - 1);
	assert_int_equal(store_asleep(), 0);
}

/* Those that were taken before it was read back are the engine's afterwards, and none is lost. */
static void references_go_along(void **state)
{
	struct store_object *map, *prog;

	restart_with_both();
	map = get(STORE_MAP, map_id);
	prog = get(STORE_PROG, prog_id);
	for (u32 i = 0; i < 3; i++) {
		store_get(map);
		store_get(prog);
	}
	assert_int_equal(store_wake(prog), 0);
	assert_int_equal(prog->prog->refcnt, 1 + 1 + 3); /* its name's, and ours */
	assert_int_equal(map->map->refcnt, 1 + 1 + 3 + 1); /* and the program's */
	assert_int_equal(map->map->uref, 1 + 1 + 3);
	state_unname("progs/p", "prog");
	state_unname("maps/m", "map");
	for (u32 i = 0; i < 4; i++) {
		assert_true(state_has("objects/%u", prog_id));
		store_put(prog);
	}
	assert_gone(prog_id);
	for (u32 i = 0; i < 4; i++) {
		assert_true(state_has("objects/%u", map_id));
		store_put(map);
	}
	assert_gone(map_id);
}

static void what_goes_asleep_lets_go_what_it_used(void **state)
{
	restart_with_both();
	state_unname("maps/m", "map");
	assert_true(state_has("objects/%u", map_id)); /* the program's */
	assert_int_equal(store_asleep(), 2);
	state_unname("progs/p", "prog");
	assert_gone(prog_id);
	assert_gone(map_id);
	assert_int_equal(store_asleep(), 0);
}

static void what_sleeps_is_there_at_the_next_start(void **state)
{
	struct store_object *prog;

	restart_with_both();
	state_unname("maps/m", "map");
	for (u32 i = 0; i < 3; i++) {
		state_stop();
		assert_int_equal(state_start(), 0);
		assert_int_equal(store_asleep(), 2);
	}
	prog = get(STORE_PROG, prog_id);
	assert_int_equal(store_wake(prog), 0);
	assert_null(prog->broken);
	assert_value(store_of_map(prog->prog->used_maps[0]));
	store_put(prog);
}

static void *use_it(void *arg)
{
	for (u32 i = 0; i < 100; i++) {
		struct store_object *map = get(STORE_MAP, map_id), *prog = get(STORE_PROG, prog_id);

		if (i >= 50) {
			if (store_wake((i & 1) ? map : prog))
				abort();
			if (map->broken || prog->broken)
				abort();
		}
		store_put(map);
		store_put(prog);
	}
	return NULL;
}

static void who_comes_at_once_gets_the_same(void **state)
{
	pthread_t threads[4];

	restart_with_both();
	for (u32 round = 0; round < 20; round++) {
		struct store_object *map;

		for (u32 i = 0; i < ARRAY_SIZE(threads); i++)
			assert_int_equal(pthread_create(&threads[i], NULL, use_it, NULL), 0);
		for (u32 i = 0; i < ARRAY_SIZE(threads); i++)
			assert_int_equal(pthread_join(threads[i], NULL), 0);
		map = get(STORE_MAP, map_id);
		assert_int_equal(map->map->refcnt, 1 + 1 + 1); /* our own, name, program */
		assert_value(map);
		store_put(map);
		state_stop();
		assert_int_equal(state_start(), 0);
	}
}

static void damage_that_is_found_late_is_said_and_removes_nothing(void **state)
{
	struct store_object *map, *prog;
	char path[64];

	restart_with_both();
	snprintf(path, sizeof(path), "%u.values", map_id);
	assert_return_code(unlinkat(tree.objects_fd, path, 0), errno);
	assert_return_code(mkdirat(tree.objects_fd, path, 0700), errno);
	prog = get(STORE_PROG, prog_id);
	assert_int_equal(store_wake(prog), 0);
	assert_non_null(strstr(prog->broken, "which cannot be read: it is kept"));
	map = get(STORE_MAP, map_id);
	assert_non_null(strstr(map->broken, "could not be opened"));
	assert_int_equal(store_asleep(), 0);
	store_put(map);
	store_put(prog);
	assert_true(state_has("tree/progs/p/prog"));
	assert_true(state_has("tree/maps/m/map"));
	assert_return_code(unlinkat(tree.objects_fd, path, AT_REMOVEDIR), errno);
}

static void an_error_that_passes_leaves_it_asleep(void **state)
{
	struct store_object *prog;
	struct rlimit all, none;

	restart_with_both();
	prog = get(STORE_PROG, prog_id);
	assert_return_code(getrlimit(RLIMIT_NOFILE, &all), errno);
	none = all;
	none.rlim_cur = 0;
	assert_return_code(setrlimit(RLIMIT_NOFILE, &none), errno);
	assert_int_equal(store_wake(prog), -EMFILE);
	assert_return_code(setrlimit(RLIMIT_NOFILE, &all), errno);
	assert_true(store_is_asleep(prog));
	assert_int_equal(store_wake(prog), 0);
	assert_null(prog->broken);
	store_put(prog);
}

static void the_background_reads_all_back(void **state)
{
	struct store_object *map;

	restart_with_both();
	read_back_begin();
	for (u32 i = 0; store_asleep() && i < 10000; i++)
		usleep(1000);
	assert_int_equal(store_asleep(), 0);
	read_back_end();
	map = get(STORE_MAP, map_id);
	assert_value(map);
	store_put(map);
}

/* It is not waited for longer than for the object that it is at. */
static void the_background_ends_with_the_server(void **state)
{
	restart_with_both();
	for (u32 i = 0; i < 20; i++) {
		read_back_begin();
		read_back_end();
		state_stop();
		assert_int_equal(state_start(), 0);
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, state_begin, state_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_start_opens_and_verifies_nothing),
		CASE(its_owner_is_charged_while_it_sleeps),
		CASE(references_go_along),
		CASE(what_goes_asleep_lets_go_what_it_used),
		CASE(what_sleeps_is_there_at_the_next_start),
		CASE(who_comes_at_once_gets_the_same),
		CASE(damage_that_is_found_late_is_said_and_removes_nothing),
		CASE(an_error_that_passes_leaves_it_asleep),
		CASE(the_background_reads_all_back),
		CASE(the_background_ends_with_the_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
