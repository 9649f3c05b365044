/*
 * combine.h - operations that one instruction of the machine does
 */
#ifndef UBPFFS_JIT_PASSES_COMBINE_H
#define UBPFFS_JIT_PASSES_COMBINE_H

#include "jit/ir/ir.h"

/*
 * After jit_ir_build(), for machines whose addresses are like struct jit_addr. 0 or
 * -ENOMEM.
 */
int jit_combine(struct jit_ir *ir);

#endif
