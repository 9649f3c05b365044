/*
 * progen.h - random programs: most of them right, some of them nearly
 *
 * A generated program is a sched_cls program over three maps (an array of PROGEN_ARRAY values of 64
 * bytes, a hash of PROGEN_HASH values of 8, an array like the first with a lock at PROGEN_LOCK in
 * its values) and a packet of at least PROGEN_PACKET bytes. The same seed gives the same program.
 * Five kinds:
 *   SAFE     built so that a verifier should accept it; R0 mixes all registers at the end
 *   RISKY    accesses memory at offsets that only range analysis can bound, in or out of bounds
 *   MUTATED  a SAFE one with some fields changed
 *   AIMED    numbers in registers and on the stack, in every way that a verifier follows
 *            (progen_aim.c); it has more maps
 *   MIXED    holds records of a ring (map 3), locks and dynptrs while callbacks and functions run;
 *            often a verifier must refuse it
 */
#ifndef UBPFFS_TESTS_PROGEN_H
#define UBPFFS_TESTS_PROGEN_H

#include "insn/insn.h"

#define PROGEN_MAX    2048
#define PROGEN_PACKET 64
#define PROGEN_ARRAY  4
#define PROGEN_HASH   8
#define PROGEN_LOCK   24

enum progen_kind { PROGEN_SAFE, PROGEN_RISKY, PROGEN_MUTATED, PROGEN_MIXED, PROGEN_AIMED };

/* The further maps of AIMED programs. */
enum {
	PROGEN_AIM_VALUE = 4, /* an array of one value of 64 bytes */
	PROGEN_AIM_RODATA, /* the same, which nobody writes any more */
	PROGEN_AIM_PERCPU, /* a percpu_array of 4 values of 8 bytes */
	PROGEN_AIM_OUTER, /* maps of maps, in each slot one of values of 8 bytes */
	PROGEN_AIM_OUTERS = 4, /* so many of them */
	PROGEN_AIM_SLOTS = 4,
};

struct progen {
	u64 seed;
	struct bpf_insn insns[PROGEN_MAX];
	u32 cnt;
};

void progen_make(struct progen *g, enum progen_kind kind, u64 seed);

/* What an AIMED program of this seed likes to read: the bytes of a packet, or a value. */
void progen_aim_inputs(u64 seed, u32 run, u8 *bytes, u32 len);

/* Change some fields of cnt instructions, as MUTATED does. */
void progen_mutate(struct bpf_insn *insns, u32 cnt, u64 seed);

/* A good 64-bit generator: *state is any number but 0. */
u64 progen_random(u64 *state);

#endif
