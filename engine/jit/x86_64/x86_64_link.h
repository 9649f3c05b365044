/*
 * x86_64_link.h - sizes of jumps, and addresses
 */
#ifndef UBPFFS_JIT_X86_64_X86_64_LINK_H
#define UBPFFS_JIT_X86_64_X86_64_LINK_H

#include "jit/x86_64/x86_64_asm.h"

/* After all code was emitted: the size of everything. -ENOMEM. */
int x86_layout(struct jit_code *c);
/* The code for one address, as struct jit_arch has it. */
int x86_link(const struct jit_code *c, u64 addr, u8 *buf, u32 *offs);

#endif
