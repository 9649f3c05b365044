/*
 * packets.h - packets on their way to the server, many in a message
 *
 * CAPTURE_LINK comes first. A process has one such way; when the server is not there any more it
 * ends.
 */
#ifndef UBPFFS_FS_AGENT_SERVICE_PACKETS_H
#define UBPFFS_FS_AGENT_SERVICE_PACKETS_H

#include "util/types.h"
#include "fs/agent/agent.h"

#define CAPTURE_SNAPLEN 65535

enum capture_kind {
	CAPTURE_LINK,
	CAPTURE_PACKETS,
	CAPTURE_END,
	CAPTURE_ERROR,
	CAPTURE_LOST, /* the kernel had no room: the server is slow */
};

struct capture_message {
	u32 kind;
	s32 value; /* CAPTURE_LINK: DLT_...; CAPTURE_LOST: how many */
	char body[]; /* CAPTURE_PACKETS: packets; CAPTURE_ERROR: why, in words */
};

struct capture_packet { /* the bytes follow; nothing is aligned */
	u32 sec, usec;
	u32 caplen; /* 0 for one that is longer than CAPTURE_SNAPLEN */
	u32 len;
};

/* -ENOMEM. */
int packets_begin(int sock);
void packets_add(struct capture_packet packet, const void *data);
/* What was added goes. */
void packets_flush(void);
/* A message of another kind, with text or without (NULL), after what was added. */
void packets_say(enum capture_kind kind, s32 value, const char *text);

#endif
