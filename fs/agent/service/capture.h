/*
 * capture.h - a capture file's packets, read by the owner's own process (AGENT_CAPTURE)
 *
 * The argument is `path NUL filter NUL`, the filter empty for none. A status answers, then
 * messages (packets.h), CAPTURE_END or CAPTURE_ERROR the last. The format, which may be made to
 * break its reader, is known to that process only.
 */
#ifndef UBPFFS_FS_AGENT_SERVICE_CAPTURE_H
#define UBPFFS_FS_AGENT_SERVICE_CAPTURE_H

#include "fs/agent/agent.h"

agent_service_fn capture_service;

#endif
