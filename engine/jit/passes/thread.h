/*
 * thread.h - jumps to jumps
 */
#ifndef UBPFFS_JIT_PASSES_THREAD_H
#define UBPFFS_JIT_PASSES_THREAD_H

#include "jit/ir/ir.h"

/* First of all passes. 0 or -ENOMEM. */
int jit_thread_jumps(struct jit_ir *ir);

#endif
