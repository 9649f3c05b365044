/*
 * common_types.h - types of the same bytes are one object again at a start
 *
 * The maps and programs of one load had one object of types; each has kept a copy, and they share
 * one again. Those of two owners stay two. Any thread, until they are forgotten, when all is read
 * back.
 */
#ifndef UBPFFS_FS_STORE_NAMES_COMMON_TYPES_H
#define UBPFFS_FS_STORE_NAMES_COMMON_TYPES_H

#include <sys/types.h>
#include "btf/btf.h"

/* A reference in *out; bpf_btf_new()'s errors. */
int common_types_get(uid_t owner, const void *data, u32 size, struct bpf_btf **out);
void common_types_forget(void);

#endif
