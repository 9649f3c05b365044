/*
 * print.h - the trace of the walk, and the texts of what it knows
 */
#ifndef UBPFFS_VERIFIER_PRINT_H
#define UBPFFS_VERIFIER_PRINT_H

#include "verifier/state/env.h"

/* A line of the trace. Callers look at log_level first. */
void vtrace(struct bpf_verifier_env *env, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void verbose_insn(struct bpf_verifier_env *env, int idx);
void verbose_linfo(struct bpf_verifier_env *env, int idx, const char *prefix);
void print_verifier_state(struct bpf_verifier_env *env, const struct bpf_verifier_state *st,
			  u32 frameno, bool print_all);
void print_insn_state(struct bpf_verifier_env *env, const struct bpf_verifier_state *st,
		      u32 frameno);
void print_live_regs(struct bpf_verifier_env *env);
void print_verification_stats(struct bpf_verifier_env *env);
const char *func_id_name(int id);
const char *tnum_text(struct tnum t);
const char *dynptr_type_str(enum bpf_dynptr_type type);
const char *range_text(const struct bpf_reg_state *reg);

static inline void mark_reg_scratched(struct bpf_verifier_env *env, u32 regno)
{
	env->scratched_regs |= 1u << regno;
}

static inline void mark_stack_slot_scratched(struct bpf_verifier_env *env, u32 spi)
{
	env->scratched_slots |= 1ULL << spi;
}

static inline void mark_verifier_state_scratched(struct bpf_verifier_env *env)
{
	env->scratched_regs = ~0u;
	env->scratched_slots = ~0ULL;
}

#endif
