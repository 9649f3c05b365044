/*
 * core_match.h - a way into a type, found again in another BTF
 */
#ifndef UBPFFS_OBJECT_CO_RE_CORE_MATCH_H
#define UBPFFS_OBJECT_CO_RE_CORE_MATCH_H

#include "object/co_re/core.h"

/*
 * 1 and *targ (the way in the target), 0 (it is not there), -errno. `cand` is named alike.
 */
int core_spec_match(const struct core_spec *local, const struct btf *btf, u32 cand,
		    struct core_spec *targ);
bool core_kinds_agree(const struct btf_type *a, const struct btf_type *b);

#endif
