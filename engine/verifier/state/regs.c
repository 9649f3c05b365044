/*
 * regs.c - registers as wholes: reading and writing one, making it zero or unknown, its identity
 */
#include "verifier/domain/bounds.h"
#include "verifier/state/print.h"
#include "verifier/state/refuse.h"
#include "verifier/state/regs.h"

void mark_reg_known_zero(struct bpf_reg_state *regs, u32 regno)
{
	struct bpf_reg_state *reg = &regs[regno];

	memset(reg, 0, sizeof(*reg));
	__mark_reg_known(reg, 0);
	reg->type = SCALAR_VALUE;
}

void mark_reg_unknown(struct bpf_reg_state *regs, u32 regno)
{
	struct bpf_reg_state *reg = &regs[regno];

	memset(reg, 0, sizeof(*reg));
	__mark_reg_unknown(reg);
	reg->precise = false;
}

void mark_reg_not_init(struct bpf_reg_state *regs, u32 regno)
{
	mark_reg_unknown(regs, regno);
	regs[regno].type = NOT_INIT;
}

int check_reg_arg(struct bpf_verifier_env *env, u32 regno, enum reg_arg_type t)
{
	struct bpf_reg_state *regs = cur_regs(env);

	if (regno >= MAX_BPF_REG)
		return refuse(env, REG_NUMBER, .reg = regno);
	mark_reg_scratched(env, regno);
	if (t == SRC_OP) {
		if (regs[regno].type == NOT_INIT)
			return refuse(env, NOT_INIT, .reg = regno);
		return 0;
	}
	if (regno == BPF_REG_FP)
		return refuse(env, FP_READ_ONLY);
	if (t == DST_OP)
		mark_reg_unknown(regs, regno);
	return 0;
}

bool is_pointer_value(const struct bpf_verifier_env *env, u32 regno)
{
	return env->strict && cur_regs(env)[regno].type != SCALAR_VALUE;
}

void mark_reg_invalid(const struct bpf_verifier_env *env, struct bpf_reg_state *reg)
{
	if (env->strict)
		mark_reg_not_init(reg, 0);
	else
		__mark_reg_unknown(reg);
}

void clear_scalar_id(struct bpf_reg_state *reg)
{
	reg->id = 0;
	reg->off = 0;
}

/*
 * `src` is about to be copied: give both an identity, so that what is learnt of one is learnt of
 * both.
 */
void assign_scalar_id_before_mov(struct bpf_verifier_env *env, struct bpf_reg_state *src)
{
	if (src->type != SCALAR_VALUE)
		return;
	if (src->id & BPF_ADD_CONST) /* one distance a family: it starts a new one */
		clear_scalar_id(src);
	if (!src->id && !tnum_is_const(src->var_off))
		src->id = ++env->id_gen;
}

/*
 * No value fits a register whose views contradict each other: forget them rather than build on
 * them. Such a way is gone by nobody; BPF_F_TEST_REG_INVARIANTS asks to hear of it.
 */
int check_bounds_sane(struct bpf_verifier_env *env, struct bpf_reg_state *reg, const char *what)
{
	if (reg->type != SCALAR_VALUE || reg_bounds_sane(reg))
		return 0;
	if (env->test_reg_invariants)
		return refuse(env, INVARIANTS,
			      .num = {reg->umin_value, reg->umax_value, reg->smin_value,
				      reg->smax_value, reg->u32_min_value, reg->u32_max_value,
				      (u32)reg->s32_min_value, (u32)reg->s32_max_value},
			      .name = {what, tnum_text(reg->var_off)});
	__mark_reg_unbounded(reg);
	return 0;
}

bool register_is_null(const struct bpf_reg_state *reg)
{
	return reg->type == SCALAR_VALUE && tnum_equals_const(reg->var_off, 0);
}

/* Whatever takes PTR_MAYBE_NULL away does it here: what was found in a map of maps is a map. */
void mark_ptr_not_null(struct bpf_reg_state *reg)
{
	reg->type &= ~PTR_MAYBE_NULL;
	if (reg->type == PTR_TO_MAP_VALUE && reg->map_ptr->inner_map_meta) {
		reg->type = CONST_PTR_TO_MAP;
		reg->map_ptr = reg->map_ptr->inner_map_meta;
	}
}

/*
 * Are the low bytes of it, extended with zeros or with their sign, surely the value that it has?
 * Only then is what was cut out of it a copy of it, with its id.
 */
bool reg_fits(const struct bpf_reg_state *reg, int size, bool is_signed)
{
	return size >= 8 || reg->umax_value < 1ULL << (8 * size - is_signed);
}

/* For pointers that must be given to their user as they came: a context, a map. */
int check_ptr_off_reg(struct bpf_verifier_env *env, const struct bpf_reg_state *reg, u32 regno)
{

	if (reg->off < 0)
		return refuse(env, PTR_NEGATIVE_OFF, .reg = regno, .type = reg->type,
			      .num = {reg->off});
	if (reg->off)
		return refuse(env, PTR_MODIFIED, .reg = regno, .type = reg->type,
			      .num = {reg->off});
	if (!tnum_equals_const(reg->var_off, 0))
		return refuse(env, PTR_VAR_OFF, .type = reg->type,
			      .name = {tnum_text(reg->var_off)});
	return 0;
}

/* ---- the result */

void clear_all_pkt_pointers(struct bpf_verifier_env *env)
{
	struct bpf_verifier_state *st = env->cur_state;

	for_each_reg_in_state(st, reg,
			      if (type_is_pkt_pointer(reg->type) || reg->type == PTR_TO_PACKET_END)
				      mark_reg_invalid(env, reg));
}
