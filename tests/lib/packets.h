/*
 * packets.h - a handful of packets that take programs down different paths
 */
#ifndef UBPFFS_TESTS_PACKETS_H
#define UBPFFS_TESTS_PACKETS_H

#include "util/types.h"

struct packet {
	const char *name;
	u8 data[1514];
	u32 len;
};

extern const struct packet packets[];
extern const u32 packet_cnt;

#endif
