/*
 * core_types.h - where CO-RE finds types: those of this engine, and the kernel's
 */
#ifndef UBPFFS_OBJECT_CO_RE_CORE_TYPES_H
#define UBPFFS_OBJECT_CO_RE_CORE_TYPES_H

#include <bpf/btf.h>
#include "util/types.h"

/* Types that can be found by name; they are never freed. */
struct core_types {
	const char *where; /* in messages */
	struct btf *btf;
	u32 *head, *next; /* of chains of type ids, by hash of the essential name */
	u32 mask;
};
int core_own_types(const struct core_types **out);
/* -ENOENT: this machine has none. */
int core_kernel_types(const struct core_types **out);
/* The next type after `prev` (0: the first) whose essential name this is; 0: none. */
u32 core_types_find(const struct core_types *types, const char *name, size_t len, u32 prev);

#endif
