/*
 * symbols.h - what goes to and from the service that reads the symbols of a process, or of the
 * kernel
 *
 * Its process has the rights of whoever asked. The answer is a status, the length of a symtab's
 * block (u64, agent/format/symtab.h), and the block in messages of up to SYMBOLS_CHUNK bytes.
 */
#ifndef UBPFFS_FS_AGENT_SERVICE_STACK_SYMBOLS_H
#define UBPFFS_FS_AGENT_SERVICE_STACK_SYMBOLS_H

#include "util/types.h"
#include "fs/agent/agent.h"

#define SYMBOLS_CHUNK  65536
#define SYMBOLS_IMAGES (-1)

struct symbols_request {
	/*
	 * The process whose stacks have no image; SYMBOLS_IMAGES: of none. 0: the kernel; no
	 * symbols: this user may not see its addresses.
	 */
	s32 pid;
	u32 nr_images; /* messages that follow, ascending by id (agent/format/image.h) */
	u32 only_look; /* the kernel: one symbol is enough */
};

agent_service_fn symbols_service;

#endif
