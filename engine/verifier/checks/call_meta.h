/*
 * call_meta.h - what the arguments of a helper call said about each other
 */
#ifndef UBPFFS_VERIFIER_CALL_META_H
#define UBPFFS_VERIFIER_CALL_META_H

#include "core/map.h"

struct bpf_call_arg_meta {
	struct bpf_map *map_ptr;
	bool raw_mode;
	bool pkt_access;
	bool may_leave_uninit;
	u32 regno;
	int access_size;
	u32 mem_size;
	u64 msize_max_value;
	s64 const_map_key;
	u32 release_regno; /* the argument that gives an object back */
	u32 ref_obj_id; /* the object that an argument is, or lies in */
	u32 subprogno; /* the callback */
	u32 dynptr_id; /* the dynptr that R0 will be a slice of */
};

#endif
