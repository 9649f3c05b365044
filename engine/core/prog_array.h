/*
 * prog_array.h - what a tail call jumps to
 */
#ifndef UBPFFS_CORE_PROG_ARRAY_H
#define UBPFFS_CORE_PROG_ARRAY_H

#include "util/types.h"

struct bpf_map;
struct bpf_prog;

/*
 * The program in a slot of a prog_array, borrowed inside the caller's RCU section; NULL: nothing
 * there, or an index past the end. What a tail call jumps to.
 */
struct bpf_prog *bpf_prog_array_get(struct bpf_map *map, u32 index);

#endif
