/*
 * stackmap.h - stack traces by number
 */
#ifndef UBPFFS_MAP_TYPES_STACKMAP_H
#define UBPFFS_MAP_TYPES_STACKMAP_H

#include "core/map.h"
#include "insn/func.h"

extern const struct bpf_func_proto bpf_get_stackid_proto;

/* Stack ids are below this number. */
u32 bpf_stack_ids(const struct bpf_map *map);
/*
 * The image (run/sample.h) that the stack was taken of; 0: not known, or the id does not hold this
 * value (NULL: whatever it holds). `map` is a stack_trace map.
 */
u32 bpf_stack_image(const struct bpf_map *map, u32 id, const void *value);

#endif
