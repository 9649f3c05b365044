/*
 * claims.h - what the verifier said of each place of a program, against what happens there
 *
 *	claims_begin(&c);		the verifier's walk, as it goes, on this thread
 *	err = bpf_check(...);
 *	claims_end(&c);
 *	shadow.claims = &c;		each run is compared, instruction by instruction
 *	err = shadow_run(&shadow);	-EFAULT: shadow.fault says which claim is wrong
 *
 * The walk is a tree of nodes, one for each instruction of each path: the state before it, and for
 * a path that was pruned the node that covers it. A run must be able to follow the tree: at every
 * instruction there must be a child of the node before that stands at this instruction and in
 * which
 *  - each register and each spilled one is of the kind that is claimed: a number within all bounds
 *    and the tnum, or a pointer to the claimed place of the claimed object, not NULL unless it may
 *    be;
 *  - those with one id are equal (or differ by their constants);
 *  - bytes that are claimed to be zeros are, and what is claimed to be written was.
 *
 * Where a path was pruned, what did not matter below the state that covers it may differ
 * (prune.c): dead registers, slots that are not read, scalars that are not precise. From there on
 * these are followed through the run: nothing is asked of them nor of what is computed from them,
 * but no pointer and no decided branch may depend on them, and what is dead may not be read. That
 * is how a missing mark is found.
 *
 * Global functions are not followed. One thread.
 */
#ifndef UBPFFS_TESTS_CLAIMS_H
#define UBPFFS_TESTS_CLAIMS_H

#include "verifier/walk/observer.h"

struct run;
struct claims_node;

struct claims {
	struct bpf_verifier_observer observer;
	const struct bpf_insn *insns;
	struct claims_node *nodes; /* from 1 on */
	u32 cnt;
	u8 *arena;
	size_t used;
	bool overflow; /* too many: nothing is said */
};

void claims_init(struct claims *c);
void claims_free(struct claims *c);

void claims_begin(struct claims *c);
void claims_end(struct claims *c);

/* ---- for shadow.c */
#define CLAIMS_CANDIDATES 16

/* What a pruned path left behind, a bit a register or slot, by frame. */
struct claims_loose {
	u16 regs[MAX_CALL_FRAMES], dead_regs[MAX_CALL_FRAMES];
	u64 slots[MAX_CALL_FRAMES], dead_slots[MAX_CALL_FRAMES];
};

struct claims_run {
	const struct claims *claims;
	struct {
		u32 node;
		struct claims_loose loose;
	} at[CLAIMS_CANDIDATES]; /* the nodes that the run may be at */
	u32 cnt;
	bool started, zero_stack;
	/* What the last load or store went over: bytes of a frame's stack. */
	struct {
		u32 frame, first, size; /* size 0: none */
	} touched;
};

/* Before the instruction at run->pc: 0, or -EFAULT. */
int claims_check(struct run *run);

#endif
