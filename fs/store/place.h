/*
 * place.h - directories of progs/ into which objects are loaded: progs/<place>/ and its maps/
 *
 * The hidden file PLACE_FILE (state_tree.h) in both tells them from the directories of objects. A
 * place has a name without blanks (manifests and reports have it in a line), is not renamed, and
 * lies in progs/ itself. Whatever looks at all programs or maps of the state tree goes through
 * place_each().
 */
#ifndef UBPFFS_FS_STORE_PLACE_H
#define UBPFFS_FS_STORE_PLACE_H

#include <stdbool.h>
#include <stddef.h>

struct store_object;

#define PLACE_MAPS "maps"
#define PLACE_MAX  128 /* bytes of a path progs/<place>/maps */

bool place_name_ok(const char *name);
/* Names that no program may have: files of progs/ and of places. */
bool place_own_name(const char *name);
/* From tree/: progs and maps, then those of each place. An error of fn ends it. */
int place_each(int (*fn)(void *arg, const char *progs, const char *maps), void *arg);

/*
 * The name of a map, from M: maps/<m>, progs/<place>/maps/<m>. -ENOENT: it has none. tree_rdlock is
 * held.
 */
int place_of_map(const struct store_object *obj, char *path, size_t len);

#endif
