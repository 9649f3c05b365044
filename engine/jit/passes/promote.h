/*
 * promote.h - stack slots in registers
 */
#ifndef UBPFFS_JIT_PASSES_PROMOTE_H
#define UBPFFS_JIT_PASSES_PROMOTE_H

#include "jit/ir/ir.h"

/* Needs live_out, and makes it anew. 0 or -ENOMEM. */
int jit_promote_slots(struct jit_ir *ir, u16 spare, u16 (*scratch)(const struct jit_ir *ir, u32 i));

#endif
