/*
 * stack_symbols.h - names for the addresses in a stack_trace map
 */
#ifndef UBPFFS_FS_MAPS_TEXT_STACK_SYMBOLS_H
#define UBPFFS_FS_MAPS_TEXT_STACK_SYMBOLS_H

#include "core/map.h"
#include "fs/node/node.h"

extern const struct fs_node_ops symbols_ops; /* maps/<stack_trace map>/symbols */

/*
 * symbols_print - one stack, a line an address, each with `prefix` before it
 * `0xaddr`, and where the map has symbols ` function+0x12 (file)`; `BUILDID+0xoffset` in a map of
 * build ids.
 */
void symbols_print(const struct bpf_map *map, const void *key, const void *value,
		   const char *prefix, struct fs_text *out);

#endif
