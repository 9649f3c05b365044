/*
 * queue.h - packets from the kernel's queues to the programs of cgroups, and the verdicts back
 *
 * One netlink socket (queue/config.h) and one thread (queue/thread.h) for all queues; a queue is a
 * cgroup. The thread takes what waits, runs the effective programs of each packet's cgroup
 * (decide.h), and answers (verdict.h).
 *
 * Guarantees
 *   A. Every packet gets a verdict; those of one queue in their order.
 *   B. After nfqueue_unbind() the thread does not touch the cgroup.
 *   C. What a program writes (mark, congestion bits) goes back with the packet, unless that is
 *      larger than a message.
 * Locking: bind and unbind may be called from any threads, one at a time.
 */
#ifndef UBPFFS_FS_ENFORCE_QUEUE_H
#define UBPFFS_FS_ENFORCE_QUEUE_H

#include "cgroup/cgroup.h"

struct nfqueue;
struct host_cgroup;

/*
 * first: where the search for free numbers begins. Servers that begin far from each other do not
 * take the numbers that the rules of a killed one still name. host: for the cgroups of listeners;
 * it outlives the queue.
 */
int nfqueue_start(u32 first, const struct host_cgroup *host, struct nfqueue **out);
/*
 * A queue number that is free here, in *queue. Takes a reference; id is the kernel's of this
 * cgroup. -ENOSPC. cgrp NULL: a queue for SYN-ACKs, whose cgroup is that of the listener.
 */
int nfqueue_bind(struct nfqueue *nfq, struct cgroup *cgrp, u64 id, u16 *queue);
void nfqueue_unbind(struct nfqueue *nfq, u16 queue);
void nfqueue_stop(struct nfqueue *nfq); /* NULL: nothing */

#endif
