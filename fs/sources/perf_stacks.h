/*
 * perf_stacks.h - what a source of samples asks of the process that reads stacks (AGENT_STACKS,
 * agent/service/stack/stacks.c)
 *
 * Stacks of code without frame pointers, and build ids, need the files of the sampled process. A
 * process of the agent that is the source's owner reads them; it is made at the first request and
 * again when it has ended. Many requests are on their way at one time, so that a sample costs no
 * switch from one process to the other.
 *
 * Guarantees
 *   A. Each request that was taken has one answer, in the order of the requests. It comes within
 *      STACKS_TIMEOUT_MS, or is an error; at once when the source is being stopped.
 *   B. A sampled process that makes it hang or end is not asked about again for a while, and the
 *      others are.
 *   C. The more often it hung, the longer it takes until it is made again: what hangs cannot be
 *      ended.
 * Used by the source's thread.
 */
#ifndef UBPFFS_FS_SOURCES_PERF_STACKS_H
#define UBPFFS_FS_SOURCES_PERF_STACKS_H

#include "fs/agent/format/stack_msg.h"
#include "fs/sources/source.h"

#define STACKS_TIMEOUT_MS 5000
/*
 * Asks without an answer: where processes wait for a CPU, the more the better. The answers fit in a
 * socket's buffers.
 */
#define STACKS_WINDOW	  (8 * STACK_BATCH)
#define STACKS_WINDOW_IDS (3 * STACK_BATCH) /* with build ids */

struct perf_stacks;

struct perf_stacks *perf_stacks_new(struct source *src);
void perf_stacks_free(struct perf_stacks *stacks);

/* Up to STACKS_WINDOW are without an answer. False: it was not taken. */
bool perf_stacks_request(struct perf_stacks *stacks, const struct stack_request *request);
/* The answer to the oldest request. What it points to lives until the next call. */
void perf_stacks_answer(struct perf_stacks *stacks, struct stack_answer *answer);
/* An answer is there already. */
bool perf_stacks_ready(const struct perf_stacks *stacks);
/* The number is another process's from now on, or the process runs another program. */
void perf_stacks_forget(struct perf_stacks *stacks, u32 pid);

#endif
