/*
 * process.h - what /proc says about a process that a client names
 *
 * Reading /proc/PID/stat or status takes a reference of the process's memory. If it is the last
 * one, the reader ends that memory, and waits for the client's mounts with the files that were
 * mapped. So it is read in a process of the agent.
 */
#ifndef UBPFFS_FS_AGENT_PROCESS_H
#define UBPFFS_FS_AGENT_PROCESS_H

#include "fs/agent/agent.h"

struct process_facts {
	u64 began; /* clock ticks since the boot: with its number, which process it is */
	u32 uid[3]; /* real, effective, saved */
};

/* In a process of the agent. -ESRCH: there is no such process. */
int process_facts_read(pid_t pid, struct process_facts *out);

/*
 * On the server's side: asks a process of that user, for `timeout` ms at most. -ESRCH, and what
 * agent_status() gives.
 */
int process_facts_ask(const struct agent_cred *cred, pid_t pid, int timeout,
		      struct process_facts *out);

agent_service_fn process_service;

#endif
