/*
 * divmod.h - quotient and remainder by one division
 */
#ifndef UBPFFS_JIT_PASSES_DIVMOD_H
#define UBPFFS_JIT_PASSES_DIVMOD_H

#include "jit/ir/ir.h"

/* After jit_thread_jumps(). 0 or -ENOMEM. */
int jit_fuse_divisions(struct jit_ir *ir);

#endif
