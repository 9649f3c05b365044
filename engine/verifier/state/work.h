/*
 * work.h - how much work a check may be (work.c says what a unit is)
 */
#ifndef UBPFFS_VERIFIER_WORK_H
#define UBPFFS_VERIFIER_WORK_H

#include "verifier/state/env.h"

#define BPF_COMPLEXITY_LIMIT_WORK 128000000ULL /* units */

int check_work_slow(struct bpf_verifier_env *env);

static inline void charge(struct bpf_verifier_env *env, u64 units)
{
	env->work += units;
}

/* 0: go on; -E2BIG: it was too much; -EINTR: cancelled. */
static inline int check_work(struct bpf_verifier_env *env)
{
	return likely(env->work < env->work_next) ? 0 : check_work_slow(env);
}

#endif
