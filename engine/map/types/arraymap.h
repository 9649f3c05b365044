/*
 * arraymap.h - the functions of arrays, for types whose values lie in one
 */
#ifndef UBPFFS_MAP_ARRAYMAP_H
#define UBPFFS_MAP_ARRAYMAP_H

#include "core/map.h"

extern const struct bpf_map_ops array_map_ops; /* arraymap.c */

#endif
