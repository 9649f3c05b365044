/*
 * thread.c - see thread.h
 */
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <sched.h>
#include <sys/socket.h>
#include "run/run.h"
#include "fs/enforce/queue/thread.h"
#include "util/clock.h"

#define BURST	     32u /* messages a system call */
#define MESSAGE_MAX  (65536u + 4096u)
#define SPIN_MAX     50000u /* ns that the thread looks for the next packet before it sleeps */
#define SPIN_MIN     5000u
#define RUN_LIMIT_NS 1000000000ULL /* processor time of the programs on one packet */

/* Room for a burst; untouched pages cost nothing. */
struct burst {
	struct queue_thread *thread;
	struct mmsghdr hdrs[BURST];
	struct iovec iov[BURST];
	char buf[BURST][MESSAGE_MAX];
};

static void messages(struct queue_thread *t, char *buf, size_t len)
{
	const struct nlmsghdr *nlh = (void *)buf;
	int left = (int)len;

	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		if (nlh->nlmsg_type == NLMSG_ERROR)
			queue_config_answer(t->config, nlh);
		else if (nlh->nlmsg_type == (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET))
			decide(t->decider, nlh);
	}
}

/*
 * A thread that sleeps is woken late: on an idle CPU, and in a virtual machine more so, that takes
 * several times as long as a packet does here. The next one is often near (the other hook of the
 * same packet, the reply), so the thread looks for it for a moment before it sleeps: for *spin ns,
 * which grow while it would have paid and shrink to nothing else.
 */
static int receive(int fd, struct burst *b, u64 *spin)
{
	u64 begin = monotonic_ns(), waited;
	int n;

	while (*spin && monotonic_ns() - begin < *spin) {
		n = recvmmsg(fd, b->hdrs, BURST, MSG_DONTWAIT, NULL);
		if (n > 0)
			return n;
		sched_yield(); /* who wants this CPU goes first */
	}
	n = recvmmsg(fd, b->hdrs, BURST, MSG_WAITFORONE, NULL);
	waited = monotonic_ns() - begin;
	if (waited > SPIN_MAX)
		*spin /= 2;
	else
		*spin = min(*spin * 2, (u64)SPIN_MAX);
	if (*spin < SPIN_MIN)
		*spin = waited > SPIN_MAX ? 0 : SPIN_MIN;
	return n;
}

static void *loop(void *arg)
{
	struct burst *b = arg;
	struct queue_thread *t = b->thread;
	int fd = queue_config_fd(t->config);
	u64 spin = 0;

	for (u32 i = 0; i < BURST; i++) {
		b->iov[i] = (struct iovec){b->buf[i], MESSAGE_MAX};
		b->hdrs[i].msg_hdr.msg_iov = &b->iov[i];
		b->hdrs[i].msg_hdr.msg_iovlen = 1;
	}
	bpf_run_set_cancel(&t->run_over);
	cpu_limit_begin(&t->cpu_limit, CPU_LIMIT_PACKETS, RUN_LIMIT_NS, &t->run_over);
	cpu_limit_pause(&t->cpu_limit);
	t->decider->cpu_limit = &t->cpu_limit;
	while (!__atomic_load_n(&t->stopping, __ATOMIC_ACQUIRE)) {
		int n = receive(fd, b, &spin);

		if (n <= 0)
			continue;
		bpf_slot_keep();
		bpf_run_enter();
		for (int i = 0; i < n; i++)
			messages(t, b->buf[i], b->hdrs[i].msg_len);
		bpf_run_exit();
		verdict_flush(&t->decider->verdicts);
		bpf_slot_release();
	}
	t->decider->cpu_limit = NULL;
	cpu_limit_end(&t->cpu_limit);
	free(b);
	return NULL;
}

static void send_verdicts(void *arg, const void *messages, size_t len)
{
	struct queue_thread *t = arg;

	mnl_socket_sendto(t->config->nl, messages, len); /* a failure means the queue is gone */
}

int queue_thread_start(struct queue_thread *t, struct queue_config *config, struct decider *decider)
{
	struct burst *b = calloc(1, sizeof(*b));
	int err;

	if (!b)
		return -ENOMEM;
	memset(t, 0, sizeof(*t));
	t->config = config;
	t->decider = decider;
	decider->verdicts.send = send_verdicts;
	decider->verdicts.arg = t;
	b->thread = t;
	err = -pthread_create(&t->thread, NULL, loop, b);
	if (err)
		free(b);
	t->running = !err;
	return err;
}

void queue_thread_stop(struct queue_thread *t)
{
	if (!t->running)
		return;
	__atomic_store_n(&t->stopping, true, __ATOMIC_RELEASE);
	queue_config_wake(t->config);
	pthread_join(t->thread, NULL);
	t->running = false;
}
