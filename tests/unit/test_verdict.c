/*
 * test_verdict.c - verdicts in as few messages as can be (fs/enforce/queue/verdict.c), named by the
 * letters of verdict.h
 *
 * What is sent is read as the kernel reads it: a queue is its waiting packets in order, a batch
 * verdict takes those up to the packet that it names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "fs/enforce/queue/verdict.h"
#include "tests/lib/nfqmsg.h"

#define NR_QUEUES  100
#define NR_PACKETS 400

static struct verdicts v;
static struct {
	u32 given, decided; /* packets 1 to n */
	u8 verdict[NR_PACKETS + 1];
} queues[NR_QUEUES];
static u32 nr_sends, nr_messages;
static u32 seen_mark, seen_priority, seen_payload;

static void decided(u32 queue, u32 upto, u32 verdict)
{
	assert_true(queue < NR_QUEUES && upto > queues[queue].decided);
	assert_true(upto <= queues[queue].given);
	while (queues[queue].decided < upto)
		queues[queue].verdict[++queues[queue].decided] = (u8)verdict;
}

static void kernel_reads(void *arg, const void *messages, size_t len)
{
	const struct nlmsghdr *nlh = messages;
	int left = (int)len;

	nr_sends++;
	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);
		const struct nfqnl_msg_verdict_hdr *hdr = NULL;
		const struct nlattr *attr;
		u32 type = nlh->nlmsg_type & 0xff;

		nr_messages++;
		assert_int_equal(nlh->nlmsg_type >> 8, NFNL_SUBSYS_QUEUE);
		assert_true(nlh->nlmsg_flags & NLM_F_REQUEST);
		assert_int_equal(nlh->nlmsg_seq, 0);
		mnl_attr_for_each(attr, nlh, sizeof(*nfg))
		{
			if (mnl_attr_get_type(attr) == NFQA_VERDICT_HDR)
				hdr = mnl_attr_get_payload(attr);
			if (mnl_attr_get_type(attr) == NFQA_MARK)
				seen_mark = ntohl(mnl_attr_get_u32(attr));
			if (mnl_attr_get_type(attr) == NFQA_PRIORITY)
				seen_priority = ntohl(mnl_attr_get_u32(attr));
			if (mnl_attr_get_type(attr) == NFQA_PAYLOAD)
				seen_payload = mnl_attr_get_payload_len(attr);
		}
		assert_non_null(hdr);
		assert_true(type == NFQNL_MSG_VERDICT || type == NFQNL_MSG_VERDICT_BATCH);
		/* one alone: those before it were decided before */
		if (type == NFQNL_MSG_VERDICT)
			assert_int_equal(ntohl(hdr->id), queues[ntohs(nfg->res_id)].decided + 1);
		decided(ntohs(nfg->res_id), ntohl(hdr->id), ntohl(hdr->verdict));
	}
	assert_int_equal(left, 0);
}

static int setup(void **state)
{
	memset(&v, 0, sizeof(v));
	memset(queues, 0, sizeof(queues));
	nr_sends = nr_messages = seen_mark = seen_priority = seen_payload = 0;
	v.send = kernel_reads;
	return 0;
}

static void give(u32 queue, u32 verdict)
{
	verdict_add(&v, (u16)queue, ++queues[queue].given, verdict);
}

static void change(u32 queue, u8 *data, u32 len, u32 mark)
{
	struct nfq_packet p = {
		.id = ++queues[queue].given, .data = data, .copied = len, .len = len};
	struct bpf_skb skb = {.md = {.mark = mark, .priority = 5}};

	verdict_change(&v, (u16)queue, &p, &skb,
		       (struct verdict_changes){mark, mark == 9, data != NULL});
}

static void test_a_neighbours_are_one_message(void **state)
{
	for (u32 i = 0; i < 32; i++)
		give(3, NF_ACCEPT);
	assert_int_equal(nr_sends, 0);
	verdict_flush(&v);
	assert_int_equal(nr_sends, 1);
	assert_int_equal(nr_messages, 1);
	assert_int_equal(queues[3].decided, 32);
	verdict_flush(&v);
	assert_int_equal(nr_sends, 1); /* there is nothing more to say */
}

static void test_a_another_verdict_begins_another(void **state)
{
	static const u8 pattern[] = {NF_ACCEPT, NF_ACCEPT, NF_DROP, NF_ACCEPT, NF_DROP, NF_DROP};

	for (size_t i = 0; i < sizeof(pattern); i++)
		give(0, pattern[i]);
	verdict_flush(&v);
	assert_memory_equal(queues[0].verdict + 1, pattern, sizeof(pattern));
	assert_int_equal(nr_messages, 4);
	assert_int_equal(nr_sends, 1);
}

static void test_a_queues_do_not_break_runs_of_each_other(void **state)
{
	for (u32 i = 0; i < 30; i++)
		give(i % 3, i % 3 ? NF_ACCEPT : NF_DROP);
	verdict_flush(&v);
	assert_int_equal(nr_messages, 3);
	for (u32 q = 0; q < 3; q++) {
		assert_int_equal(queues[q].decided, 10);
		assert_int_equal(queues[q].verdict[10], q ? NF_ACCEPT : NF_DROP);
	}
}

static void test_a_a_change_comes_after_what_came_before(void **state)
{
	u8 data[40] = {0x45};

	give(1, NF_ACCEPT);
	give(2, NF_DROP);
	give(1, NF_ACCEPT);
	change(1, data, sizeof(data), 9);
	give(1, NF_DROP);
	verdict_flush(&v);
	assert_memory_equal(queues[1].verdict + 1, "\1\1\1\0", 4);
	assert_int_equal(queues[1].decided, 4);
	assert_int_equal(queues[2].decided, 1);
	assert_int_equal(nr_messages, 4);
	assert_int_equal(seen_mark, 9);
	assert_int_equal(seen_priority, 5);
	assert_int_equal(seen_payload, 40);
}

static void test_a_only_what_changed_is_said(void **state)
{
	change(1, NULL, 0, 8);
	verdict_flush(&v);
	assert_int_equal(seen_mark, 8);
	assert_int_equal(seen_priority, 0);
	assert_int_equal(seen_payload, 0);
}

static void test_a_more_queues_than_there_is_room_for(void **state)
{
	for (u32 round = 0; round < 3; round++)
		for (u32 q = 0; q < NR_QUEUES; q++)
			give(q, (q + round) % 2 ? NF_ACCEPT : NF_DROP);
	verdict_flush(&v);
	for (u32 q = 0; q < NR_QUEUES; q++) {
		assert_int_equal(queues[q].decided, 3);
		for (u32 i = 1; i <= 3; i++)
			assert_int_equal(queues[q].verdict[i],
					 (q + i - 1) % 2 ? NF_ACCEPT : NF_DROP);
	}
}

static void test_b_large_packets_fill_and_empty_it(void **state)
{
	u8 *data = calloc(1, 65531); /* no attribute holds more */

	for (u32 i = 0; i < 8; i++) {
		give(1, NF_ACCEPT);
		change(1, data, i % 2 ? 65531 : 1500, 9);
	}
	verdict_flush(&v);
	assert_int_equal(queues[1].decided, 16);
	assert_true(nr_sends > 1);
	free(data);
}

static void test_b_no_verdicts_are_lost_when_it_is_full(void **state)
{
	u32 n = 0;

	/* Alternating verdicts: a message each. */
	for (u32 q = 0; q < NR_QUEUES; q++)
		for (u32 i = 0; i < NR_PACKETS; i++, n++)
			give(q, i % 2);
	verdict_flush(&v);
	assert_int_equal(nr_messages, n);
	for (u32 q = 0; q < NR_QUEUES; q++)
		assert_int_equal(queues[q].decided, NR_PACKETS);
}

#define CASE(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(test_a_neighbours_are_one_message),
		CASE(test_a_another_verdict_begins_another),
		CASE(test_a_queues_do_not_break_runs_of_each_other),
		CASE(test_a_a_change_comes_after_what_came_before),
		CASE(test_a_only_what_changed_is_said),
		CASE(test_a_more_queues_than_there_is_room_for),
		CASE(test_b_large_packets_fill_and_empty_it),
		CASE(test_b_no_verdicts_are_lost_when_it_is_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
