/*
 * fold.h - addresses that several accesses share
 */
#ifndef UBPFFS_JIT_PASSES_FOLD_H
#define UBPFFS_JIT_PASSES_FOLD_H

#include "jit/ir/ir.h"

/* After jit_combine(). 0 or -ENOMEM. */
int jit_fold_addresses(struct jit_ir *ir);

#endif
