/*
 * stackmap.h - stack traces by number
 */
#ifndef UBPFFS_MAP_TYPES_STACKMAP_H
#define UBPFFS_MAP_TYPES_STACKMAP_H

#include "insn/func.h"

extern const struct bpf_func_proto bpf_get_stackid_proto;

#endif
