/*
 * load_dir.h - directories of progs/ into which objects are loaded: progs/<dir>/ and its maps/
 *
 * The hidden file LOAD_DIR_FILE (state_file.h) in both tells them from the directories of objects.
 * A load directory has a name without blanks (manifests and reports have it in a line), is not
 * renamed, and lies in progs/ itself. Code that looks at all programs or maps of the state tree
 * goes through load_dir_each().
 */
#ifndef UBPFFS_FS_STORE_LOAD_DIR_H
#define UBPFFS_FS_STORE_LOAD_DIR_H

#include <stdbool.h>
#include <stddef.h>

struct store_object;

#define LOAD_DIR_MAPS "maps"
#define LOAD_DIR_MAX  128 /* bytes of a path progs/<dir>/maps */

bool load_dir_name_ok(const char *name);
/* Names that no program may have: files of progs/ and of load directories. */
bool load_dir_own_name(const char *name);
/* From tree/: progs and maps, then those of each load directory. An error of fn ends it. */
int load_dir_each(int (*fn)(void *arg, const char *progs, const char *maps), void *arg);
/*
 * For a start, which visits them several times: which there are is found once. -errno: one cannot
 * be looked at.
 */
int load_dir_hold(void);
void load_dir_let(void);

/*
 * The name of a map, from M: maps/<m>, progs/<dir>/maps/<m>. -ENOENT: it has none. tree_rdlock is
 * held.
 */
int load_dir_map_path(const struct store_object *obj, char *path, size_t len);

#endif
