/*
 * progen.h - random programs: most of them right, some of them nearly
 *
 * A generated program is a sched_cls program over three maps (an array of PROGEN_ARRAY values of 64 bytes, a
 * hash of PROGEN_HASH values of 8, an array like the first with a lock at PROGEN_LOCK in its values) and a packet of at least PROGEN_PACKET bytes. The same seed gives
 * the same program. Three kinds:
 *   SAFE     built so that a verifier should accept it; R0 mixes all registers at the end
 *   RISKY    accesses memory at offsets that only range analysis can bound, in or out of bounds
 *   MUTATED  a SAFE one with some fields changed
 *   MIXED    holds records of a ring (map 3), locks and dynptrs while callbacks and functions run; often a
 *            verifier must refuse it
 */
#ifndef UBPFFS_TESTS_PROGEN_H
#define UBPFFS_TESTS_PROGEN_H

#include "core/insn.h"

#define PROGEN_MAX    2048
#define PROGEN_PACKET 64
#define PROGEN_ARRAY  4
#define PROGEN_HASH   8
#define PROGEN_LOCK   24

enum progen_kind { PROGEN_SAFE, PROGEN_RISKY, PROGEN_MUTATED, PROGEN_MIXED };

struct progen {
	u64 seed;
	struct bpf_insn insns[PROGEN_MAX];
	u32 cnt;
};

void progen_make(struct progen *g, enum progen_kind kind, u64 seed);

/* Change some fields of cnt instructions, as MUTATED does. */
void progen_mutate(struct bpf_insn *insns, u32 cnt, u64 seed);

/* A good 64-bit generator: *state is any number but 0. */
u64 progen_random(u64 *state);

#endif
