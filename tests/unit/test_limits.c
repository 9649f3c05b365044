/*
 * test_limits.c - fs/caller/limits.c: its guarantees by their letters
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "fs/caller/limits.h"

#define USER  4000001 /* nobody who runs tests */
#define OTHER 4000002

static void up_to_the_limit(void **state)
{
	struct error_record why = {0};

	limits_set_default(LIMIT_OBJECTS, 3);
	assert_int_equal(limits_charge(USER, LIMIT_OBJECTS, 2, NULL), 0);
	assert_int_equal(limits_charge(USER, LIMIT_OBJECTS, 2, &why), -EDQUOT);
	assert_int_equal(limits_used(USER, LIMIT_OBJECTS), 2);
	assert_int_equal(why.err, EDQUOT);
	assert_non_null(strstr(why.why, "2 of its 3"));
	assert_non_null(strstr(why.why, "limits/4000001/objects"));
	error_clear(&why);
	assert_int_equal(limits_charge(USER, LIMIT_OBJECTS, 1, NULL), 0);
	assert_int_equal(limits_charge(OTHER, LIMIT_OBJECTS, 3, NULL), 0); /* each for himself */
	assert_int_equal(limits_charge(USER, LIMIT_BYTES, UINT64_MAX, NULL), -EDQUOT);
	limits_uncharge(USER, LIMIT_OBJECTS, 3);
	limits_uncharge(OTHER, LIMIT_OBJECTS, 3);
	assert_int_equal(limits_used(USER, LIMIT_OBJECTS), 0);
	assert_int_equal(limits_used(OTHER, LIMIT_OBJECTS), 0);
}

static void lowering_takes_nothing_away(void **state)
{
	u64 own;

	limits_set_default(LIMIT_NAMES, 10);
	assert_int_equal(limits_own(USER, LIMIT_NAMES, &own), -ENOENT);
	assert_int_equal(limits_charge(USER, LIMIT_NAMES, 8, NULL), 0);
	assert_int_equal(limits_set(USER, LIMIT_NAMES, 4), 0);
	assert_int_equal(limits_own(USER, LIMIT_NAMES, &own), 0);
	assert_int_equal(own, 4);
	assert_int_equal(limits_used(USER, LIMIT_NAMES), 8);
	assert_int_equal(limits_charge(USER, LIMIT_NAMES, 1, NULL), -EDQUOT);
	limits_uncharge(USER, LIMIT_NAMES, 5);
	assert_int_equal(limits_charge(USER, LIMIT_NAMES, 1, NULL), 0);
	limits_unset(USER, LIMIT_NAMES);
	assert_int_equal(limits_of(USER, LIMIT_NAMES), 10);
	limits_charge_anyway(USER, LIMIT_NAMES, 20);
	assert_int_equal(limits_used(USER, LIMIT_NAMES), 24);
	limits_uncharge(USER, LIMIT_NAMES, 24);
	assert_int_equal(limits_used(USER, LIMIT_NAMES), 0);
}

static void root_has_none_but_its_own(void **state)
{
	assert_true(limits_of(0, LIMIT_FILES) == LIMIT_NONE);
	assert_int_equal(limits_charge(0, LIMIT_FILES, 1ULL << 40, NULL), 0);
	limits_uncharge(0, LIMIT_FILES, 1ULL << 40);
	assert_int_equal(limits_set(0, LIMIT_FILES, 1), 0);
	assert_int_equal(limits_charge(0, LIMIT_FILES, 2, NULL), -EDQUOT);
	limits_unset(0, LIMIT_FILES);
}

#define THREADS 4
#define ROUNDS	20000

static u64 above;

static void *hammer(void *uid)
{
	for (u32 i = 0; i < ROUNDS; i++) {
		uid_t who = (uid_t)(uintptr_t)uid + i % 3;

		if (limits_charge(who, LIMIT_JOBS, 1, NULL))
			continue;
		if (limits_used(who, LIMIT_JOBS) > THREADS - 1)
			__atomic_fetch_add(&above, 1, __ATOMIC_RELAXED);
		limits_uncharge(who, LIMIT_JOBS, 1);
	}
	return NULL;
}

static void threads(void **state)
{
	pthread_t thread[THREADS];

	limits_set_default(LIMIT_JOBS, THREADS - 1);
	for (u32 i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, hammer, (void *)(uintptr_t)5000),
				 0);
	for (u32 i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(above, 0);
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(limits_used(5000 + i, LIMIT_JOBS), 0);
}

static void names(void **state)
{
	enum limit what;

	for (u32 i = 0; i < LIMIT_CNT; i++) {
		assert_int_equal(limits_find(limits_name(i), &what), 0);
		assert_int_equal(what, i);
	}
	assert_int_equal(limits_find("usage", &what), -ENOENT);
}

static void defaults_of_this_machine(void **state)
{
	limits_size_defaults(0 /* any */);
	for (u32 i = 0; i < LIMIT_CNT; i++)
		assert_true(limits_default(i) > 0);
}

/* Guarantee C; guarantee B also for it. */
static void memory_of_all_together(void **state)
{
	struct error_record why = {0};

	limits_set_default(LIMIT_MEMORY, 1000);
	limits_set_all(LIMIT_MEMORY, 1500);
	assert_int_equal(limits_charge(USER, LIMIT_MEMORY, 1000, NULL), 0);
	assert_int_equal(limits_charge(OTHER, LIMIT_MEMORY, 600, &why), -EDQUOT);
	assert_non_null(strstr(why.why, "all users keep 1000 bytes"));
	assert_non_null(strstr(why.why, "limits/all/memory"));
	error_clear(&why);
	assert_int_equal(limits_all_used(LIMIT_MEMORY), 1000);
	assert_int_equal(limits_used(OTHER, LIMIT_MEMORY), 0);
	assert_int_equal(limits_charge(0, LIMIT_MEMORY, 1 << 20, NULL),
			 0); /* root is none of them */
	for (int i = 0; i < 10; i++) /* beyond his own: the others keep what is left */
		assert_int_equal(limits_charge(USER, LIMIT_MEMORY, 1, NULL), -EDQUOT);
	assert_int_equal(limits_charge(OTHER, LIMIT_MEMORY, 500, NULL), 0);
	limits_charge_anyway(OTHER, LIMIT_MEMORY, 100);
	limits_uncharge(OTHER, LIMIT_MEMORY, 600);
	limits_uncharge(USER, LIMIT_MEMORY, 1000);
	limits_uncharge(0, LIMIT_MEMORY, 1 << 20);
	assert_int_equal(limits_charge(OTHER, LIMIT_MEMORY, 1000, NULL), 0);
	assert_int_equal(limits_charge(USER, LIMIT_MEMORY, 500, NULL), 0);
	limits_uncharge(OTHER, LIMIT_MEMORY, 1000);
	limits_uncharge(USER, LIMIT_MEMORY, 500);
	limits_set_all(LIMIT_MEMORY, LIMIT_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(up_to_the_limit),
		cmocka_unit_test(lowering_takes_nothing_away),
		cmocka_unit_test(root_has_none_but_its_own),
		cmocka_unit_test(memory_of_all_together),
		cmocka_unit_test(threads),
		cmocka_unit_test(names),
		cmocka_unit_test(defaults_of_this_machine),
	};

	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
