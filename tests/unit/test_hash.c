/*
 * test_hash.c - fs/lib/hash.h: what was added is found until it is removed, while the table grows
 */
#include <setjmp.h>
#include <stddef.h>
#include <stdarg.h>
#include <cmocka.h>
#include "fs/lib/hash.h"

#define ENTRIES 5000

static struct entry {
	u32 number;
	struct hash_link link;
} entries[ENTRIES];

static u64 key_of(u32 i)
{
	return (u64)(i / 2) << 32; /* two of each, and the same low bits in all */
}

static bool find(struct hash_table *table, u32 i)
{
	struct hash_link *link = hash_find(table, key_of(i));

	while (link && container_of(link, struct entry, link)->number != i)
		link = hash_again(link);
	return link;
}

static size_t count(const struct hash_table *table)
{
	size_t n = 0;

	hash_for_each(table, link) n++;
	return n;
}

static void test_grows(void **state)
{
	struct hash_table table = {0};

	for (u32 i = 0; i < ENTRIES; i++) {
		entries[i].number = i;
		assert_false(find(&table, i));
		hash_add(&table, &entries[i].link, key_of(i));
		assert_true(find(&table, i));
		assert_true(find(&table, i / 3));
	}
	assert_int_equal(table.count, ENTRIES);
	assert_true((size_t)1 << table.bits >= ENTRIES / 4);
	for (u32 i = 0; i < ENTRIES; i += 3)
		hash_remove(&table, &entries[i].link);
	for (u32 i = 0; i < ENTRIES; i++)
		assert_int_equal(find(&table, i), i % 3 != 0);
	assert_int_equal(count(&table), table.count);
	hash_free(&table);
}

static void test_empty(void **state)
{
	struct hash_table table = {0};
	struct hash_link a;

	assert_null(hash_find(&table, 0));
	assert_null(hash_first(&table));
	hash_add(&table, &a, 0);
	assert_ptr_equal(hash_find(&table, 0), &a);
	assert_int_equal(count(&table), 1);
	assert_null(hash_again(&a));
	hash_remove(&table, &a);
	assert_null(hash_find(&table, 0));
	hash_free(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
