/*
 * observer.h - who wants to see the walk: tests, which compare what is claimed with what happens
 *
 * A path is a line of nodes, one an instruction; cur_state->node names the one before, 0 where a
 * walk begins. A checkpoint's node is that of the instruction that it stands at.
 */
#ifndef UBPFFS_VERIFIER_OBSERVER_H
#define UBPFFS_VERIFIER_OBSERVER_H

#include "verifier/history/compare.h"
#include "verifier/state/env.h"

struct bpf_verifier_observer {
	/* cur_state is about to go through env->insn_idx: the number of this node, not 0. */
	u32 (*enter)(struct bpf_verifier_observer *obs, const struct bpf_verifier_env *env);
	/* The path ends before env->insn_idx: `old` covers it. */
	void (*prune)(struct bpf_verifier_observer *obs, const struct bpf_verifier_env *env,
		      const struct bpf_verifier_state *old, enum exact_level exact);
};
extern __thread struct bpf_verifier_observer
	*bpf_verifier_observer; /* of this thread's checks, or NULL */

#endif
