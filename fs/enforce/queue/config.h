/*
 * config.h - the netlink socket of all queues, and the requests that bind and unbind them
 *
 * Answers to requests come on the socket that packets come on, so the thread that reads it
 * (thread.h) gives them to queue_config_answer(), which wakes the one who asked. Requests may come
 * from any threads.
 */
#ifndef UBPFFS_FS_ENFORCE_QUEUE_CONFIG_H
#define UBPFFS_FS_ENFORCE_QUEUE_CONFIG_H

#include <pthread.h>
#include "util/types.h"

struct nlmsghdr;
struct mnl_socket;

struct queue_config {
	struct mnl_socket *nl;
	pthread_mutex_t lock; /* one request at a time */
	pthread_cond_t cond;
	u32 seq; /* of the request; never 0: verdicts have that */
	bool done;
	int err;
};

int queue_config_open(struct queue_config *c);
void queue_config_close(struct queue_config *c);
int queue_config_fd(const struct queue_config *c);
/* -EBUSY, -EPERM: the queue is somebody else's. */
int queue_config_bind(struct queue_config *c, u16 queue);
int queue_config_unbind(struct queue_config *c, u16 queue);
/* Nothing but an answer, to wake the thread. */
int queue_config_wake(struct queue_config *c);
/* On the thread: a message of type NLMSG_ERROR. */
void queue_config_answer(struct queue_config *c, const struct nlmsghdr *nlh);

#endif
