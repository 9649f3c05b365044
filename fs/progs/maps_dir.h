/*
 * maps_dir.h - progs/<p>/maps/: a link to each map that the program uses
 *
 * A link has its map's name and leads to its directory; of a map without a name, the id, and leads
 * to ids/map/<id>.
 */
#ifndef UBPFFS_FS_PROGS_MAPS_DIR_H
#define UBPFFS_FS_PROGS_MAPS_DIR_H

#include "fs/node/node.h"

extern const struct fs_node_ops prog_maps_ops;

#endif
