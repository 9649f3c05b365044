/*
 * frames.h - Ethernet frames of many kinds, for what reads headers
 */
#ifndef UBPFFS_TESTS_FRAMES_H
#define UBPFFS_TESTS_FRAMES_H

#include "util/types.h"

#define FRAME_MAX 512

struct rnd {
	u64 state;
};

u32 rnd_u32(struct rnd *r);
static inline u32 rnd_below(struct rnd *r, u32 n)
{
	return rnd_u32(r) % n;
}

/*
 * One frame: VLAN tags, PPPoE, MPLS, ARP, IPv4 with options and fragments, IPv6 with extension
 * headers, GRE, IP in IP, and TCP, UDP, ICMP, SCTP and others in them; some are cut short or have a
 * few bytes changed. At least 15 bytes. Returns its length.
 */
u32 frame_make(struct rnd *r, u8 frame[FRAME_MAX]);

#endif
