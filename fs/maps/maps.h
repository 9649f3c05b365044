/*
 * maps.h - M/maps, and the file of a map (map_file.c)
 */
#ifndef UBPFFS_FS_MAPS_MAPS_H
#define UBPFFS_FS_MAPS_MAPS_H

#include "fs/node/node.h"

extern const struct fs_node_ops maps_dir_ops;
extern const struct fs_node_ops map_file_ops, map_pin_ops;

#endif
