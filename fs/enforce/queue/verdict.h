/*
 * verdict.h - the answers to packets, in as few messages as can be
 *
 * Neighbours of one queue with the same verdict are one batch verdict, which names the last of
 * them. A verdict that changes the packet is a message of its own.
 *
 * Guarantees
 *   A. Every packet that was given to verdict_add() or verdict_change() has its verdict after
 *	verdict_flush(), those of one queue in the order given, and none that was not.
 *   B. A message is never cut: they are sent when there might be no room for another one.
 * One thread. Tests: tests/unit/test_verdict.c.
 */
#ifndef UBPFFS_FS_ENFORCE_QUEUE_VERDICT_H
#define UBPFFS_FS_ENFORCE_QUEUE_VERDICT_H

#include "fs/enforce/queue/packet.h"

#define VERDICT_QUEUES 32u /* with a run that is not sent yet */
#define VERDICT_ROOM   65536u
#define VERDICT_MAX    (65536u + 4096u) /* bytes of one */

struct verdict_run { /* neighbours with the same verdict */
	u16 queue;
	u32 last; /* the newest packet */
	u32 verdict;
};

struct verdicts {
	void (*send)(void *arg, const void *messages, size_t len);
	void *arg;
	struct verdict_run runs[VERDICT_QUEUES]; /* one a queue */
	u32 nr_runs;
	size_t len;
	char out[VERDICT_ROOM + VERDICT_MAX];
};

/* verdict: NF_ACCEPT or NF_DROP. */
void verdict_add(struct verdicts *v, u16 queue, u32 packet_id, u32 verdict);
/* Accept it with what is not as it was. payload: its bytes have changed. */
struct verdict_changes {
	bool mark, priority, payload;
};
void verdict_change(struct verdicts *v, u16 queue, const struct nfq_packet *p,
		    const struct bpf_skb *skb, struct verdict_changes changes);
void verdict_flush(struct verdicts *v);

#endif
