/*
 * test_decide.c - packets of the queue and the effective programs (fs/enforce/queue/decide.c),
 * without a socket
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "rcu/rcu.h"
#include "run/run.h"
#include "fs/enforce/queue/decide.h"
#include "tests/lib/cgroup_prog.h"
#include "tests/lib/nfqmsg.h"
#include "ubpffs_engine.h"
#include "uapi/bpf_insn.h"

#define SYNACKS 40001

static struct decider d;
static struct cgroup *root;
static u32 room[1024] __attribute__((aligned(8)));

/* The last verdict that was sent, and how many. */
static int verdict;
static u32 nr, mark, packet_id;

static void sent(void *arg, const void *messages, size_t len)
{
	const struct nlmsghdr *nlh = messages;
	int left = (int)len;

	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		const struct nlattr *attr;

		nr++;
		mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
		{
			const struct nfqnl_msg_verdict_hdr *hdr = mnl_attr_get_payload(attr);

			if (mnl_attr_get_type(attr) == NFQA_VERDICT_HDR) {
				verdict = (int)ntohl(hdr->verdict);
				packet_id = ntohl(hdr->id);
			}
			if (mnl_attr_get_type(attr) == NFQA_MARK)
				mark = ntohl(mnl_attr_get_u32(attr));
		}
	}
}

static void attach(struct cgroup *cgrp, enum cgroup_bpf_attach_type type, struct bpf_prog *prog)
{
	assert_int_equal(cgroup_bpf_attach(cgrp, type, prog, NULL, BPF_F_ALLOW_MULTI), 0);
	ubpffs_prog_put(prog);
}

static int setup(void **state)
{
	if (decide_init(&d))
		return -1;
	d.verdicts.send = sent;
	root = cgroup_root_new();
	verdict = -1;
	nr = mark = packet_id = 0;
	return root ? 0 : -1;
}

static int teardown(void **state)
{
	decide_free(&d);
	cgroup_remove(root);
	cgroup_put(root);
	bpf_rcu_barrier();
	return 0;
}

static void run(const struct nlmsghdr *nlh)
{
	verdict = -1;
	bpf_run_enter();
	decide(&d, nlh);
	bpf_run_exit();
	verdict_flush(&d.verdicts);
}

static void test_the_effective_programs_decide(void **state)
{
	struct cgroup *child;

	assert_int_equal(cgroup_create(root, 0, &child), 0);
	decide_add_queue(&d, NFQMSG_QUEUE, child, 77);
	run(nfqmsg_copy(room));
	assert_int_equal(verdict, NF_ACCEPT); /* none is attached */
	attach(child, CGROUP_INET_INGRESS, cgroup_prog_returns(0, BPF_CGROUP_INET_INGRESS));
	run(nfqmsg_copy(room));
	assert_int_equal(verdict, NF_ACCEPT); /* the packet goes out */
	attach(child, CGROUP_INET_EGRESS, cgroup_prog_returns(1, BPF_CGROUP_INET_EGRESS));
	run(nfqmsg_copy(room));
	assert_int_equal(verdict, NF_ACCEPT);
	attach(root, CGROUP_INET_EGRESS, cgroup_prog_returns(0, BPF_CGROUP_INET_EGRESS));
	run(nfqmsg_copy(room));
	assert_int_equal(verdict, NF_DROP); /* from above, and all must agree */
	assert_int_equal(packet_id, 1);
	decide_remove_queue(&d, NFQMSG_QUEUE);
	cgroup_remove(child);
	cgroup_put(child);
}

static void test_what_a_program_writes_goes_back(void **state)
{
	const struct bpf_insn insns[] = {
		BPF_MOV64_IMM(BPF_REG_2, 99),
		BPF_STX_MEM(BPF_W, BPF_REG_1, BPF_REG_2, offsetof(struct __sk_buff, mark)),
		BPF_MOV64_IMM(BPF_REG_0, 1),
		BPF_EXIT_INSN(),
	};

	decide_add_queue(&d, NFQMSG_QUEUE, root, 77);
	attach(root, CGROUP_INET_EGRESS,
	       cgroup_prog_new(insns, ARRAY_SIZE(insns), BPF_CGROUP_INET_EGRESS));
	run(nfqmsg_copy(room));
	assert_int_equal(verdict, NF_ACCEPT);
	assert_int_equal(mark, 99);
	decide_remove_queue(&d, NFQMSG_QUEUE);
}

/* B. and numbers that are not ours. */
static void test_b_no_verdict_where_there_is_no_queue(void **state)
{
	struct nlmsghdr *nlh;

	run(nfqmsg_copy(room));
	assert_int_equal(nr, 0);
	decide_add_queue(&d, NFQMSG_QUEUE, root, 77);
	assert_true(decide_has_queue(&d, NFQMSG_QUEUE));
	assert_true(decide_knows(&d, 77));
	decide_remove_queue(&d, NFQMSG_QUEUE);
	assert_false(decide_knows(&d, 77));
	run(nfqmsg_copy(room));
	run(nfqmsg_begin(room, 5, 1, NF_INET_LOCAL_OUT));
	nlh = nfqmsg_copy(room);
	nlh->nlmsg_len = sizeof(*nlh) + 2;
	run(nlh);
	assert_int_equal(nr, 0);
	bpf_rcu_barrier();
	assert_false(decide_has_queue(&d, NFQMSG_QUEUE));
}

/* Somebody's run that does not end: this hangs when the removal waits for it. */
static void test_b_removal_waits_for_no_run(void **state)
{
	struct cgroup *child;

	assert_int_equal(cgroup_create(root, 0, &child), 0);
	decide_add_queue(&d, NFQMSG_QUEUE, child, 77);
	bpf_run_enter();
	decide_remove_queue(&d, NFQMSG_QUEUE);
	cgroup_remove(child);
	cgroup_put(child);
	decide(&d, nfqmsg_copy(room));
	assert_true(decide_has_queue(&d, NFQMSG_QUEUE));
	bpf_run_exit();
	bpf_rcu_barrier();
	assert_false(decide_has_queue(&d, NFQMSG_QUEUE));
	assert_int_equal(nr, 0);
}

static void test_a_too_short_for_a_header_is_dropped(void **state)
{
	static const u8 ip[NFQ_PACKET_LEAST] = {0x45};
	struct nlmsghdr *nlh;

	decide_add_queue(&d, NFQMSG_QUEUE, root, 77);
	run(nfqmsg_begin(room, NFQMSG_QUEUE, 1, NF_INET_LOCAL_OUT));
	assert_int_equal(verdict, NF_DROP);
	nlh = nfqmsg_begin(room, NFQMSG_QUEUE, 1, NF_INET_LOCAL_OUT);
	mnl_attr_put(nlh, NFQA_PAYLOAD, sizeof(ip) - 1, ip);
	run(nlh);
	assert_int_equal(verdict, NF_DROP);
	nlh = nfqmsg_begin(room, NFQMSG_QUEUE, 1, NF_INET_LOCAL_OUT);
	mnl_attr_put(nlh, NFQA_PAYLOAD, sizeof(ip), ip);
	run(nlh);
	assert_int_equal(verdict, NF_ACCEPT);
	decide_remove_queue(&d, NFQMSG_QUEUE);
}

static u64 listens_in;

static u64 listener(void *arg, const struct bpf_skb *skb, u32 outdev)
{
	assert_int_equal(skb->md.local_port, 4000);
	assert_int_equal(outdev, 1);
	return listens_in;
}

static struct nlmsghdr *synack(void)
{
	struct nlmsghdr *nlh = nfqmsg_copy(room);
	struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);

	nfg->res_id = htons(SYNACKS);
	return nlh;
}

static void test_a_syn_acks_have_their_listeners_cgroup(void **state)
{
	d.listener = listener;
	decide_add_queue(&d, NFQMSG_QUEUE, root, 77);
	decide_add_queue(&d, SYNACKS, NULL, 0);
	attach(root, CGROUP_INET_EGRESS, cgroup_prog_returns(0, BPF_CGROUP_INET_EGRESS));
	listens_in = 77;
	run(synack());
	assert_int_equal(verdict, NF_DROP);
	listens_in = 78; /* somebody else's */
	run(synack());
	assert_int_equal(verdict, NF_ACCEPT);
	listens_in = 77 + 65536;
	run(synack());
	assert_int_equal(verdict, NF_ACCEPT);
	listens_in = 0;
	run(synack());
	assert_int_equal(verdict, NF_ACCEPT);
	listens_in = 77;
	decide_remove_queue(&d, NFQMSG_QUEUE);
	run(synack());
	assert_int_equal(verdict, NF_ACCEPT);
	run(nfqmsg_begin(room, SYNACKS, 1, NF_INET_LOCAL_OUT));
	assert_int_equal(verdict, NF_ACCEPT); /* short, and everybody's */
}

/* Who looks for a cgroup's id while another thread adds and removes some finds those that stay. */
static bool looker_stops;

static void *look_for_ids(void *arg)
{
	while (!__atomic_load_n(&looker_stops, __ATOMIC_RELAXED))
		if (!decide_knows(&d, 1000) || decide_knows(&d, 999))
			return (void *)1;
	return NULL;
}

static void test_ids_are_looked_for_while_queues_change(void **state)
{
	pthread_t looker;
	void *wrong;

	decide_add_queue(&d, NFQUEUE_FIRST, root, 1000);
	looker_stops = false;
	assert_int_equal(pthread_create(&looker, NULL, look_for_ids, NULL), 0);
	for (u32 round = 0; round < 4; round++) {
		for (u16 i = 1; i < 100; i++)
			decide_add_queue(&d, NFQUEUE_FIRST + i, root, 1000 + i);
		for (u16 i = 1; i < 100; i++) {
			assert_true(decide_knows(&d, 1000 + i));
			decide_remove_queue(&d, NFQUEUE_FIRST + i);
			assert_false(decide_knows(&d, 1000 + i));
		}
		bpf_rcu_barrier(); /* the numbers are free again */
	}
	__atomic_store_n(&looker_stops, true, __ATOMIC_RELAXED);
	pthread_join(looker, &wrong);
	assert_null(wrong);
	decide_remove_queue(&d, NFQUEUE_FIRST);
}

/*
 * A program that was stopped for good lets nothing through, and what it wrote before is not there.
 */
static void test_c_a_stopped_program_drops(void **state)
{
	struct bpf_prog *prog = cgroup_prog_returns(1, BPF_CGROUP_INET_EGRESS);

	decide_add_queue(&d, NFQMSG_QUEUE, root, 77);
	bpf_prog_inc(prog);
	attach(root, CGROUP_INET_EGRESS, prog);
	run(nfqmsg_copy(room));
	assert_int_equal(verdict, NF_ACCEPT);
	prog->poisoned = true;
	run(nfqmsg_copy(room));
	assert_int_equal(verdict, NF_DROP);
	prog->poisoned = false;
	run(nfqmsg_copy(room));
	assert_int_equal(verdict, NF_ACCEPT);
	ubpffs_prog_put(prog);
	decide_remove_queue(&d, NFQMSG_QUEUE);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(test_the_effective_programs_decide),
		CASE(test_what_a_program_writes_goes_back),
		CASE(test_b_no_verdict_where_there_is_no_queue),
		CASE(test_b_removal_waits_for_no_run),
		CASE(test_a_too_short_for_a_header_is_dropped),
		CASE(test_a_syn_acks_have_their_listeners_cgroup),
		CASE(test_ids_are_looked_for_while_queues_change),
		CASE(test_c_a_stopped_program_drops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
