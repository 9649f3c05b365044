/*
 * map_owner.h - the maps that a load named
 *
 * maps/<m>/.load (hidden) holds the ids of the load's programs. When none of them has a name in
 * progs/ any more, the map loses its name too, so that rm -r progs/x and loading again is a loop
 * that works.
 */
#ifndef UBPFFS_FS_STORE_MAP_OWNER_H
#define UBPFFS_FS_STORE_MAP_OWNER_H

#include <stdbool.h>

#define LOADS_FILE ".load"

/*
 * A program lost its name: let go what no named program stands for. tree_wrlock held (or not yet
 * served). An error: it could not be seen which that are, and those keep their names.
 */
int loads_sweep(void);
/* The last sweep met an error: names may be there that should be gone. No lock. */
bool loads_unfinished(void);

#endif
