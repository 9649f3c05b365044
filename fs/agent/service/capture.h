/*
 * capture.h - a capture file's packets, read by the owner's own process (AGENT_CAPTURE)
 *
 * The argument is `path NUL filter NUL`, the filter empty for none. Answers: a status, then
 * messages: CAPTURE_LINK first, CAPTURE_PACKETS any number of times, CAPTURE_END or CAPTURE_ERROR.
 * The format, which may be made to break its reader, is known to that process only.
 */
#ifndef UBPFFS_FS_AGENT_SERVICE_CAPTURE_H
#define UBPFFS_FS_AGENT_SERVICE_CAPTURE_H

#include "util/types.h"
#include "fs/agent/agent.h"

#define CAPTURE_SNAPLEN 65535

enum capture_kind { CAPTURE_LINK, CAPTURE_PACKETS, CAPTURE_END, CAPTURE_ERROR };

struct capture_message {
	u32 kind;
	s32 link; /* CAPTURE_LINK: DLT_... */
	char body[]; /* CAPTURE_PACKETS: packets; CAPTURE_ERROR: why, in words */
};

struct capture_packet { /* the bytes follow; nothing is aligned */
	u32 sec, usec;
	u32 caplen; /* 0 for one that is longer than CAPTURE_SNAPLEN */
	u32 len;
};

agent_service_fn capture_service;

#endif
