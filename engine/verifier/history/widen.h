/*
 * widen.h - numbers that differ from one turn of a loop to the next become unknown
 */
#ifndef UBPFFS_VERIFIER_WIDEN_H
#define UBPFFS_VERIFIER_WIDEN_H

#include "util/types.h"

struct bpf_verifier_env;
struct bpf_verifier_state;

/*
 * In `cur`, what is not as it was in `old`, which stands at the same instruction with the same
 * calls. What decided something is left alone, unless `also_precise`.
 */
void widen_scalars(struct bpf_verifier_env *env, const struct bpf_verifier_state *old,
		   struct bpf_verifier_state *cur, bool also_precise);

#endif
