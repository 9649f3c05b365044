/*
 * rmw.h - memory that is read, changed and written
 */
#ifndef UBPFFS_JIT_PASSES_RMW_H
#define UBPFFS_JIT_PASSES_RMW_H

#include "jit/ir/ir.h"

/* Before jit_combine(). 0 or -ENOMEM. */
int jit_fuse_rmw(struct jit_ir *ir);

#endif
