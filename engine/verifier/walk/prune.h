/*
 * prune.h - is this state covered by one that was proved safe here?
 */
#ifndef UBPFFS_VERIFIER_PRUNE_H
#define UBPFFS_VERIFIER_PRUNE_H

struct bpf_verifier_env;

/* 1: a state that covers the current one was proved safe here; 0: go on; or -errno. */
int is_state_visited(struct bpf_verifier_env *env, int insn_idx);
void free_checkpoints(struct bpf_verifier_env *env);

#endif
