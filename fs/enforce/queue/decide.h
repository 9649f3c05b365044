/*
 * decide.h - which cgroup a packet is of, and what its effective programs say
 *
 * The table knows for each queue its cgroup, and the cgroups by the kernel's id, for SYN-ACKs:
 * those have the cgroup of the socket that listens.
 *
 * Guarantees
 *   A. A packet that decide() takes has a verdict in `verdicts` afterwards: what its cgroup's
 *	programs said, NF_DROP when it is too short for them, NF_ACCEPT when it is a SYN-ACK of
 *	nobody's.
 *   B. After decide_remove_queue() no program of that cgroup begins to run; what runs ends before
 *	the queue's number is another's. It waits for no run, which may be anybody's and take long.
 *   C. A program that takes a second for a packet is stopped for good.
 * decide() is one thread's, in a run section; add and remove come from any thread, one at a time.
 * Tests: tests/unit/test_decide.c, with messages and no socket.
 */
#ifndef UBPFFS_FS_ENFORCE_QUEUE_DECIDE_H
#define UBPFFS_FS_ENFORCE_QUEUE_DECIDE_H

#include <pthread.h>
#include "cgroup/cgroup.h"
#include "fs/enforce/queue/verdict.h"
#include "fs/lib/hash.h"
#include "fs/work/cpu_limit.h"

/* Queue numbers below are left to others. */
#define NFQUEUE_FIRST 32768u
#define NR_QUEUES     (65536u - NFQUEUE_FIRST)

struct queue {
	struct cgroup *cgrp; /* RCU; referenced */
	struct hash_link link; /* by the kernel's id of that cgroup */
	bool bound, synacks;
	struct cgroup *gone; /* until nobody runs its programs */
	struct rcu_head rcu;
};

struct decider {
	struct queue *queues; /* NR_QUEUES */
	pthread_mutex_t ids_lock;
	struct hash_table ids;
	struct verdicts verdicts;
	struct cpu_limit
		*cpu_limit; /* of the thread that runs; NULL: programs may take their time */
	/*
	 * The kernel's id of the nearest cgroup of ours that the sender of this SYN-ACK listens in;
	 * 0: none.
	 */
	u64 (*listener)(void *arg, const struct bpf_skb *skb, u32 outdev);
	void *arg;
};

int decide_init(struct decider *d);
void decide_free(struct decider *d);

/* Takes a reference. cgrp NULL: the queue of SYN-ACKs. */
void decide_add_queue(struct decider *d, u16 number, struct cgroup *cgrp, u64 id);
/* Its number is free after a grace period. */
void decide_remove_queue(struct decider *d, u16 number);
/* Or is its number not free yet? */
bool decide_has_queue(const struct decider *d, u16 number);
/* Is there a queue for the cgroup of this id? */
bool decide_knows(struct decider *d, u64 id);

/* One message of the kernel with a packet. */
void decide(struct decider *d, const struct nlmsghdr *nlh);

#endif
