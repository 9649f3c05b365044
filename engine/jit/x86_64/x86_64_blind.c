/*
 * x86_64_blind.c - constants of strict programs
 *
 * Whoever writes a program chooses its constants, and so, where they stand in native code, bytes
 * that a jump into their middle would run. Those of strict programs are made of two numbers, one of
 * which is random, in the register that the operation needs, or else in r11: mov, xor. Numbers
 * from 0 to 8 stay as they are (as instructions they add and or bytes), and so do the counts of
 * shifts. Displacements have 16 bits (JIT_DISP_BLIND), as an instruction's own have.
 */
#ifdef __x86_64__

#include "jit/x86_64/x86_64_asm.h"

#define HARMLESS_MAX 8

bool x86_is_blinded(const struct jit_code *c, s64 v)
{
	return c->blind && (u64)v > HARMLESS_MAX;
}

/* splitmix64; emit() begins it with a number of the system's. */
static u64 next_random(struct jit_code *c)
{
	u64 z = c->random += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

void x86_const(struct jit_code *c, u8 dst, u64 v)
{
	u64 random;

	if (!x86_is_blinded(c, (s64)v)) {
		x_const(c, dst, v);
		return;
	}
	random = next_random(c);
	if (v == (u32)v) {
		x_head(c, 0, 0xb8 | (dst & 7), 0, 0, dst);
		x_put4(c, v ^ random);
		x_rr(c, 0, 0x81, 6, dst);
		x_put4(c, random);
	} else if (is_simm32((s64)v)) {
		x_rr(c, X_W, 0xc7, 0, dst);
		x_put4(c, v ^ random);
		x_rr(c, X_W, 0x81, 6, dst);
		x_put4(c, random);
	} else {
		x_head(c, X_W, 0xb8 | (dst & 7), 0, 0, dst);
		x_put8(c, v ^ random);
		x_head(c, X_W, 0xb8 | (R11 & 7), 0, 0, R11);
		x_put8(c, random);
		x_rr(c, X_W, 0x31, R11, dst);
	}
}

#endif
