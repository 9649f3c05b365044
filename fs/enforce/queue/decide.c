/*
 * decide.c - see decide.h
 */
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include "rcu/rcu.h"
#include "run/run.h"
#include "fs/enforce/queue/decide.h"

int decide_init(struct decider *d)
{
	memset(d, 0, sizeof(*d));
	pthread_mutex_init(&d->ids_lock, NULL);
	d->queues = calloc(NR_QUEUES, sizeof(*d->queues));
	return d->queues ? 0 : -ENOMEM;
}

void decide_free(struct decider *d)
{
	bpf_rcu_barrier(); /* queue_gone() */
	for (u32 i = 0; d->queues && i < NR_QUEUES; i++)
		cgroup_put(d->queues[i].cgrp);
	hash_free(&d->ids);
	free(d->queues);
	d->queues = NULL;
	pthread_mutex_destroy(&d->ids_lock);
}

/* ---- queues */

static struct queue *queue_of(const struct decider *d, u16 number)
{
	return number < NFQUEUE_FIRST ? NULL : &d->queues[number - NFQUEUE_FIRST];
}

bool decide_has_queue(const struct decider *d, u16 number)
{
	const struct queue *q = queue_of(d, number);

	return q && __atomic_load_n(&q->bound, __ATOMIC_ACQUIRE);
}

void decide_add_queue(struct decider *d, u16 number, struct cgroup *cgrp, u64 id)
{
	struct queue *q = queue_of(d, number);

	q->bound = true;
	__atomic_store_n(&q->synacks, !cgrp, __ATOMIC_RELEASE);
	if (!cgrp)
		return;
	cgroup_get(cgrp);
	bpf_rcu_assign_pointer(q->cgrp, cgrp);
	pthread_mutex_lock(&d->ids_lock);
	hash_add(&d->ids, &q->link, id);
	pthread_mutex_unlock(&d->ids_lock);
}

/* Nobody has a message of it any more: the number may be another cgroup's. */
static void queue_gone(struct rcu_head *head)
{
	struct queue *q = container_of(head, struct queue, rcu);

	cgroup_put(q->gone);
	q->gone = NULL;
	__atomic_store_n(&q->bound, false, __ATOMIC_RELEASE);
}

void decide_remove_queue(struct decider *d, u16 number)
{
	struct queue *q = queue_of(d, number);
	struct cgroup *cgrp = q->cgrp;

	pthread_mutex_lock(&d->ids_lock);
	if (cgrp)
		hash_remove(&d->ids, &q->link);
	pthread_mutex_unlock(&d->ids_lock);
	bpf_rcu_assign_pointer(q->cgrp, NULL);
	q->gone = cgrp;
	bpf_call_rcu(&q->rcu, queue_gone);
}

/* NULL: none of ours. What is returned cannot go while the caller is in a run section. */
static struct cgroup *cgroup_by_id(struct decider *d, u64 id)
{
	struct cgroup *cgrp = NULL;
	struct hash_link *link;

	pthread_mutex_lock(&d->ids_lock);
	link = hash_find(&d->ids, id);
	if (link)
		cgrp = bpf_rcu_dereference(container_of(link, struct queue, link)->cgrp);
	pthread_mutex_unlock(&d->ids_lock);
	return cgrp;
}

bool decide_knows(struct decider *d, u64 id)
{
	return cgroup_by_id(d, id) != NULL;
}

/* ---- packets */

static struct cgroup *cgroup_of_listener(struct decider *d, const struct nfq_packet *p)
{
	struct bpf_skb skb;
	u64 id;

	nfq_packet_skb(p, NULL, &skb);
	id = skb.md.local_port && d->listener ? d->listener(d->arg, &skb, p->outdev) : 0;
	return id ? cgroup_by_id(d, id) : NULL;
}

/* The bytes that bpf_skb_ecn_set_ce() may change: traffic class, IPv4 checksum. */
#define WRITABLE 12u

static void run(struct decider *d, u16 number, struct cgroup *cgrp, struct nfq_packet *p)
{
	bool out = p->hook == NF_INET_LOCAL_OUT;
	struct verdict_changes changes;
	u8 before[WRITABLE];
	struct bpf_skb skb;
	u32 verdict;

	nfq_packet_skb(p, cgrp, &skb);
	memcpy(before, p->data, WRITABLE);
	bpf_this.cancelled_prog = NULL;
	if (d->cpu_limit)
		cpu_limit_go_on(d->cpu_limit);
	verdict = cgroup_bpf_run(cgrp, out ? CGROUP_INET_EGRESS : CGROUP_INET_INGRESS, &skb, NULL)
			  ? NF_ACCEPT
			  : NF_DROP;
	/*
	 * C: all packets of all cgroups wait for it. It will be no quicker with the next one: it
	 * runs no more, and drops.
	 */
	if (d->cpu_limit && cpu_limit_pause(d->cpu_limit) && bpf_this.cancelled_prog)
		WRITE_ONCE(bpf_this.cancelled_prog->poisoned, true);
	changes.mark = skb.md.mark != p->mark;
	changes.priority = skb.md.priority != p->priority;
	changes.payload = memcmp(before, p->data, WRITABLE) && p->len == p->copied;
	if (verdict == NF_DROP || (!changes.mark && !changes.priority && !changes.payload))
		verdict_add(&d->verdicts, number, p->id, verdict);
	else
		verdict_change(&d->verdicts, number, p, &skb, changes);
}

void decide(struct decider *d, const struct nlmsghdr *nlh)
{
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);
	struct cgroup *cgrp;
	struct nfq_packet p;
	struct queue *q;
	u16 number;
	bool synack;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*nfg))
		return;
	number = ntohs(nfg->res_id);
	q = queue_of(d, number);
	if (!q || !nfq_packet_parse(nlh, &p))
		return;
	synack = __atomic_load_n(&q->synacks, __ATOMIC_ACQUIRE);
	cgrp = bpf_rcu_dereference(q->cgrp);
	if (!synack && !cgrp)
		return; /* its queue is gone, and the kernel's packet with it */
	if (p.copied < NFQ_PACKET_LEAST) {
		/* Not even a header; what is nobody's we know goes its way. */
		verdict_add(&d->verdicts, number, p.id, synack ? NF_ACCEPT : NF_DROP);
		return;
	}
	if (synack)
		cgrp = cgroup_of_listener(d, &p);
	if (cgrp)
		run(d, number, cgrp, &p);
	else
		verdict_add(&d->verdicts, number, p.id, NF_ACCEPT); /* somebody else's */
}
