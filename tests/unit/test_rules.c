/*
 * test_rules.c - fs/enforce/rules.c: transactions of rules, in a network of the test's own
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "fs/enforce/rules.h"

static struct nft_rules rules;
static bool works;

static const struct nft_cgroup tree[] = {{100, 1, 32770}, {101, 2, 32771}, {102, 2, 32772}};

static int begin(void **state)
{
	int err;

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		print_message("no network of its own: %s\n", strerror(errno));
		return 0;
	}
	err = nft_start(&rules, "ubpffs-test", true);
	if (!err)
		err = nft_replace(&rules, tree, 1, 32769);
	if (err)
		print_message("no such rules here: %s\n", strerror(-err));
	works = !err;
	return 0;
}

static int end(void **state)
{
	nft_stop(&rules, works);
	return 0;
}

#define NEEDS_RULES()                                          \
	do {                                                   \
		if (!works) {                                  \
			print_message("no such rules here\n"); \
			skip();                                \
		}                                              \
	} while (0)

static void all_are_replaced_at_once(void **state)
{
	NEEDS_RULES();
	assert_int_equal(nft_replace(&rules, tree, 3, 32769), 0);
	assert_int_equal(nft_replace(&rules, tree, 3, 32769), 0);
	assert_int_equal(nft_remove(&rules, &tree[2]), 0);
	assert_int_equal(nft_remove(&rules, &tree[1]), 0);
	assert_int_equal(nft_replace(&rules, tree, 1, 32769), 0);
	assert_int_not_equal(nft_remove(&rules, &tree[1]), 0); /* it was replaced by nothing */
}

static void cgroups_come_and_go_at_any_level(void **state)
{
	static const struct nft_cgroup more[] = {{200, 2, 32780}, {201, 3, 32781}, {202, 5, 32782}};

	NEEDS_RULES();
	assert_int_equal(nft_replace(&rules, tree, 1, 32769), 0);
	assert_int_equal(nft_add(&rules, more, 3), 0);
	for (u32 round = 0; round < 3; round++) {
		for (u32 i = 0; i < 3; i++)
			assert_int_equal(nft_remove(&rules, &more[i]), 0);
		for (u32 i = 3; i-- > 0;)
			assert_int_equal(nft_add(&rules, &more[i], 1), 0);
	}
}

/* One of them cannot be: none of them is. */
static void a_transaction_that_fails_changes_nothing(void **state)
{
	static const struct nft_cgroup both[] = {{300, 2, 32790}, {101, 2, 32799}};

	NEEDS_RULES();
	assert_int_equal(nft_replace(&rules, tree, 3, 32769), 0);
	assert_int_not_equal(nft_add(&rules, both, 2), 0); /* 101 has another queue */
	assert_int_not_equal(nft_remove(&rules, &both[0]), 0);
	assert_int_equal(nft_add(&rules, &both[0], 1), 0);
	assert_int_equal(nft_remove(&rules, &both[0]), 0);
}

static void many_fit_in_one_transaction(void **state)
{
	static struct nft_cgroup many[500];

	NEEDS_RULES();
	for (u32 i = 0; i < 500; i++)
		many[i] = (struct nft_cgroup){1000 + i, 1 + (i > 0) + i % 3, (u16)(33000 + i)};
	assert_int_equal(nft_replace(&rules, many, 500, 32769), 0);
	for (u32 i = 1; i < 500; i += 50)
		assert_int_equal(nft_remove(&rules, &many[i]), 0);
	assert_int_equal(nft_replace(&rules, tree, 1, 32769), 0);
}

static void a_hold_takes_away_what_a_killed_server_left(void **state)
{
	NEEDS_RULES();
	assert_int_equal(nft_replace(&rules, tree, 3, 32769), 0);
	assert_int_equal(nft_hold(&rules, tree), 0);
	assert_int_not_equal(nft_remove(&rules, &tree[2]), 0);
	assert_int_equal(nft_replace(&rules, tree, 3, 32769), 0);
	assert_int_equal(nft_remove(&rules, &tree[2]), 0);
}

static void with_the_table_all_goes(void **state)
{
	NEEDS_RULES();
	assert_int_equal(nft_replace(&rules, tree, 3, 32769), 0);
	nft_stop(&rules, true);
	assert_int_equal(nft_start(&rules, "ubpffs-test", false), 0);
	assert_int_equal(nft_remove(&rules, &tree[2]), -ENOENT);
	assert_int_equal(nft_hold(&rules, tree), 0);
	assert_int_equal(nft_replace(&rules, tree, 3, 32769), 0);
	/* Without `remove` it stays for the next server. */
	nft_stop(&rules, false);
	assert_int_equal(nft_start(&rules, "ubpffs-test", true), 0);
	rules.deepest = 2;
	assert_int_equal(nft_remove(&rules, &tree[2]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_are_replaced_at_once),
		cmocka_unit_test(cgroups_come_and_go_at_any_level),
		cmocka_unit_test(a_transaction_that_fails_changes_nothing),
		cmocka_unit_test(many_fit_in_one_transaction),
		cmocka_unit_test(a_hold_takes_away_what_a_killed_server_left),
		cmocka_unit_test(with_the_table_all_goes),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
