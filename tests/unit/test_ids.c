/*
 * test_ids.c - rcu/ids.h: objects by their number
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "rcu/ids.h"

static struct bpf_ids ids = BPF_IDS_INIT;
static int one, two;

static bool inc(void *object)
{
	return object != &two;
}

static void found_by_number(void **state)
{
	u32 a = 0, b = 7, c = 0, again = 7;

	assert_int_equal(bpf_ids_add(&ids, &a, &one), 0);
	assert_int_equal(a, 1);
	assert_int_equal(bpf_ids_add(&ids, &b, &two), 0);
	assert_int_equal(bpf_ids_add(&ids, &again, &one), -EEXIST);
	assert_int_equal(bpf_ids_add(&ids, &c, &one), 0);
	assert_int_equal(c, 8);
	assert_ptr_equal(bpf_ids_find(&ids, 7), &two);
	assert_ptr_equal(bpf_ids_get(&ids, 8, inc), &one);
	assert_null(bpf_ids_get(&ids, 7, inc));
	assert_null(bpf_ids_find(&ids, 6));
	assert_int_equal(bpf_ids_next(&ids, 0), 1);
	assert_int_equal(bpf_ids_next(&ids, 1), 7);
	assert_int_equal(bpf_ids_next(&ids, 8), 0);
	bpf_ids_remove(&ids, a);
	bpf_ids_remove(&ids, b);
	bpf_ids_remove(&ids, c);
	assert_int_equal(bpf_ids_next(&ids, 0), 0);
}

/* Who loads one object after the other does not make half a MiB of table for each. */
static void the_last_page_stays(void **state)
{
	struct bpf_ids_page *page;
	u32 a = 0, b, c = 3 * BPF_IDS_PAGE + 5;

	assert_int_equal(bpf_ids_add(&ids, &a, &one), 0);
	page = ids.pages[0];
	bpf_ids_remove(&ids, a);
	assert_non_null(page);
	assert_ptr_equal(ids.pages[0], page);
	b = 0;
	assert_int_equal(bpf_ids_add(&ids, &b, &one), 0);
	assert_int_equal(b, a + 1);
	assert_ptr_equal(ids.pages[0], page);

	/* It goes when it is empty and not the last: whichever comes later. */
	assert_int_equal(bpf_ids_add(&ids, &c, &one), 0);
	assert_ptr_equal(ids.pages[0], page);
	bpf_ids_remove(&ids, b);
	assert_null(ids.pages[0]);
	bpf_ids_remove(&ids, c);
	assert_non_null(ids.pages[3]);
	c = 5 * BPF_IDS_PAGE;
	assert_int_equal(bpf_ids_add(&ids, &c, &one), 0);
	assert_null(ids.pages[3]);
	bpf_ids_remove(&ids, c);
	bpf_rcu_barrier();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found_by_number),
		cmocka_unit_test(the_last_page_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
