/*
 * compare.h - is a state covered by another?
 */
#ifndef UBPFFS_VERIFIER_COMPARE_H
#define UBPFFS_VERIFIER_COMPARE_H

#include "util/types.h"

struct bpf_verifier_env;
struct bpf_verifier_state;
struct bpf_reg_state;

/* How much the states that are compared must agree. */
enum exact_level {
	NOT_EXACT, /* in what mattered below the old one, which is known in full */
	EXACT, /* in everything */
	RANGE_WITHIN, /* in everything, but that a value's range may be part of the old one's */
};

/* Does `old` cover `cur`? */
bool states_equal(struct bpf_verifier_env *env, const struct bpf_verifier_state *old,
		  const struct bpf_verifier_state *cur, enum exact_level exact);
/* A quick look: could `cur` be `old` again? */
bool states_maybe_looping(const struct bpf_verifier_state *old,
			  const struct bpf_verifier_state *cur);
bool same_callsites(const struct bpf_verifier_state *a, const struct bpf_verifier_state *b);
/* The same register under another number; env->idmap relates the ids. */
bool regs_exact(struct bpf_verifier_env *env, const struct bpf_reg_state *old,
		const struct bpf_reg_state *cur);
void begin_compare(struct bpf_verifier_env *env); /* before any of them: no ids are related */

#endif
