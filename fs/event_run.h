/*
 * event_run.h - the sources of the directories that have, or had, one: started, stopped, asked
 *
 * A table by the inode of the source's directory; an entry keeps a descriptor of it, so that the number stays its own.
 * It begins with the first start and ends with event_run_forget().
 *
 * One lock serialises all that decides about sources: event_files.c and events.c take it around "read the definition,
 * start or stop, write the definition", and every function here needs it held, but event_run_forget_all(), which takes
 * it. Lock order: this one, then tree_lock. A source's thread takes neither, so it may be waited for.
 */
#ifndef UBPFFS_FS_EVENT_RUN_H
#define UBPFFS_FS_EVENT_RUN_H

#include "fs/source/source.h"

void event_run_lock(void);
void event_run_unlock(void);

/*
 * Start it, with the rights of the directory's owner. *why (SOURCE_WHY_MAX) says why it does not. `prog` stays the
 * caller's. again: after a restart of the server, where one that fails is kept to be seen; else all is as before.
 */
int event_run_start(u64 ino, int dirfd, const struct source_def *def, struct bpf_prog *prog,
		    bool again, char *why);
bool event_running(u64 ino);
/* Another program from the next event on. False: it does not run, or runs programs of another type. */
bool event_run_replace(u64 ino, struct bpf_prog *prog);
/* Its thread has ended; what it counted stays. */
void event_run_stop(u64 ino);
/* False, and nothing is said: it never ran. *why (SOURCE_WHY_MAX) is for SOURCE_FAILED only. */
bool event_run_state(u64 ino, enum source_state *state, struct source_stats *stats, char *why);
/* Stop it, and its directory is nobody's. */
void event_run_forget(u64 ino);
/* The end of the server. */
void event_run_forget_all(void);

#endif
