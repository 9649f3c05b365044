/*
 * test_queue.c - fs/enforce/queue.c: numbers of queues are found, passed over and given back, in a
 * network of the test's own
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "fs/enforce/host_cgroup.h"
#include "fs/enforce/queue.h"
#include "fs/enforce/queue/decide.h"
#include "rcu/rcu.h"

#define LAST (NFQUEUE_FIRST + NR_QUEUES - 1)

static const struct host_cgroup host = {.base_fd = -1, .above_fd = -1};
static struct cgroup *root;

/* In a process that has no right to it. */
static int bind_without_rights(void)
{
	struct nfqueue *nfq;
	u16 queue;
	int err;

	if (!geteuid() && setresuid(65534, 65534, 65534) < 0)
		return errno;
	err = nfqueue_start(7, &host, &nfq);
	if (err)
		return 255;
	err = nfqueue_bind(nfq, NULL, 0, &queue);
	nfqueue_stop(nfq);
	return -err;
}

/* Numbers of others are EPERM, too: not all of them are tried. */
static void who_may_not_is_told_so(void **state)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(bind_without_rights());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 255) {
		print_message("this kernel has no NETLINK_NETFILTER\n");
		skip();
	}
	assert_in_set(WEXITSTATUS(status), ((LargestIntegralType[]){EPERM, EOPNOTSUPP, EINVAL}), 3);
}

/* *state: whether there are queues. */
static int begin(void **state)
{
	struct nfqueue *nfq = NULL;
	u16 queue;
	int err = 0;

	*state = NULL;
	root = cgroup_root_new();
	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		err = -errno;
	if (!err)
		err = nfqueue_start(0, &host, &nfq);
	if (!err)
		err = nfqueue_bind(nfq, NULL, 0, &queue);
	nfqueue_stop(nfq);
	if (err)
		print_message("no queues here: %s\n", strerror(-err));
	else
		*state = root;
	return 0;
}

static int end(void **state)
{
	cgroup_put(root);
	bpf_rcu_barrier();
	return 0;
}

#define NEEDS_QUEUES()                                     \
	do {                                               \
		if (!*state) {                             \
			print_message("no queues here\n"); \
			skip();                            \
		}                                          \
	} while (0)

static struct nfqueue *start(u32 first)
{
	struct nfqueue *nfq;

	assert_int_equal(nfqueue_start(first, &host, &nfq), 0);
	return nfq;
}

static u16 bound(struct nfqueue *nfq, u64 id)
{
	u16 queue = 0;

	assert_int_equal(nfqueue_bind(nfq, id ? root : NULL, id, &queue), 0);
	return queue;
}

static void numbers_go_round(void **state)
{
	struct nfqueue *nfq;

	NEEDS_QUEUES();
	nfq = start(5 * NR_QUEUES + NR_QUEUES - 2);
	assert_int_equal(bound(nfq, 1), LAST - 1);
	assert_int_equal(bound(nfq, 2), LAST);
	assert_int_equal(bound(nfq, 3), NFQUEUE_FIRST);
	assert_int_equal(bound(nfq, 0),
			 NFQUEUE_FIRST + 1); /* that of SYN-ACKs is one like others */
	nfqueue_stop(nfq);
	/* The end gives all of them back. */
	nfq = start(NR_QUEUES - 1);
	assert_int_equal(bound(nfq, 1), LAST);
	assert_int_equal(bound(nfq, 1), NFQUEUE_FIRST);
	nfqueue_stop(nfq);
	nfqueue_stop(NULL);
}

static void numbers_of_others_are_passed_over(void **state)
{
	struct nfqueue *ours, *theirs;

	NEEDS_QUEUES();
	theirs = start(100);
	for (u16 i = 0; i < 20; i++)
		assert_int_equal(bound(theirs, i), NFQUEUE_FIRST + 100 + i);
	ours = start(98);
	assert_int_equal(bound(ours, 1), NFQUEUE_FIRST + 98);
	assert_int_equal(bound(ours, 2), NFQUEUE_FIRST + 99);
	assert_int_equal(bound(ours, 3), NFQUEUE_FIRST + 120);
	assert_int_equal(bound(theirs, 1), NFQUEUE_FIRST + 121);
	nfqueue_unbind(theirs, NFQUEUE_FIRST + 121);
	assert_int_equal(bound(ours, 4), NFQUEUE_FIRST + 121);
	nfqueue_stop(theirs);
	nfqueue_stop(ours);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_may_not_is_told_so),
		cmocka_unit_test_setup_teardown(numbers_go_round, begin, end),
		cmocka_unit_test_setup_teardown(numbers_of_others_are_passed_over, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
