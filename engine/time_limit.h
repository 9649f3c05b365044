/*
 * time_limit.h - what may be cancelled, and may take so long
 *
 * The engine looks at one flag. Where there is a time limit, a thread of its own sets that flag
 * when the time is over, or its caller's flag was set; it is there while somebody has a limit.
 */
#ifndef UBPFFS_TIME_LIMIT_H
#define UBPFFS_TIME_LIMIT_H

#include "util/types.h"

struct bpf_time_limit {
	const volatile bool *cancel; /* the caller's, or NULL */
	volatile bool stop; /* what the engine looks at */
	bool over; /* the time was */
	u64 end; /* CLOCK_MONOTONIC, ns */
	struct bpf_time_limit *next;
};

/* *flag: what the engine is to look at, or NULL; ns 0: no limit. -EAGAIN: no thread to be had. */
int bpf_time_limit_begin(struct bpf_time_limit *limit, const volatile bool *cancel, u64 ns,
			 const volatile bool **flag);
/* What `err` is called: -EINTR becomes -ETIMEDOUT when the time was over. */
int bpf_time_limit_end(struct bpf_time_limit *limit, int err);

#endif
