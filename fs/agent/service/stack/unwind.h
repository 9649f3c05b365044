/*
 * unwind.h - user stacks of code without frame pointers, from a sample's registers and a copy of
 * its stack
 *
 * By the call frame information of the process's own files (libdw), which are hostile: only in a
 * process of the agent. Used by one thread.
 */
#ifndef UBPFFS_FS_AGENT_SERVICE_STACK_UNWIND_H
#define UBPFFS_FS_AGENT_SERVICE_STACK_UNWIND_H

#include "fs/agent/format/stack_msg.h"

struct unwind;

struct unwind *unwind_new(void);

/*
 * Return addresses, innermost first (the sampled address itself is the first), into ips. How many,
 * or -errno when the process cannot be read.
 */
int unwind_stack(struct unwind *u, const struct stack_request *request, u64 *ips, u32 max);
/* Where in which file those addresses of the process are. */
void unwind_build_ids(struct unwind *u, pid_t pid, const u64 *ips, u32 nr,
		      struct bpf_stack_build_id *out);
/* The process of that number is another one now, or runs another program. */
void unwind_forget(struct unwind *u, pid_t pid);

#endif
