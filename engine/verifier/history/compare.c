/*
 * compare.c - is a state covered by another?
 *
 * A state covers another if every execution that the other allows is allowed by it: each live
 * register and each stack slot that is still read is of the same kind and at least as general.
 * Scalars whose value decided nothing (precise.c) may differ. Identities (ids) must correspond one
 * to one.
 */
#include "verifier/domain/bounds.h"
#include "verifier/history/compare.h"
#include "verifier/state/work.h"

void begin_compare(struct bpf_verifier_env *env)
{
	env->idmap_cnt = 0;
	env->tmp_id_gen = env->id_gen;
}

/* Old and new ids must correspond, both ways. */
static bool check_ids(struct bpf_verifier_env *env, u32 old_id, u32 cur_id)
{
	if (!!old_id != !!cur_id)
		return false;
	if (!old_id)
		return true;
	for (u32 i = 0; i < env->idmap_cnt; i++) {
		if (env->idmap[i].old == old_id)
			return env->idmap[i].cur == cur_id;
		if (env->idmap[i].cur == cur_id)
			return false;
	}
	if (env->idmap_cnt == ARRAY_SIZE(env->idmap))
		return false;
	env->idmap[env->idmap_cnt++] = (struct bpf_id_pair){old_id, cur_id};
	return true;
}

/* A scalar without an id is alone with its value: as if it had an id that nobody else has. */
static bool check_scalar_ids(struct bpf_verifier_env *env, u32 old_id, u32 cur_id)
{
	old_id = old_id ? BPF_REG_ID(old_id) : ++env->tmp_id_gen;
	cur_id = cur_id ? BPF_REG_ID(cur_id) : ++env->tmp_id_gen;
	return check_ids(env, old_id, cur_id);
}

static bool range_within(const struct bpf_reg_state *old, const struct bpf_reg_state *cur)
{
	return old->umin_value <= cur->umin_value && old->umax_value >= cur->umax_value &&
	       old->smin_value <= cur->smin_value && old->smax_value >= cur->smax_value &&
	       old->u32_min_value <= cur->u32_min_value &&
	       old->u32_max_value >= cur->u32_max_value &&
	       old->s32_min_value <= cur->s32_min_value && old->s32_max_value >= cur->s32_max_value;
}

static bool values_within(const struct bpf_reg_state *old, const struct bpf_reg_state *cur)
{
	return range_within(old, cur) && tnum_in(old->var_off, cur->var_off);
}

/* What makes pointers of a kind the same object. */
static bool same_object(const struct bpf_reg_state *old, const struct bpf_reg_state *cur)
{
	switch (base_type(old->type)) {
	case CONST_PTR_TO_MAP:
	case PTR_TO_MAP_VALUE:
	case PTR_TO_MAP_KEY:
		return old->map_ptr == cur->map_ptr && old->map_uid == cur->map_uid;
	case PTR_TO_MEM:
		return old->mem_size == cur->mem_size && old->dynptr_id == cur->dynptr_id;
	case PTR_TO_PACKET:
	case PTR_TO_PACKET_META:
		return old->range == cur->range;
	case PTR_TO_STACK:
		return old->frameno == cur->frameno;
	case CONST_PTR_TO_DYNPTR:
		return old->dynptr.type == cur->dynptr.type;
	case PTR_TO_FUNC:
		return old->subprogno == cur->subprogno;
	default:
		return true;
	}
}

static bool same_values(const struct bpf_reg_state *old, const struct bpf_reg_state *cur)
{
	return values_within(old, cur) && values_within(cur, old);
}

bool regs_exact(struct bpf_verifier_env *env, const struct bpf_reg_state *old,
		const struct bpf_reg_state *cur)
{
	if (old->type != cur->type)
		return false;
	if (old->type == NOT_INIT)
		return true;
	if (cur->believed && !old->believed && env->strict)
		return false;
	return old->off == cur->off && same_object(old, cur) && same_values(old, cur) &&
	       check_ids(env, old->id, cur->id) && check_ids(env, old->ref_obj_id, cur->ref_obj_id);
}

static bool regsafe(struct bpf_verifier_env *env, const struct bpf_reg_state *old,
		    const struct bpf_reg_state *cur, enum exact_level exact)
{
	if (exact == EXACT)
		return regs_exact(env, old, cur);
	if (old->type == NOT_INIT && exact == NOT_EXACT)
		return true;
	if (old->type != cur->type)
		return false;
	switch (base_type(old->type)) {
	case NOT_INIT:
		return true;
	case SCALAR_VALUE:
		if (!old->precise && exact == NOT_EXACT)
			return true;
		if ((old->id ^ cur->id) & (BPF_ADD_CONST | BPF_ADD_CONST32))
			return false;
		if (old->id & BPF_ADD_CONST && old->off != cur->off)
			return false;
		if (cur->believed && !old->believed && env->strict)
			return false; /* no barrier was asked for */
		return values_within(old, cur) && check_scalar_ids(env, old->id, cur->id);
	case PTR_TO_MAP_VALUE:
	case PTR_TO_MAP_KEY:
	case PTR_TO_MEM:
		return old->off == cur->off && same_object(old, cur) && values_within(old, cur) &&
		       check_ids(env, old->id, cur->id) &&
		       check_ids(env, old->ref_obj_id, cur->ref_obj_id);
	case PTR_TO_PACKET:
	case PTR_TO_PACKET_META:
		/* A longer proven range is fine. AT_PKT_END and its like decide branches. */
		if (old->range > cur->range || (old->range < 0 && old->range != cur->range))
			return false;
		return old->off == cur->off && check_ids(env, old->id, cur->id) &&
		       values_within(old, cur);
	default:
		return regs_exact(env, old, cur);
	}
}

static const struct bpf_reg_state *unbound_reg(void)
{
	static __thread struct bpf_reg_state reg;

	if (reg.type != SCALAR_VALUE)
		__mark_reg_unknown(&reg);
	reg.precise = false;
	return &reg;
}

/* What a strict program did not write it may not read, so there it is not the same. */
static bool is_stack_all_misc(const struct bpf_verifier_env *env,
			      const struct bpf_stack_state *slot)
{
	for (u32 i = 0; i < 8; i++)
		if (slot->slot_type[i] != STACK_MISC &&
		    (slot->slot_type[i] != STACK_INVALID || env->strict))
			return false;
	return true;
}

/* What a load of the whole slot would give, if that is a scalar. */
static const struct bpf_reg_state *scalar_reg_for_stack(const struct bpf_verifier_env *env,
							const struct bpf_stack_state *slot)
{
	if (is_spilled_scalar_reg64(slot))
		return &slot->spilled_ptr;
	return is_stack_all_misc(env, slot) ? unbound_reg() : NULL;
}

/*
 * Both halves are compared; which dynptr it is shows in its slices (same_object()) and its
 * reference.
 */
static bool dynptrs_equal(struct bpf_verifier_env *env, const struct bpf_stack_state *old,
			  const struct bpf_stack_state *cur)
{
	const struct bpf_reg_state *o = &old->spilled_ptr, *c = &cur->spilled_ptr;

	return o->dynptr.type == c->dynptr.type && o->dynptr.first_slot == c->dynptr.first_slot &&
	       check_ids(env, o->ref_obj_id, c->ref_obj_id);
}

static bool slot_exact(struct bpf_verifier_env *env, const struct bpf_stack_state *old,
		       const struct bpf_stack_state *cur)
{
	if (memcmp(old->slot_type, cur->slot_type, 8))
		return false;
	if (is_dynptr_slot(old))
		return dynptrs_equal(env, old, cur);
	return !is_spilled_reg(old) || regs_exact(env, &old->spilled_ptr, &cur->spilled_ptr);
}

/* The same kinds of bytes, and what is spilled within the old one's ranges. */
static bool slot_within(struct bpf_verifier_env *env, const struct bpf_stack_state *old,
			const struct bpf_stack_state *cur)
{
	if (memcmp(old->slot_type, cur->slot_type, 8))
		return false;
	if (is_dynptr_slot(old))
		return dynptrs_equal(env, old, cur);
	return !is_spilled_reg(old) ||
	       regsafe(env, &old->spilled_ptr, &cur->spilled_ptr, RANGE_WITHIN);
}

static bool slot_safe(struct bpf_verifier_env *env, const struct bpf_stack_state *old,
		      const struct bpf_stack_state *cur)
{
	const struct bpf_reg_state *old_reg, *cur_reg;

	if (is_slot_unused(old))
		return true;
	old_reg = scalar_reg_for_stack(env, old);
	cur_reg = scalar_reg_for_stack(env, cur);
	/*
	 * What was written on the way that proved safe need not be on this one: then it reads
	 * zeros.
	 */
	for (u32 i = 0; i < 8; i++)
		if (cur->slot_type[i] == STACK_INVALID && old->slot_type[i] != STACK_INVALID)
			env->out->zero_stack = true;
	if (is_stack_all_misc(env, old) && !env->strict)
		old_reg = NULL; /* uninitialised and unknown bytes: everything is covered */
	if (old_reg && cur_reg)
		return regsafe(env, old_reg, cur_reg, NOT_EXACT);
	for (u32 i = 0; i < 8; i++) {
		u8 o = old->slot_type[i], c = cur->slot_type[i];

		if (o == STACK_INVALID || (o == STACK_MISC && (!env->strict || c == STACK_ZERO)))
			continue;
		if (o != c)
			return false;
	}
	if (is_dynptr_slot(old))
		return dynptrs_equal(env, old, cur);
	return !is_spilled_reg(old) ||
	       regsafe(env, &old->spilled_ptr, &cur->spilled_ptr, NOT_EXACT);
}

static bool stacksafe(struct bpf_verifier_env *env, const struct bpf_func_state *old,
		      const struct bpf_func_state *cur, enum exact_level exact)
{
	static bool (*const safe[])(struct bpf_verifier_env * env,
				    const struct bpf_stack_state *old,
				    const struct bpf_stack_state *cur) = {
		[NOT_EXACT] = slot_safe,
		[EXACT] = slot_exact,
		[RANGE_WITHIN] = slot_within,
	};
	static const struct bpf_stack_state none;

	for (u32 i = 0; i < old->nslots; i++) {
		const struct bpf_stack_state *o = &old->stack[i];
		const struct bpf_stack_state *c = i < cur->nslots ? &cur->stack[i] : &none;

		charge(env, 1);
		if (!safe[exact](env, o, c))
			return false;
	}
	return true;
}

bool same_callsites(const struct bpf_verifier_state *a, const struct bpf_verifier_state *b)
{
	if (a->curframe != b->curframe)
		return false;
	for (u32 f = 0; f <= a->curframe; f++)
		if (a->frame[f]->callsite != b->frame[f]->callsite)
			return false;
	return true;
}

/* The same objects and locks are held, under whatever number. */
static bool refs_equal(struct bpf_verifier_env *env, const struct bpf_verifier_state *old,
		       const struct bpf_verifier_state *cur)
{
	if (old->ref_cnt != cur->ref_cnt)
		return false;
	for (u32 i = 0; i < old->ref_cnt; i++)
		if (old->refs[i].lock_map != cur->refs[i].lock_map ||
		    !check_ids(env, old->refs[i].id, cur->refs[i].id))
			return false;
	return true;
}

bool states_equal(struct bpf_verifier_env *env, const struct bpf_verifier_state *old,
		  const struct bpf_verifier_state *cur, enum exact_level exact)
{
	if (!same_callsites(old, cur))
		return false;
	/* What follows from a wrong guess was forgiven (walk.c). */
	if (old->speculative && !cur->speculative)
		return false;
	begin_compare(env);
	if (!refs_equal(env, old, cur))
		return false;
	for (u32 f = 0; f <= old->curframe; f++) {
		const struct bpf_func_state *of = old->frame[f], *cf = cur->frame[f];
		u16 live = env->flow[frame_insn_idx(old, f)].live_regs;

		/* How often the callback may still be entered depends on it. */
		if (of->callback_depth > cf->callback_depth)
			return false;
		charge(env, BPF_REG_FP / 2);
		for (u32 i = 0; i < BPF_REG_FP; i++)
			if (live & 1u << i && !regsafe(env, &of->regs[i], &cf->regs[i], exact))
				return false;
		if (!stacksafe(env, of, cf, exact))
			return false;
	}
	return true;
}

bool states_maybe_looping(const struct bpf_verifier_state *old,
			  const struct bpf_verifier_state *cur)
{
	const struct bpf_func_state *of, *cf;

	if (old->curframe != cur->curframe)
		return false;
	of = old->frame[old->curframe];
	cf = cur->frame[cur->curframe];
	for (u32 i = 0; i < MAX_BPF_REG; i++) {
		const struct bpf_reg_state *o = &of->regs[i], *c = &cf->regs[i];

		if (o->type != c->type || o->off != c->off || o->id != c->id ||
		    o->umin_value != c->umin_value || o->umax_value != c->umax_value ||
		    o->var_off.value != c->var_off.value || o->var_off.mask != c->var_off.mask)
			return false;
	}
	return true;
}
