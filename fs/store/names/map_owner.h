/*
 * map_owner.h - the maps that a load named
 *
 * They go with its programs: when the last of those has lost its name in progs/, the maps lose
 * theirs, so that rm -r progs/x and loading again is a loop that works. A load that named maps is a
 * map owner here, found by each of its programs; the maps' directories say the same for a start:
 * maps/<m>/.load (hidden; also in a load directory's maps/) holds the ids of the load's programs.
 *
 * Guarantees
 *   A. What a removed program costs does not depend on how many others there are.
 *   B. A map goes under whatever name it has by then; one that was made in its old place stays.
 *   C. A map that an error keeps goes with the next load, the next removal or the next start.
 *
 * tree_wrlock is held around all of these but map_owner_new(), map_owner_free() and
 * map_owner_unfinished() (or nobody is served yet). Tests: tests/unit/test_map_owner.c.
 */
#ifndef UBPFFS_FS_STORE_NAMES_MAP_OWNER_H
#define UBPFFS_FS_STORE_NAMES_MAP_OWNER_H

#include "util/types.h"

#define MAP_OWNER_FILE ".load"

struct map_owner;

/* For a load that is about to name these in `dir`. *out is NULL when it owns nothing. */
int map_owner_new(const u32 *progs, u32 nr_progs, const char *dir, const char *const *maps,
		  u32 nr_maps, struct map_owner **out);
/* The load failed. NULL: nothing. */
void map_owner_free(struct map_owner *owner);
/* The load's names are there: the owner is in the table from now on. NULL: nothing. */
void map_owner_add(struct map_owner *owner);

/* A program lost its name. */
void map_owner_prog_gone(u32 id);
/* A map was renamed, or two changed places; paths from tree/. */
void map_owner_renamed(const char *path, const char *newpath, bool exchange);

/* Are there maps that should have lost their names, and that an error kept? */
bool map_owner_unfinished(void);
/* Let them go. 0, or why some stay. */
int map_owner_retry(void);

/*
 * From what is there at a start; maps without a program lose their names. An error: it could not be
 * seen which those are, or not all could go; what is not known keeps its name.
 */
int map_owner_start(void);

#endif
