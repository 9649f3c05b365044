/*
 * step.h - addresses that walk through a loop
 */
#ifndef UBPFFS_JIT_PASSES_STEP_H
#define UBPFFS_JIT_PASSES_STEP_H

#include "jit/ir/ir.h"

/*
 * After all others, for emitters that know steps. live_out then knows nothing of the new registers.
 * 0 or -ENOMEM.
 */
int jit_step_addresses(struct jit_ir *ir, u16 spare,
		       u16 (*scratch)(const struct jit_ir *ir, u32 i));

#endif
