/*
 * verdict.c - see verdict.h
 */
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h> /* before the library's older copy */
#include <libnetfilter_queue/libnetfilter_queue.h>
#include "fs/enforce/queue/verdict.h"

static void out_send(struct verdicts *v)
{
	if (v->len)
		v->send(v->arg, v->out, v->len);
	v->len = 0;
}

static struct nlmsghdr *message_begin(struct verdicts *v, int type, u16 queue, u32 id, u32 verdict)
{
	struct nlmsghdr *nlh = nfq_nlmsg_put(v->out + v->len, type, queue);

	nfq_nlmsg_verdict_put(nlh, (int)id, (int)verdict);
	return nlh;
}

static void message_end(struct verdicts *v, const struct nlmsghdr *nlh)
{
	v->len += MNL_ALIGN(nlh->nlmsg_len);
	if (v->len > VERDICT_ROOM)
		out_send(v);
}

static void run_send(struct verdicts *v, const struct verdict_run *run)
{
	message_end(v,
		    message_begin(v, NFQNL_MSG_VERDICT_BATCH, run->queue, run->last, run->verdict));
}

static struct verdict_run *run_of(struct verdicts *v, u16 queue)
{
	for (u32 i = 0; i < v->nr_runs; i++)
		if (v->runs[i].queue == queue)
			return &v->runs[i];
	return NULL;
}

static void runs_send(struct verdicts *v)
{
	for (u32 i = 0; i < v->nr_runs; i++)
		run_send(v, &v->runs[i]);
	v->nr_runs = 0;
}

void verdict_add(struct verdicts *v, u16 queue, u32 packet_id, u32 verdict)
{
	struct verdict_run *run = run_of(v, queue);

	if (run && run->verdict != verdict)
		run_send(v, run);
	if (!run) {
		if (v->nr_runs == VERDICT_QUEUES)
			runs_send(v);
		run = &v->runs[v->nr_runs++];
	}
	*run = (struct verdict_run){queue, packet_id, verdict};
}

void verdict_change(struct verdicts *v, u16 queue, const struct nfq_packet *p,
		    const struct bpf_skb *skb, struct verdict_changes changes)
{
	struct verdict_run *run = run_of(v, queue);
	struct nlmsghdr *nlh;

	if (run) { /* what came before goes before */
		run_send(v, run);
		*run = v->runs[--v->nr_runs];
	}
	nlh = message_begin(v, NFQNL_MSG_VERDICT, queue, p->id, NF_ACCEPT);
	if (changes.mark)
		nfq_nlmsg_verdict_put_mark(nlh, skb->md.mark);
	if (changes.priority)
		mnl_attr_put_u32(nlh, NFQA_PRIORITY, htonl(skb->md.priority));
	if (changes.payload)
		nfq_nlmsg_verdict_put_pkt(nlh, p->data, p->copied);
	message_end(v, nlh);
}

void verdict_flush(struct verdicts *v)
{
	runs_send(v);
	out_send(v);
}
