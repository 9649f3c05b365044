/*
 * model.h - what one instruction does, written down a second time
 *
 * A direct transcription of RFC 9669 for the instructions that compute, compare, and touch memory,
 * independent of the interpreter and of the JIT, so that both can be held against it.
 */
#ifndef UBPFFS_TESTS_MODEL_H
#define UBPFFS_TESTS_MODEL_H

#include "insn/insn.h"

struct model {
	u64 r[11];
	bool taken; /* out: a conditional jump's decision */
};

/* 0; -EINVAL for what it does not cover (calls, packet loads, LD_IMM64's map classes). */
int model_step(struct model *m, const struct bpf_insn *insn);

/* Numbers at which operations change their behaviour. */
extern const u64 model_edges[];
extern const u32 model_edge_cnt;

#endif
