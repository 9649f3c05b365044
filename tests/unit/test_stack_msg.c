/*
 * test_stack_msg.c - requests for stacks and answers, from a process that may lie
 * (fs/agent/format/stack_msg.h)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "fs/agent/format/stack_msg.h"

static struct stack_msg msg;

static int begin(void **state)
{
	msg = (struct stack_msg){.buf = calloc(1, STACK_MSG_MAX)};
	return !msg.buf;
}

static int end(void **state)
{
	free(msg.buf);
	return 0;
}

/*
 * The message in a block of exactly its size, so that a sanitizer sees what is read outside of it.
 */
static struct stack_msg cut(size_t len)
{
	struct stack_msg m = {.buf = malloc(len ? len : 1), .len = len};

	memcpy(m.buf, msg.buf, len);
	return m;
}

static void b_requests(void **state)
{
	u64 regs[17] = {1, 2, 3};
	char stack[101] = "stack";
	struct stack_request request = {STACK_UNWIND, 77, 0x1ffff, 17, sizeof(stack), regs, stack},
			     got;

	assert_true(stack_msg_put_request(&msg, &request));
	request = (struct stack_request){.what = STACK_FORGET, .pid = 78};
	assert_true(stack_msg_put_request(&msg, &request));
	assert_true(stack_msg_take_request(&msg, &got));
	assert_true(got.what == STACK_UNWIND && got.pid == 77 && got.mask == 0x1ffff &&
		    got.nr == 17);
	assert_memory_equal(got.words, regs, sizeof(regs));
	assert_int_equal(got.stack_size, sizeof(stack));
	assert_memory_equal(got.stack, stack, sizeof(stack));
	assert_true(stack_msg_take_request(&msg, &got));
	assert_true(got.what == STACK_FORGET && got.pid == 78 && !got.nr && !got.stack_size);
	assert_false(stack_msg_take_request(&msg, &got));
	assert_int_equal(msg.at, msg.len);
}

static void b_answers(void **state)
{
	struct bpf_stack_build_id ids[BPF_MAX_STACK_DEPTH] = {{.status = 1, .offset = 5}};
	u64 ips[BPF_MAX_STACK_DEPTH] = {11, 22};
	struct stack_answer got;

	assert_true(stack_msg_put_answer(&msg, &(struct stack_answer){2, ips, NULL}));
	assert_true(stack_msg_put_answer(&msg, &(struct stack_answer){-ESRCH, ips, NULL}));
	assert_true(stack_msg_put_answer(&msg, &(struct stack_answer){127, ips, ids}));
	assert_true(stack_msg_take_answer(&msg, &got));
	assert_true(got.nr == 2 && got.ips[1] == 22 && !got.ids);
	assert_true(stack_msg_take_answer(&msg, &got));
	assert_int_equal(got.nr, -ESRCH);
	assert_true(stack_msg_take_answer(&msg, &got));
	assert_int_equal(got.nr, 127);
	assert_memory_equal(got.ids, ids, sizeof(ids));
	assert_int_equal(msg.at, msg.len);
}

static void b_no_room(void **state)
{
	static char stack[8192];
	const struct stack_request request = {STACK_UNWIND, 1, 0, 0, sizeof(stack), NULL, stack};
	size_t n = 0, len;

	while (stack_msg_put_request(&msg, &request))
		n++;
	assert_true(n >= STACK_BATCH);
	len = msg.len;
	assert_false(stack_msg_put_request(&msg, &request));
	assert_int_equal(msg.len, len);
}

static void a_cut_off(void **state)
{
	struct bpf_stack_build_id ids[3] = {{0}};
	u64 ips[3] = {1, 2, 3};
	char stack[40] = "";
	struct stack_answer answer;
	struct stack_request request;

	stack_msg_put_answer(&msg, &(struct stack_answer){3, ips, ids});
	for (size_t len = 0; len < msg.len; len++) {
		struct stack_msg m = cut(len);

		assert_false(stack_msg_take_answer(&m, &answer));
		assert_int_equal(m.at, 0);
		free(m.buf);
	}
	msg.len = 0;
	stack_msg_put_request(&msg, &(struct stack_request){1, 1, 7, 3, sizeof(stack), ips, stack});
	for (size_t len = 0; len < msg.len; len++) {
		struct stack_msg m = cut(len);

		assert_false(stack_msg_take_request(&m, &request));
		free(m.buf);
	}
}

static void a_lies(void **state)
{
	static const s32 counts[] = {128, 1000, INT32_MAX, INT32_MIN, -512, -100000};
	u64 ips[3] = {1, 2, 3};
	struct stack_answer answer;
	struct stack_msg m;

	stack_msg_put_answer(&msg, &(struct stack_answer){3, ips, NULL});
	for (u32 i = 0; i < ARRAY_SIZE(counts); i++) {
		memcpy(msg.buf, &counts[i], sizeof(counts[i]));
		m = cut(msg.len);
		assert_false(stack_msg_take_answer(&m, &answer));
		free(m.buf);
	}
	for (u32 i = 0; i < 100000; i++) { /* every count with every length */
		s32 nr = (s32)(i % 400) - 200;
		u32 has_ids = i & 1;

		memcpy(msg.buf, &nr, sizeof(nr));
		memcpy(msg.buf + 4, &has_ids, sizeof(has_ids));
		m = cut(i % 4096);
		if (stack_msg_take_answer(&m, &answer) && answer.nr > 0)
			assert_true(
				(char *)(answer.ips + answer.nr) <= m.buf + m.len &&
				(!answer.ids || (char *)(answer.ids + answer.nr) <= m.buf + m.len));
		free(m.buf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(b_requests, begin, end),
		cmocka_unit_test_setup_teardown(b_answers, begin, end),
		cmocka_unit_test_setup_teardown(b_no_room, begin, end),
		cmocka_unit_test_setup_teardown(a_cut_off, begin, end),
		cmocka_unit_test_setup_teardown(a_lies, begin, end),
	};

	return cmocka_run_group_tests_name("stack_msg", tests, NULL, NULL);
}
