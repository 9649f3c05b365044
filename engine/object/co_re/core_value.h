/*
 * core_value.h - the constant that a way stands for
 */
#ifndef UBPFFS_OBJECT_CO_RE_CORE_VALUE_H
#define UBPFFS_OBJECT_CO_RE_CORE_VALUE_H

#include "object/co_re/core.h"

struct core_value {
	u64 val;
	u32 size, type; /* of the memory that the offset is for; 0: no matter */
	bool fixed; /* the compiler must have seen the same: compared before the change */
};
/* 0, 1 (no value: poison), -errno. spec NULL: there is no such thing. */
int core_value(const struct core_spec *spec, u32 kind, struct core_value *v);

#endif
