/*
 * pass.h - which passes are used
 */
#ifndef UBPFFS_JIT_IR_PASS_H
#define UBPFFS_JIT_IR_PASS_H

#include "util/types.h"

/*
 * Passes over the program that only make it faster, one bit each. For tests: which of them are
 * used, so that a difference can be traced to one.
 */
enum {
	JIT_PASS_COMBINE = 1, /* combine.c */
	JIT_PASS_RMW = 2, /* rmw.c */
	JIT_PASS_PAIRS = 4, /* the end of a loop lies in one line of code (x86_64_link.c) */
	JIT_PASS_FRAMES = 8, /* functions that need no frame have none (x86_64.c) */
	JIT_PASS_THREAD = 16, /* thread.c */
	JIT_PASS_DEAD = 32, /* jit_drop_dead() */
	JIT_PASS_PROMOTE = 64, /* promote.c */
	JIT_PASS_FOLD = 128, /* fold.c */
	JIT_PASS_STEP = 256, /* step.c */
	JIT_PASS_DIVMOD = 512, /* divmod.c */
	JIT_PASS_ALL = 0xffff,
};

void jit_use_passes(u32 passes);
bool jit_pass_used(u32 pass);

#endif
