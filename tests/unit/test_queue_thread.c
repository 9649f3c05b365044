/*
 * test_queue_thread.c - fs/enforce/queue/config.c and thread.c: who asks gets his answer, and a
 * burst of packets its verdicts
 *
 * The queues' socket is the kernel's; no rule sends a packet to it. What the kernel would send is
 * sent by another socket, which root may do.
 */
#include <libmnl/libmnl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "cgroup/cgroup.h"
#include "fs/enforce/queue/config.h"
#include "fs/enforce/queue/thread.h"
#include "rcu/rcu.h"
#include "tests/lib/cgroup_prog.h"
#include "tests/lib/nfqmsg.h"
#include "ubpffs_engine.h"
#include "uapi/bpf_insn.h"

static struct queue_config config;

/* ---- answers, without a socket */

struct answer {
	struct nlmsghdr nlh;
	struct nlmsgerr error;
};

static void give(u32 seq, int error, u32 cut)
{
	struct answer answer = {.nlh = {.nlmsg_len = sizeof(answer) - cut,
					.nlmsg_type = NLMSG_ERROR,
					.nlmsg_seq = seq},
				.error = {.error = error}};

	queue_config_answer(&config, &answer.nlh);
}

static void only_the_answer_to_the_request_counts(void **state)
{
	config = (struct queue_config){
		.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER, .seq = 5};
	give(0, -EPERM, 0); /* of a verdict */
	assert_false(config.done);
	give(4, -EPERM, 0); /* of who did not wait for it */
	assert_false(config.done);
	give(6, -EPERM, 0); /* nobody has asked that yet */
	assert_false(config.done);
	give(5, -EPERM, 4); /* cut off */
	assert_false(config.done);
	give(5, -EBUSY, 0);
	assert_true(config.done);
	assert_int_equal(config.err, -EBUSY);
	/* Before the first request there is none that 0 could be the answer to. */
	config = (struct queue_config){.lock = PTHREAD_MUTEX_INITIALIZER,
				       .cond = PTHREAD_COND_INITIALIZER};
	give(0, -EPERM, 0);
	assert_false(config.done);
}

/* ---- with the kernel */

static struct decider decider;
static struct queue_thread thread;
static struct cgroup *root;

static bool begin(void)
{
	struct bpf_prog *prog;

	if (queue_config_open(&config)) {
		print_message("this kernel has no NETLINK_NETFILTER\n");
		return false;
	}
	assert_int_equal(decide_init(&decider), 0);
	root = cgroup_root_new();
	assert_non_null(root);
	prog = cgroup_prog_returns(0, BPF_CGROUP_INET_EGRESS);
	assert_int_equal(cgroup_bpf_attach(root, CGROUP_INET_EGRESS, prog, NULL, 0), 0);
	ubpffs_prog_put(prog);
	assert_int_equal(queue_thread_start(&thread, &config, &decider), 0);
	return true;
}

static void end(void)
{
	queue_thread_stop(&thread);
	queue_thread_stop(&thread); /* nothing, the second time */
	queue_config_close(&config);
	decide_free(&decider);
	cgroup_put(root);
	bpf_rcu_barrier();
}

static void the_thread_brings_answers_and_can_be_stopped(void **state)
{
	int err;

	if (!begin())
		skip();
	err = queue_config_bind(&config, 40123);
	if (err) {
		/* Whoever may not has an answer, too. */
		assert_in_set(-err, ((LargestIntegralType[]){EPERM, EBUSY, EINVAL, ENOENT}), 4);
		assert_int_equal(queue_config_bind(&config, 40123), err);
	} else {
		assert_int_equal(queue_config_unbind(&config, 40123), 0);
	}
	end();
}

/* Several messages in one datagram, among them ones that are no packets. */
static void packets_are_decided_and_others_are_not(void **state)
{
	struct sockaddr_nl to = {.nl_family = AF_NETLINK};
	char room[4096] __attribute__((aligned(8)));
	struct cgroup_stats stats;
	struct nlmsghdr *nlh = nfqmsg_copy(room), *other;
	size_t len = NLMSG_ALIGN(nlh->nlmsg_len);
	struct mnl_socket *nl;

	if (!begin())
		skip();
	decide_add_queue(&decider, NFQMSG_QUEUE, root, 77);
	nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	assert_non_null(nl);
	assert_int_equal(mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID), 0);
	to.nl_pid = mnl_socket_get_portid(config.nl);
	for (u32 type = 0; type < 3; type++) {
		static const u16 types[] = {NLMSG_NOOP, NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_VERDICT,
					    NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET};

		other = memcpy(room + (type + 1) * len, nfqmsg_captured, sizeof(nfqmsg_captured));
		other->nlmsg_type = types[type];
	}
	if (sendto(mnl_socket_get_fd(nl), room, 4 * len, 0, (struct sockaddr *)&to, sizeof(to)) <
	    0) {
		assert_int_equal(errno, EPERM);
		print_message("only root may speak for the kernel\n");
		mnl_socket_close(nl);
		end();
		skip();
	}
	do
		cgroup_stats_read(root, &stats);
	while (stats.dropped[CGROUP_INET_EGRESS] < 2);
	queue_thread_stop(&thread); /* all that was in the burst is done */
	cgroup_stats_read(root, &stats);
	assert_int_equal(stats.dropped[CGROUP_INET_EGRESS], 2);
	assert_int_equal(stats.allowed[CGROUP_INET_EGRESS], 0);
	end();
	mnl_socket_close(nl);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_answer_to_the_request_counts),
		cmocka_unit_test(the_thread_brings_answers_and_can_be_stopped),
		cmocka_unit_test(packets_are_decided_and_others_are_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
