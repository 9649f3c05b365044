/*
 * precise.h - which scalars had to be known exactly
 */
#ifndef UBPFFS_VERIFIER_PRECISE_H
#define UBPFFS_VERIFIER_PRECISE_H

struct bpf_verifier_env;
struct bpf_verifier_state;

int mark_chain_precision(struct bpf_verifier_env *env, int regno);
int mark_chain_precision_batch(struct bpf_verifier_env *env, struct bpf_verifier_state *start);
void mark_all_scalars_imprecise(struct bpf_verifier_state *st);
/* st, if it is a checkpoint, and all its ancestors. */
void mark_all_scalars_precise(struct bpf_verifier_env *env, struct bpf_verifier_state *st);
void begin_part(struct bpf_verifier_env *env); /* of a path: at a checkpoint, or another branch */
void free_memo(struct bpf_verifier_env *env);

#endif
