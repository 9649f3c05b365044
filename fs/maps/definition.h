/*
 * definition.h - the definition of a map that mkdir made: which attributes were written so far
 *
 * Kept in the map's directory of the state tree, in a hidden file of lines `name: value`, until and
 * after the map is created (a map with a definition file is one that mkdir made: a load may bind
 * to it, and it keeps its name when the load's programs go).
 */
#ifndef UBPFFS_FS_MAPS_DEFINITION_H
#define UBPFFS_FS_MAPS_DEFINITION_H

#include "core/map.h"
#include "fs/node/node.h"

#define MAP_LINK    "map" /* the map's file in its directory */
#define MAPDEF_FILE ".def" /* empty when nothing is set yet */

enum mapdef_attr {
	MAPDEF_TYPE,
	MAPDEF_KEY_SIZE,
	MAPDEF_VALUE_SIZE,
	MAPDEF_MAX_ENTRIES,
	MAPDEF_FLAGS,
	MAPDEF_INNER, /* the id of the template of a map of maps */
	MAPDEF_NR,
};

struct mapdef {
	u32 value[MAPDEF_NR];
	bool set[MAPDEF_NR];
};

const char *mapdef_name(enum mapdef_attr attr); /* "key_size" */

int mapdef_read(int dirfd, struct mapdef *def); /* no file: nothing is set */
int mapdef_write(int dirfd, const struct mapdef *def, struct error_record *why);

/*
 * Text of one attribute: TEXT_COMPLETE, TEXT_INCOMPLETE, or -EINVAL, -ERANGE, -EOPNOTSUPP (a type
 * that Linux has and this build lacks).
 */
int mapdef_parse(enum mapdef_attr attr, const char *s, size_t len, u32 *value);
void mapdef_print(enum mapdef_attr attr, u32 value, struct fs_text *out);

/* Is everything there that the type needs? Fills *spec (without a name) when it is. */
bool mapdef_complete(const struct mapdef *def, struct bpf_map_spec *spec);
/* Does this type take inner_map? */
bool mapdef_holds_maps(u32 type);
/* May there be such a map? 0, or -errno and by which rule not. */
int mapdef_check(const struct bpf_map_spec *spec, struct error_record *why);

#endif
