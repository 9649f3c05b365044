/*
 * jitgen.h - random programs for the two engines, native code and interpreter
 *
 * They are safe by construction, without the verifier: R9 points to a buffer that they may use from
 * end to end, all 512 bytes of stack are written first, and R0 to R8 hold numbers, never an address
 * of the stack (the engines have different stacks). At its end each function folds its registers
 * and its stack into R0. Some patterns that compilers emit often are made on purpose, since an
 * emitter fuses them.
 */
#ifndef UBPFFS_TESTS_JITGEN_H
#define UBPFFS_TESTS_JITGEN_H

#include "util/types.h"

#define JITGEN_BUF_SIZE 256

struct bpf_insn;

struct jitgen {
	struct bpf_insn *prog; /* the caller may change it */
	const bool *needed; /* by instruction: without it the program has no defined meaning */
	u32 cnt;
};

/* The program of this seed, until the next call. One thread. */
void jitgen_make(struct jitgen *gen, u64 seed);
/* The buffer's JITGEN_BUF_SIZE bytes that belong to a seed. */
void jitgen_fill(u8 *buf, u64 seed);

#endif
