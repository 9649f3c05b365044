/*
 * lock.c - the struct bpf_spin_lock in map values: taken and given back in order, touched by nobody
 *
 * A lock that is held stands among the references (reference.c), with its map. Which lock it is
 * follows from the map and the id of the value's pointer: each lookup gives an id of its own, which
 * a pointer into a value with a lock keeps when it is found not to be NULL, so two lookups of the
 * same element are two locks here. One lock may be held at a time, and while it is, nothing is
 * called but functions of the program.
 */
#include "verifier/held/lock.h"
#include "verifier/held/reference.h"
#include "verifier/state/program.h"
#include "verifier/state/refuse.h"

bool reg_may_point_to_spin_lock(const struct bpf_reg_state *reg)
{
	return base_type(reg->type) == PTR_TO_MAP_VALUE && map_has_spin_lock(reg->map_ptr);
}

/* May the bytes [off, off + size) behind a pointer into a value be read or written? */
int check_lock_untouched(struct bpf_verifier_env *env, const struct bpf_reg_state *reg, int off,
			 int size)
{
	s64 lock;

	if (!map_has_spin_lock(reg->map_ptr))
		return 0;
	lock = reg->map_ptr->spin_lock_off;
	if (reg->smin_value + off >= lock + (s64)sizeof(struct bpf_spin_lock) ||
	    lock >= (s64)reg->umax_value + off + size)
		return 0;
	return refuse(env, LOCK_TOUCHED);
}

int check_call_allowed(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	if (insn->src_reg == BPF_PSEUDO_CALL || insn->imm == BPF_FUNC_spin_unlock ||
	    !active_lock(env->cur_state))
		return 0;
	return refuse(env, CALL_IN_LOCK);
}

/* A global function is walked without knowing of the caller's locks. */
int check_global_call_lock(struct bpf_verifier_env *env)
{
	if (!active_lock(env->cur_state))
		return 0;
	return refuse(env, GLOBAL_CALL_IN_LOCK);
}

static int acquire_lock(struct bpf_verifier_env *env, const struct bpf_reg_state *reg)
{
	struct bpf_verifier_state *st = env->cur_state;
	struct bpf_reference_state *ref;

	if (active_lock(st))
		return refuse(env, LOCK_TWO);
	if (st->ref_cnt == BPF_MAX_REFS)
		return refuse(env, TOO_MANY_REFERENCES, .num = {BPF_MAX_REFS});
	ref = &st->refs[st->ref_cnt++];
	ref->id = reg->id;
	ref->insn_idx = env->insn_idx;
	ref->lock_map = reg->map_ptr;
	return 0;
}

static int release_lock(struct bpf_verifier_env *env, const struct bpf_reg_state *reg)
{
	struct bpf_verifier_state *st = env->cur_state;
	struct bpf_reference_state *ref = active_lock(st);

	if (!ref)
		return refuse(env, UNLOCK_WITHOUT_LOCK);
	if (ref->id != reg->id || ref->lock_map != reg->map_ptr)
		return refuse(env, UNLOCK_OTHER);
	*ref = st->refs[--st->ref_cnt];
	return 0;
}

/* The argument of bpf_spin_lock() and bpf_spin_unlock(), a PTR_TO_MAP_VALUE. */
int process_spin_lock(struct bpf_verifier_env *env, u32 regno, bool is_lock)
{
	const struct bpf_reg_state *reg = &cur_regs(env)[regno];
	const struct bpf_map *map = reg->map_ptr;

	if (!tnum_is_const(reg->var_off))
		return refuse(env, LOCK_VAR_OFF, .reg = regno);
	if (!map_has_spin_lock(map)) {
		if (map->btf)
			return refuse(env, LOCK_NOT_IN_MAP, .name = {map->name});
		return refuse(env, LOCK_NO_BTF, .name = {map->name});
	}
	if (map_is_lent_rdonly(env, map))
		return refuse(env, MAP_LENT_RDONLY);
	if (map->spin_lock_off != (s64)reg->var_off.value + reg->off)
		return refuse(env, LOCK_OFF,
			      .num = {(s64)reg->var_off.value + reg->off, map->spin_lock_off});
	return is_lock ? acquire_lock(env, reg) : release_lock(env, reg);
}
