/*
 * maps.h - the maps of an object
 */
#ifndef UBPFFS_OBJECT_READ_MAPS_H
#define UBPFFS_OBJECT_READ_MAPS_H

#include "object/elf/reader.h"

int obj_read_maps(struct obj_reader *r);
int obj_map_at(const struct obj_reader *r, u32 sec, u64 off); /* index or -1 */
/* `values` initialisers, after the programs that they may name. */
int obj_read_map_values(struct obj_reader *r);

#endif
