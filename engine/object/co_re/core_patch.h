/*
 * core_patch.h - a constant into an instruction
 */
#ifndef UBPFFS_OBJECT_CO_RE_CORE_PATCH_H
#define UBPFFS_OBJECT_CO_RE_CORE_PATCH_H

#include "insn/insn.h"

struct core_result {
	u64 orig, val;
	bool check_orig, poison;
	bool other_size; /* memory of another size that cannot simply be read so */
	u32 orig_size, size;
};
/* insn[0], and insn[1] of a 64-bit load. 0, -EINVAL, -ERANGE; *poisoned says whether it was. */
int core_patch(struct bpf_insn *insn, u32 left, const struct core_result *res, bool *poisoned);

#endif
