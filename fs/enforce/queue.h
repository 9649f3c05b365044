/*
 * queue.h - packets from the kernel's queues to the programs of cgroups, and the verdicts back
 *
 * One netlink socket and one thread for all queues; a queue is a cgroup. The thread takes what waits, runs the
 * effective programs of each packet's cgroup, and answers with as few messages as it can: neighbours of one queue
 * with the same verdict are one batch verdict.
 *
 * Guarantees
 *   A. Every packet gets a verdict; those of one queue in their order.
 *   B. After nfqueue_unbind() the thread does not touch the cgroup.
 *   C. What a program writes (mark, congestion bits) goes back with the packet, unless that is larger than a message.
 * Locking: bind and unbind may be called from any threads, one at a time.
 */
#ifndef UBPFFS_FS_ENFORCE_QUEUE_H
#define UBPFFS_FS_ENFORCE_QUEUE_H

#include "cgroup/cgroup.h"

/* Queue numbers below are left to others. */
#define NFQUEUE_FIRST 32768u

/*
 * first: where the search for free numbers begins. Servers that begin far from each other do not take the numbers that the
 * rules of a killed one still name.
 */
int nfqueue_start(u32 first);
/*
 * A queue number that is free here, in *queue. Takes a reference; id is the kernel's of this cgroup. -ENOSPC.
 * cgrp NULL: a queue for SYN-ACKs, whose cgroup is that of the listener.
 */
int nfqueue_bind(struct cgroup *cgrp, u64 id, u16 *queue);
void nfqueue_unbind(u16 queue);
void nfqueue_stop(void);

#endif
