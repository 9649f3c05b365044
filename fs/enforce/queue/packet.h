/*
 * packet.h - a packet as the kernel's queue gives it: the netlink message, and what programs see of
 * it
 *
 * The message is read as if it were hostile: attributes that are too short count as not there, and
 * nothing outside of the message and its padding is touched. Pure functions. Tests:
 * tests/unit/test_queue_packet.c.
 */
#ifndef UBPFFS_FS_ENFORCE_QUEUE_PACKET_H
#define UBPFFS_FS_ENFORCE_QUEUE_PACKET_H

#include "util/types.h"
#include "prog_type/skb/skb.h"

struct nlmsghdr;
struct cgroup;

#define NFQ_PACKET_LEAST 20u /* bytes: a header of IPv4. What has less is no packet for programs */

struct nfq_packet {
	u32 id, hook;
	u32 len; /* of the packet; what is copied may be less */
	u8 *data; /* in the message */
	u32 copied;
	u32 mark, indev, outdev, priority;
	bool has_vlan;
	u32 vlan_tci, vlan_proto;
};

/* False: the message has no header of a packet, so that there is nothing to give a verdict on. */
bool nfq_packet_parse(const struct nlmsghdr *nlh, struct nfq_packet *p);
/* The context of a program of cgrp. At least NFQ_PACKET_LEAST bytes are copied. */
void nfq_packet_skb(const struct nfq_packet *p, struct cgroup *cgrp, struct bpf_skb *skb);

#endif
