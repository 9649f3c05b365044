/*
 * queue.c - queues bound and given back, and what they need together (see queue.h)
 */
#include <arpa/inet.h>
#include <sys/socket.h>
#include "fs/enforce/host_cgroup.h"
#include "fs/enforce/listener.h"
#include "fs/enforce/queue.h"
#include "fs/enforce/queue/thread.h"

#define TRIES_EPERM \
	64 /* numbers of others that are passed over, until it is the right that is missing */

struct nfqueue {
	struct queue_config config;
	struct decider decider;
	struct queue_thread thread;
	struct listener listener; /* the thread's */
	const struct host_cgroup *host;
	u32 next; /* where the search for a number goes on */
};

static bool knows(void *arg, u64 id)
{
	return decide_knows(arg, id);
}

/* decide.h: a SYN-ACK's cgroup is that of the listener, or the nearest of ours above it. */
static u64 listener_of(void *arg, const struct bpf_skb *skb, u32 outdev)
{
	struct nfqueue *nfq = arg;
	bool v4 = skb->md.family == AF_INET;
	u64 id = listener_cgroup(&nfq->listener, v4 ? AF_INET : AF_INET6,
				 v4 ? (const void *)&skb->md.local_ip4 : skb->md.local_ip6,
				 htons((u16)skb->md.local_port), outdev);

	if (!id || decide_knows(&nfq->decider, id))
		return id;
	/* In a directory that somebody made below one of ours, perhaps. */
	return hostcg_nearest(nfq->host, id, knows, &nfq->decider);
}

int nfqueue_start(u32 first, const struct host_cgroup *host, struct nfqueue **out)
{
	struct nfqueue *nfq = calloc(1, sizeof(*nfq));
	int err;

	*out = NULL;
	if (!nfq)
		return -ENOMEM;
	nfq->host = host;
	nfq->next = first;
	err = decide_init(&nfq->decider);
	nfq->decider.listener = listener_of;
	nfq->decider.arg = nfq;
	if (err)
		goto free;
	err = queue_config_open(&nfq->config);
	if (!err)
		err = listener_open(&nfq->listener);
	if (!err)
		err = queue_thread_start(&nfq->thread, &nfq->config, &nfq->decider);
	if (err)
		goto close;
	*out = nfq;
	return 0;
close:
	listener_close(&nfq->listener);
	queue_config_close(&nfq->config);
	decide_free(&nfq->decider);
free:
	free(nfq);
	return err;
}

int nfqueue_bind(struct nfqueue *nfq, struct cgroup *cgrp, u64 id, u16 *queue)
{
	for (u32 tries = 0; tries < NR_QUEUES; tries++) {
		u16 number = (u16)(nfq->next++ % NR_QUEUES + NFQUEUE_FIRST);
		int err;

		if (decide_has_queue(&nfq->decider, number))
			continue;
		err = queue_config_bind(&nfq->config, number);
		if (err == -EBUSY || (err == -EPERM && tries < TRIES_EPERM))
			continue; /* somebody else's */
		if (err)
			return err;
		decide_add_queue(&nfq->decider, number, cgrp, id);
		*queue = number;
		return 0;
	}
	return -ENOSPC;
}

void nfqueue_unbind(struct nfqueue *nfq, u16 queue)
{
	queue_config_unbind(&nfq->config, queue);
	decide_remove_queue(&nfq->decider, queue);
}

void nfqueue_stop(struct nfqueue *nfq)
{
	if (!nfq)
		return;
	queue_thread_stop(&nfq->thread);
	queue_config_close(&nfq->config);
	listener_close(&nfq->listener);
	decide_free(&nfq->decider);
	free(nfq);
}
