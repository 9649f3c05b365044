/*
 * func.c - lists of helper functions: those of this build, and those that only Linux has
 */
#include "insn/func.h"

#define MISSING(x) [BPF_FUNC_##x] = {.name = "bpf_" #x, .id = BPF_FUNC_##x}
static const struct bpf_func_proto missing_protos[BPF_FUNC_MAX] = {
	__BPF_FUNC_MAPPER(MISSING)
#ifdef BPF_FUNC_cgrp_storage_get
		MISSING(cgrp_storage_get),
	MISSING(cgrp_storage_delete),
#endif
};

u64 __bpf_call_base(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
{
	return 0;
}

const struct bpf_func_proto *bpf_func_find(enum bpf_func_id id,
					   const struct bpf_func_proto *const *have,
					   size_t have_cnt, const u8 *missing, size_t missing_cnt)
{
	for (size_t i = 0; i < have_cnt; i++)
		if (have[i]->id == id)
			return have[i];
	for (size_t i = 0; i < missing_cnt; i++)
		if (missing[i] == id)
			return &missing_protos[id];
	return NULL;
}
