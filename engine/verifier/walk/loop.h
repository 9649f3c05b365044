/*
 * loop.h - loops that end because nothing new happens in them
 */
#ifndef UBPFFS_VERIFIER_LOOP_H
#define UBPFFS_VERIFIER_LOOP_H

#include "util/types.h"

struct bpf_verifier_env;
struct bpf_verifier_state;

bool incomplete_marks(const struct bpf_verifier_env *env, const struct bpf_verifier_state *st);
int close_loop(struct bpf_verifier_env *env, struct bpf_verifier_state *old);
int update_branch_counts(struct bpf_verifier_env *env, struct bpf_verifier_state *st);
void free_loops(struct bpf_verifier_env *env);

#endif
