/*
 * out.h - the capture file that a source writes, by the owner's own process (AGENT_OUT)
 *
 * The argument is a struct out_request, then the path and a NUL. A status answers when the file is
 * there; then messages come, each of whole records, and after the last of them (shutdown()) another
 * status says that all of it is in the file, which is closed. A status in between says what failed;
 * what is whole stays. Only one such process at a time has a file.
 */
#ifndef UBPFFS_FS_AGENT_SERVICE_OUT_H
#define UBPFFS_FS_AGENT_SERVICE_OUT_H

#include "util/types.h"
#include "fs/agent/agent.h"

struct out_request {
	u32 go_on; /* after the last whole record, if it is a file of ours; else it begins anew */
	u32 snaplen, link;
};

struct out_record { /* of a pcap file; the bytes follow */
	u32 sec, usec, caplen, len;
};

/* What it does with the file: the only calls once that is open. */
#define OUT_RULES ALLOW(write), ALLOW(pwrite64), ALLOW(ftruncate)

agent_service_fn out_service;

#endif
