/*
 * running.h - the sources of the directories that have, or had, one: started, stopped, asked
 *
 * A table by the inode of the source's directory; an entry keeps a descriptor of it, so that the
 * number stays its own. It begins with the first start and ends with event_run_forget().
 *
 * A start may take for ever (what the client named may never answer), so nobody waits for it:
 * event_run_start() returns while it is under way, and `done` is called from a worker when it has
 * worked, or not. Until then the source is "starting": it can be stopped or forgotten, which ends
 * the start at once, but not changed.
 *
 * One lock serialises all that decides about sources: events/files.c and events.c take it around
 * "read the definition, start or stop, write the definition", and every function here needs it
 * held, but those that say so. Lock order: this one, then tree_lock. A source's thread takes
 * neither and waits for nothing once it is to stop, so it may be waited for.
 */
#ifndef UBPFFS_FS_EVENTS_RUNNING_H
#define UBPFFS_FS_EVENTS_RUNNING_H

#include "fs/sources/source.h"

void event_run_lock(void);
void event_run_unlock(void);

/*
 * Start it, with the rights of the directory's owner. `prog` stays the caller's. 0: done(arg, ...)
 * is called once, with the lock held, err 0 or -errno and why. -ECANCELED: it was stopped before.
 * -errno and why: it is not called. again: after a restart of the server, where one
 * that fails is kept to be seen; else all is as before. began: when the process did that it sampled
 * then (0: none): without that one it is at its end.
 */
typedef void event_done_fn(void *arg, int err, const struct error_record *why);
struct event_start;
int event_run_start(u64 ino, int dirfd, const struct source_def *def, struct bpf_prog *prog,
		    bool again, u64 began, event_done_fn *done, void *arg,
		    struct event_start **start, struct error_record *why);
/*
 * It is to end with -ECANCELED; *start lives until `done` has been called. Without the lock, from
 * any thread.
 */
void event_run_cancel(struct event_start *start);
bool event_running(u64 ino);
bool event_starting(u64 ino);
/*
 * Another program from the next event on. False: it does not run, or runs programs of another type.
 */
bool event_run_replace(u64 ino, struct bpf_prog *prog);
/* Ends its thread, or cancels its start; its counters stay. */
void event_run_stop(u64 ino);
/* False: it never ran, and nothing is filled in. why: of SOURCE_FAILED only. */
bool event_run_state(u64 ino, enum source_state *state, struct source_stats *stats,
		     struct error_record *why);
/* Stop it, and drop its entry: the directory is removed. */
void event_run_forget(u64 ino);
/* Those that run or ran: the directory's descriptor and what event_run_state() says. */
typedef void event_each_fn(void *arg, int dirfd, enum source_state state,
			   const struct source_stats *stats);
void event_run_each(event_each_fn *fn, void *arg);
/*
 * Without the lock: the end of the server. Starts end, and none begins any more, before the workers
 * stop; what runs is told to stop.
 */
void event_run_no_more(void);
/* Without the lock, after that. */
void event_run_forget_all(void);

#endif
