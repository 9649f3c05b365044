/*
 * reference.h - what a program was given and must give back
 */
#ifndef UBPFFS_VERIFIER_REFERENCE_H
#define UBPFFS_VERIFIER_REFERENCE_H

#include "verifier/state/env.h"

int acquire_reference(struct bpf_verifier_env *env, int insn_idx); /* its id, or -E2BIG */
bool forget_reference(struct bpf_verifier_state *st, u32 id);
int release_reference(struct bpf_verifier_env *env, u32 id);
int check_resource_leak(struct bpf_verifier_env *env, const char *what);

/* The lock among them that is held, or NULL. */
struct bpf_reference_state *active_lock(struct bpf_verifier_state *st);
int check_no_lock(struct bpf_verifier_env *env, const char *what); /* -EINVAL: one is held */

#endif
