/*
 * test_requests.c - keeper/requests.c: what the next server knows; guarantees by letter
 *
 * A server's end is the next requests_start() on the same memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "fs/keeper/records.h"
#include "fs/keeper/requests.h"
#include "fs/keeper/shared.h"

#define UNIQUE 6
#define OPCODE 16

static void start_shared(void)
{
	assert_int_equal(shared_map(), 0);
	shared->starts = 1;
	assert_int_equal(requests_start(), 0);
}

static void next_server(u64 culprit)
{
	shared->culprit = culprit;
	shared->starts++;
	assert_int_equal(requests_start(), 0);
}

static enum request_what again(struct request_record **record)
{
	return requests_begin(UNIQUE | REQUEST_AGAIN, OPCODE, true, record);
}

static void done(const char *answer)
{
	struct iovec iov[2] = {{NULL, 16}, {(void *)answer, strlen(answer)}};

	requests_done(UNIQUE, 0, iov, 2);
}

static void test_a_answer_is_kept(void **state)
{
	struct request_record *record;
	const void *data;
	u32 len;

	start_shared();
	assert_int_equal(requests_begin(UNIQUE, OPCODE, true, &record), REQUEST_NEW);
	assert_true(requests_pending(UNIQUE));
	done("well");
	assert_false(requests_pending(UNIQUE));
	for (int i = 0; i < 3; i++) { /* servers that die before they read it */
		next_server(0);
		assert_true(requests_known(UNIQUE));
	}
	assert_int_equal(again(&record), REQUEST_ANSWERED);
	assert_int_equal(requests_answer(record, &data, &len), 0);
	assert_int_equal(len, 4);
	assert_memory_equal(data, "well", 4);
	requests_end(UNIQUE);
	assert_false(requests_known(UNIQUE));
	next_server(0);
	assert_int_equal(again(&record), REQUEST_REPEATED);
	requests_end(UNIQUE);
}

static void strikes(bool is_done)
{
	struct request_record *record;

	start_shared();
	requests_begin(UNIQUE, OPCODE, true, &record);
	if (is_done)
		done("deadly");
	next_server(UNIQUE);
	assert_int_equal(again(&record), is_done ? REQUEST_ANSWERED : REQUEST_REPEATED);
	next_server(0); /* killed from outside */
	assert_int_equal(again(&record), is_done ? REQUEST_ANSWERED : REQUEST_REPEATED);
	next_server(UNIQUE);
	assert_int_equal(again(&record), REQUEST_DEADLY);
	requests_end(UNIQUE);
}

static void test_b_two_strikes(void **state)
{
	strikes(false);
	strikes(true);
}

static void test_c_no_room(void **state)
{
	struct request_record *record;
	u64 unique = 2;

	start_shared();
	do {
		requests_begin(unique, OPCODE, true, &record);
		unique += 2;
	} while (record);
	assert_int_equal(unique / 2 - 2, shared_table_max(SHARED_REQUESTS));
	requests_end(2);
	requests_begin(unique, OPCODE, true, &record);
	assert_non_null(record);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_answer_is_kept),
		cmocka_unit_test(test_b_two_strikes),
		cmocka_unit_test(test_c_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
