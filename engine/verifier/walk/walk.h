/*
 * walk.h - all paths, instruction by instruction
 */
#ifndef UBPFFS_VERIFIER_WALK_H
#define UBPFFS_VERIFIER_WALK_H

struct bpf_verifier_env;
struct bpf_func_state;

/* Walk from env->insn_idx with this first frame, which is taken over. */
int check_from(struct bpf_verifier_env *env, struct bpf_func_state *func);

#endif
