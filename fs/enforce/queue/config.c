/*
 * config.c - see config.h
 */
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <sys/socket.h>
#include "fs/enforce/queue/config.h"
#include "util/clock.h"

#define COPY_RANGE   0xffff
#define QUEUE_LEN    16384u /* packets that may wait for us in one queue */
#define RECEIVE_ROOM (64 << 20)
#define ANSWER_NS    10000000000ULL

int queue_config_open(struct queue_config *c)
{
	int room = RECEIVE_ROOM, one = 1, fd;

	memset(c, 0, sizeof(*c));
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->cond, NULL);
	c->nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!c->nl || mnl_socket_bind(c->nl, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	fd = mnl_socket_get_fd(c->nl);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &one, sizeof(one));
	return 0;
}

void queue_config_close(struct queue_config *c)
{
	if (c->nl)
		mnl_socket_close(c->nl);
	c->nl = NULL;
	pthread_cond_destroy(&c->cond);
	pthread_mutex_destroy(&c->lock);
}

int queue_config_fd(const struct queue_config *c)
{
	return mnl_socket_get_fd(c->nl);
}

void queue_config_answer(struct queue_config *c, const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

	if (!nlh->nlmsg_seq || mnl_nlmsg_get_payload_len(nlh) < sizeof(*e))
		return;
	pthread_mutex_lock(&c->lock);
	if (nlh->nlmsg_seq == c->seq) {
		c->err = e->error;
		c->done = true;
		pthread_cond_broadcast(&c->cond);
	}
	pthread_mutex_unlock(&c->lock);
}

/* Send a request and wait for the thread to read the answer. */
static int ask(struct queue_config *c, struct nlmsghdr *nlh)
{
	struct timespec until;
	int err;

	nlh->nlmsg_flags |= NLM_F_ACK;
	pthread_mutex_lock(&c->lock);
	c->seq = c->seq + 1 ? c->seq + 1 : 1;
	c->done = false;
	nlh->nlmsg_seq = c->seq;
	err = mnl_socket_sendto(c->nl, nlh, nlh->nlmsg_len) < 0 ? -errno : 0;
	until = clock_after(CLOCK_REALTIME, ANSWER_NS);
	while (!err && !c->done)
		err = -pthread_cond_timedwait(&c->cond, &c->lock, &until);
	if (!err)
		err = c->err;
	pthread_mutex_unlock(&c->lock);
	return err;
}

static int command(struct queue_config *c, u16 queue, u8 cmd)
{
	char buf[256];
	struct nlmsghdr *nlh = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, queue);

	nfq_nlmsg_cfg_put_cmd(nlh, AF_UNSPEC, cmd);
	return ask(c, nlh);
}

int queue_config_bind(struct queue_config *c, u16 queue)
{
	char buf[256];
	struct nlmsghdr *nlh = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, queue);

	nfq_nlmsg_cfg_put_cmd(nlh, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
	nfq_nlmsg_cfg_put_params(nlh, NFQNL_COPY_PACKET, COPY_RANGE);
	/*
	 * Without GSO the kernel cuts large packets up and computes their checksums before we see
	 * them.
	 */
	mnl_attr_put_u32(nlh, NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_GSO));
	mnl_attr_put_u32(nlh, NFQA_CFG_MASK, htonl(NFQA_CFG_F_GSO | NFQA_CFG_F_FAIL_OPEN));
	nfq_nlmsg_cfg_put_qmaxlen(nlh, QUEUE_LEN);
	return ask(c, nlh);
}

int queue_config_unbind(struct queue_config *c, u16 queue)
{
	return command(c, queue, NFQNL_CFG_CMD_UNBIND);
}

int queue_config_wake(struct queue_config *c)
{
	return command(c, 0, NFQNL_CFG_CMD_PF_BIND);
}
