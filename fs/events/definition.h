/*
 * definition.h - what the state tree keeps of an event source, in the source's directory
 *
 *	.def	the attributes, lines `name: value`; a directory without it was given up (rm -r) and
 *	reads as empty
 *	.attach	a hard link of the program's object: the attachment keeps the program
 *	.ended	the source has seen all its events: a restarted server does not start it again
 *	.since	when the sampled process began, so that another one of that number is not sampled
 *	after a restart
 *
 * All of it is on disk, and nothing is kept in memory. Every function takes the directory's
 * descriptor (O_PATH will do). Locks: who changes the definition, or reads it to decide, holds
 * event_run_lock(); the functions that change a name a client could see need tree_wrlock too, or
 * the time before the mount. The rest may be called by anyone, event_ended_set() also by a source's
 * thread.
 */
#ifndef UBPFFS_FS_EVENTS_DEFINITION_H
#define UBPFFS_FS_EVENTS_DEFINITION_H

#include "fs/sources/source.h"
#include "fs/store/objects/object.h"

#define EVENT_DEF_FILE ".def" /* empty when nothing is set yet */

int event_def_there(int dirfd); /* as tree_has() */
/* On success source_def_free() is the caller's. */
int event_def_read(int dirfd, struct source_def *def);
/* tree_wrlock */
int event_def_write(int dirfd, const struct source_def *def, struct error_record *why);
/* The source was given up: its program goes, and all that is hidden here. tree_wrlock. */
int event_def_remove(int dirfd, struct error_record *why);
/* What of the definition is missing; NULL when only a program is. */
const char *event_missing(const struct source_def *def);

/* The attached program with a reference, or -ENOENT. */
int event_attached(int dirfd, struct store_object **out);
bool event_has_attached(int dirfd);
/* Let `obj` (NULL: nothing) be what is attached here. tree_wrlock. */
int event_attach_link(int dirfd, struct store_object *obj, struct error_record *why);

int event_ended(int dirfd); /* as tree_has() */
void event_ended_set(int dirfd);
bool event_ended_clear(int dirfd); /* was it set? */

/*
 * Note when the source's process began (0: it has none), and read it again. -ENOENT: nobody knows.
 */
void event_since_set(int dirfd, u64 began);
int event_since(int dirfd, const struct source_def *def, u64 *began);

#endif
