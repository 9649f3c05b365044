/*
 * widen.c - see widen.h
 */
#include "verifier/domain/bounds.h"
#include "verifier/history/compare.h"
#include "verifier/history/widen.h"
#include "verifier/state/env.h"
#include "verifier/state/work.h"

/* As for Linux, a pointer that was found to be NULL is not the same zero as any other. */
static bool same_scalar(struct bpf_verifier_env *env, const struct bpf_reg_state *old,
			const struct bpf_reg_state *cur)
{
	return old->map_ptr == cur->map_ptr && old->map_uid == cur->map_uid &&
	       regs_exact(env, old, cur);
}

static void widen_reg(struct bpf_verifier_env *env, const struct bpf_reg_state *old,
		      struct bpf_reg_state *cur, bool also_precise)
{
	if (old->type != SCALAR_VALUE || cur->type != SCALAR_VALUE ||
	    ((old->precise || cur->precise) && !also_precise) || same_scalar(env, old, cur))
		return;
	__mark_reg_unknown(cur);
}

static void widen_frame(struct bpf_verifier_env *env, const struct bpf_func_state *old,
			struct bpf_func_state *cur, bool also_precise)
{
	for (u32 i = 0; i < MAX_BPF_REG; i++)
		widen_reg(env, &old->regs[i], &cur->regs[i], also_precise);
	for (u32 i = 0; i < min(old->nslots, cur->nslots); i++)
		if (is_spilled_reg(&old->stack[i]) && is_spilled_reg(&cur->stack[i]))
			widen_reg(env, &old->stack[i].spilled_ptr, &cur->stack[i].spilled_ptr,
				  also_precise);
}

void widen_scalars(struct bpf_verifier_env *env, const struct bpf_verifier_state *old,
		   struct bpf_verifier_state *cur, bool also_precise)
{
	begin_compare(env);
	charge(env, state_units(cur));
	for (int f = (int)cur->curframe; f >= 0; f--)
		widen_frame(env, old->frame[f], cur->frame[f], also_precise);
}
