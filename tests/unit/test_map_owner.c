/*
 * test_map_owner.c - fs/store/names/map_owner.c: the maps of a load go with its programs
 *
 * Cases are named by the letters of map_owner.h.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "fs/store/names/map_owner.h"
#include "fs/store/load_dir.h"
#include "fs/store/state/state_tree.h"
#include "rcu/rcu.h"
#include "tests/lib/state.h"

static bool is_there(const char *path)
{
	return state_has("tree/%s", path);
}

static void rename_map(const char *from, const char *to, bool exchange)
{
	tree_wrlock();
	assert_return_code(
		renameat2(tree.tree_fd, from, tree.tree_fd, to, exchange ? RENAME_EXCHANGE : 0),
		errno);
	map_owner_renamed(from, to, exchange);
	tree_unlock();
}

static void the_map_goes_with_the_last_program(void **state)
{
	struct store_object *obj;

	state_load("p", "m");
	assert_true(is_there("maps/m/map"));
	state_unname("progs/p", "prog");
	assert_false(is_there("maps/m"));
	assert_false(map_owner_unfinished());
	bpf_rcu_barrier();
	bpf_rcu_barrier();
	assert_int_equal(store_next(STORE_MAP, 0, &obj), -ENOENT);
}

static void a_map_of_another_load_stays(void **state)
{
	state_load("p", "m");
	state_load("q", "n");
	store_put(state_map("alone"));
	state_unname("progs/p", "prog");
	assert_false(is_there("maps/m"));
	assert_true(is_there("maps/n"));
	state_unname("progs/q", "prog");
	assert_false(is_there("maps/n"));
	assert_true(is_there("maps/alone"));
}

static void b_under_whatever_name_it_has(void **state)
{
	state_load("p", "m");
	store_put(state_map("x"));
	rename_map("maps/m", "maps/renamed", false);
	rename_map("maps/x", "maps/m", false); /* one that was put in its old place */
	state_unname("progs/p", "prog");
	assert_false(is_there("maps/renamed"));
	assert_true(is_there("maps/m"));
}

static void b_two_that_changed_places(void **state)
{
	state_load("p", "m");
	state_load("q", "n");
	rename_map("maps/m", "maps/n", true);
	state_unname("progs/p", "prog");
	assert_false(is_there("maps/n"));
	assert_true(is_there("maps/m"));
	state_unname("progs/q", "prog");
	assert_false(is_there("maps/m"));
}

/* The place says itself whose it is: what is no load's, or another's, stays. */
static void b_what_was_made_in_the_old_place_stays(void **state)
{
	state_load("p", "m");
	state_unname("maps/m", "map"); /* by rm -r */
	store_put(state_map("m"));
	state_unname("progs/p", "prog");
	assert_true(is_there("maps/m/map"));
	assert_false(map_owner_unfinished());
}

static void b_a_place_that_is_gone_holds_nothing_up(void **state)
{
	state_load("p", "m");
	assert_return_code(renameat(tree.tree_fd, "maps", tree.tree_fd, "away"), errno);
	state_unname("progs/p", "prog");
	assert_false(map_owner_unfinished());
	assert_return_code(renameat(tree.tree_fd, "away", tree.tree_fd, "maps"), errno);
	assert_true(is_there("maps/m")); /* an orphan, until a start */
	state_stop();
	assert_int_equal(state_start(), 0);
	assert_false(is_there("maps/m"));
}

static void c_the_next_removal_tries_again(void **state)
{
	struct store_object *obj;
	char ids[16];

	state_load("p", "m");
	state_load("q", "n");
	/* Nobody can say whose it is now. */
	state_write("tree/maps/m/.load", "x\n", 2);
	state_unname("progs/p", "prog");
	assert_true(map_owner_unfinished());
	tree_wrlock();
	assert_int_equal(map_owner_retry(), -EBADMSG);
	tree_unlock();
	assert_true(map_owner_unfinished());
	assert_true(is_there("maps/m/map"));
	assert_int_equal(store_next(STORE_MAP, 0, &obj), 0);
	snprintf(ids, sizeof(ids), "%u\n", obj->id + 1); /* state_load() made it just after */
	store_put(obj);
	state_write("tree/maps/m/.load", ids, strlen(ids));
	state_unname("progs/q", "prog");
	assert_false(map_owner_unfinished());
	assert_false(is_there("maps/m"));
	assert_false(is_there("maps/n"));
}

static void a_start_knows_what_belongs_together(void **state)
{
	state_load("p", "m");
	state_load("q", "n");
	state_stop();
	assert_int_equal(state_start(), 0);
	assert_true(is_there("maps/m/map"));
	rename_map("maps/n", "maps/nn", false);
	state_unname("progs/q", "prog");
	assert_false(is_there("maps/nn"));
	assert_true(is_there("maps/m"));
	state_unname("progs/p", "prog");
	assert_false(is_there("maps/m"));
}

static void two_loads(void)
{
	static const char *const progs[] = {"p0", "p1", "p2"}, *const maps[] = {"m0", "m1", "m2"};

	state_load_all(progs, 3, maps, 3);
	state_load("q", "n");
}

static void a_server_with_two_loads(void)
{
	assert_int_equal(state_start(), 0);
	two_loads();
}

/* What one load made goes together, also where a start has to find out what that is. */
static void a_all_maps_go_with_the_last_of_all_programs(void **state)
{
	char path[32];

	for (u32 started = 0; started < 2; started++) {
		/* Each program is once the last one. */
		for (u32 last = 0; last < 3; last++) {
			if (started) {
				state_stop();
				state_killed(a_server_with_two_loads);
				assert_int_equal(state_start(), 0);
			} else {
				two_loads();
			}
			for (u32 i = 0; i < 3; i++) {
				snprintf(path, sizeof(path), "progs/p%u", i);
				if (i != last)
					state_unname(path, "prog");
			}
			for (u32 i = 0; i < 3; i++)
				assert_true(state_has("tree/maps/m%u", i));
			snprintf(path, sizeof(path), "progs/p%u", last);
			state_unname(path, "prog");
			for (u32 i = 0; i < 3; i++)
				assert_false(state_has("tree/maps/m%u", i));
			assert_true(is_there("maps/n"));
			state_unname("progs/q", "prog");
			assert_false(is_there("maps/n"));
		}
	}
}

/* Killed between the program's name and the map's. */
static void a_start_ends_what_has_no_program(void **state)
{
	state_load("p", "m");
	state_load("q", "n");
	store_put(state_map("alone"));
	assert_return_code(unlinkat(tree.tree_fd, "progs/p/prog", 0), errno);
	state_stop();
	assert_int_equal(state_start(), 0);
	assert_false(is_there("progs/p"));
	assert_false(is_there("maps/m"));
	assert_true(is_there("maps/n/map"));
	assert_true(is_there("maps/alone/map"));
}

static void a_start_keeps_what_says_nothing_about_itself(void **state)
{
	static const char *const torn[] = {"",	       "\n",   "12",   "x\n",
					   "1\n\n2\n", "1\n2", "-1\n", "\n1\n"};

	for (u32 i = 0; i < ARRAY_SIZE(torn); i++) {
		state_load("p", "m");
		state_write("tree/maps/m/.load", torn[i], strlen(torn[i]));
		assert_return_code(unlinkat(tree.tree_fd, "progs/p/prog", 0), errno);
		state_stop();
		assert_int_equal(state_start(), 0);
		assert_true(is_there("maps/m/map"));
		state_unname("maps/m", "map");
	}
}

static void a_load_in_a_place(void **state)
{
	struct map_owner *owner;
	const char *names[] = {"m"};
	u32 ids[] = {77};

	/* Owns nothing: no program, or no map. */
	assert_int_equal(map_owner_new(ids, 0, "maps", names, 1, &owner), 0);
	assert_null(owner);
	assert_int_equal(map_owner_new(ids, 1, "maps", names, 0, &owner), 0);
	assert_null(owner);
	map_owner_add(NULL);
	map_owner_free(NULL);
	assert_return_code(mkdirat(tree.tree_fd, "progs/v2", 0755), errno);
	assert_return_code(mkdirat(tree.tree_fd, "progs/v2/maps", 0755), errno);
	assert_return_code(mkdirat(tree.tree_fd, "progs/v2/maps/m", 0755), errno);
	state_write("tree/progs/v2/maps/m/.load", "77\n", 3);
	assert_int_equal(map_owner_new(ids, 1, "progs/v2/maps", names, 1, &owner), 0);
	map_owner_free(owner); /* a load that failed */
	assert_int_equal(map_owner_new(ids, 1, "progs/v2/maps", names, 1, &owner), 0);
	tree_wrlock();
	map_owner_add(owner);
	map_owner_prog_gone(78); /* nobody's */
	assert_true(is_there("progs/v2/maps/m"));
	map_owner_prog_gone(77);
	tree_unlock();
	assert_false(is_there("progs/v2/maps/m"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, state_begin, state_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_map_goes_with_the_last_program),
		CASE(a_map_of_another_load_stays),
		CASE(b_under_whatever_name_it_has),
		CASE(b_two_that_changed_places),
		CASE(b_what_was_made_in_the_old_place_stays),
		CASE(b_a_place_that_is_gone_holds_nothing_up),
		CASE(c_the_next_removal_tries_again),
		CASE(a_start_knows_what_belongs_together),
		CASE(a_all_maps_go_with_the_last_of_all_programs),
		CASE(a_start_ends_what_has_no_program),
		CASE(a_start_keeps_what_says_nothing_about_itself),
		CASE(a_load_in_a_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
