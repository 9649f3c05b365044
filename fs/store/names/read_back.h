/*
 * read_back.h - objects of an earlier server: found asleep at the start, and read back
 *
 * A start looks at each file: a program's image is read whole (it has a checksum) for its name and
 * its maps, a map's header for what it is; what cannot be read is a broken object at once. Nothing
 * is verified or opened but what others are decided by: maps whose values are objects or belong to
 * cgroups (bpf_map_look.at_start), what is in their slots, programs of links, and what is attached
 * or running (cgroups, events), which ask for it before they begin. All else sleeps until somebody
 * needs it, or a thread in the background comes to it.
 *
 * What is found damaged then, or is no longer accepted, is a broken object as at a start, with the
 * same sentence in the server's log and M/log of who asked. Nothing is ever removed for it: what a
 * program needs is kept by the maps that its image names, which the start has seen.
 *
 * Lock order: store_wake() of a program waits for that of its maps, and those for nobody.
 */
#ifndef UBPFFS_FS_STORE_NAMES_READ_BACK_H
#define UBPFFS_FS_STORE_NAMES_READ_BACK_H

#include "fs/store/names/found.h"
#include "fs/store/objects/object.h"

/* ---- the start: one thread, before the mount */

void read_back_start(void);
/*
 * Make an object of what was found, asleep or broken, and of what it needs, unless it turns out to
 * be of a kind that was not asked for. `kinds`: bits. -errno: this start is refused.
 */
int read_back_found(struct found *f, u32 kinds);
/* The same by id, and the object, with a reference, awake. -ENOENT; -EBADMSG: it is broken. */
int read_back_get(u32 id, enum store_kind kind, struct store_object **out);
/* Was anything set aside? */
bool read_back_set_aside(void);

/* For who serves nobody: all of it, now. -errno: something sleeps still. */
int read_back_all(void);

/* ---- the background: while the mount is served */

void read_back_begin(void);
/* Waits for what is being read back; the rest sleeps on. */
void read_back_end(void);

#endif
