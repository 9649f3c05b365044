/*
 * pass.c - which passes are used: all of them, but for tests
 */
#include "jit/ir/pass.h"

static u32 passes_used = JIT_PASS_ALL;

void jit_use_passes(u32 passes)
{
	__atomic_store_n(&passes_used, passes, __ATOMIC_RELAXED);
}

bool jit_pass_used(u32 pass)
{
	return __atomic_load_n(&passes_used, __ATOMIC_RELAXED) & pass;
}
