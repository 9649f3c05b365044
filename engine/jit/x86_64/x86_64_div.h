/*
 * x86_64_div.h - divisions
 */
#ifndef UBPFFS_JIT_X86_64_X86_64_DIV_H
#define UBPFFS_JIT_X86_64_X86_64_DIV_H

#include "jit/x86_64/x86_64_asm.h"

void x86_div(struct jit_code *c, u32 i);
void x86_divmod(struct jit_code *c, u32 i); /* passes/divmod.c */

#endif
