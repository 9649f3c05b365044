/*
 * callback.c - functions of the program that a helper calls
 *
 * How often a helper calls its callback, nobody knows before. So the call is walked in two ways:
 * the function is entered, in a branch that waits, and its exit comes back to the call itself, to
 * be asked again; and the walk goes on behind the call, as after the last time. Each time that the
 * walk comes to the call there is a checkpoint. Once the state is like one of an earlier time,
 * another time would show nothing new, and that path ends (prune.c, loop.c). To get there, scalars
 * that differ from time to time and decided nothing become unknown: a counter that the callback
 * keeps on its caller's stack, say.
 *
 * What the callback writes through its context pointer goes to the caller's frame, which is a part
 * of the state like any other. It holds what it acquired until it gives it back, also beyond its
 * return: a callback that keeps more each time never comes to rest, and one that gives back what
 * its caller holds is refused the second time.
 */
#include <bpf/btf.h>
#include "verifier/checks/call_meta.h"
#include "verifier/calls/callback.h"
#include "verifier/domain/bounds.h"
#include "verifier/history/compare.h"
#include "verifier/history/path.h"
#include "verifier/history/precise.h"
#include "verifier/history/widen.h"
#include "verifier/state/print.h"
#include "verifier/state/program.h"
#include "verifier/state/refuse.h"
#include "verifier/state/regs.h"
#include "verifier/state/work.h"

static u32 linkage_of(const struct bpf_prog *prog, u32 start)
{
	for (u32 i = 0; prog->btf && i < prog->func_info_cnt; i++) {
		const struct btf_type *func =
			btf__type_by_id(prog->btf->btf, prog->func_info[i].type_id);

		if (prog->func_info[i].insn_off == start && func && btf_is_func(func))
			return btf_vlen(func);
	}
	return BTF_FUNC_EXTERN;
}

/* LD_IMM64 of a function's address; the register is a known zero already. */
int check_ld_func(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	struct bpf_reg_state *dst = &cur_regs(env)[insn->dst_reg];
	int subprog = find_subprog(env, env->insn_idx + insn->imm + 1);

	if (subprog < 0)
		return -EINVAL;
	if (!env->prog->func_info_cnt)
		return refuse(env, NO_FUNC_INFO);
	charge(env, env->prog->func_info_cnt); /* they are searched */
	if (linkage_of(env->prog, env->subprogs[subprog].start) != BTF_FUNC_STATIC)
		return refuse(env, CALLBACK_NOT_STATIC);
	dst->type = PTR_TO_FUNC;
	dst->subprogno = (u32)subprog;
	return 0;
}

/* ---- what a callback is given */

static int set_loop_args(struct bpf_verifier_env *env, const struct bpf_func_state *caller,
			 struct bpf_func_state *callee, const struct bpf_call_arg_meta *meta)
{
	mark_reg_unknown(callee->regs, BPF_REG_1);
	callee->regs[BPF_REG_2] = caller->regs[BPF_REG_3];
	return 0;
}

static int set_map_elem_args(struct bpf_verifier_env *env, const struct bpf_func_state *caller,
			     struct bpf_func_state *callee, const struct bpf_call_arg_meta *meta)
{
	if (!meta->map_ptr->ops->map_for_each_callback)
		return refuse(env, CALLBACK_MAP);
	callee->regs[BPF_REG_1] = caller->regs[BPF_REG_1];
	mark_reg_known_zero(callee->regs, BPF_REG_2);
	callee->regs[BPF_REG_2].type = PTR_TO_MAP_KEY;
	callee->regs[BPF_REG_2].map_ptr = meta->map_ptr;
	mark_reg_known_zero(callee->regs, BPF_REG_3);
	callee->regs[BPF_REG_3].type = PTR_TO_MAP_VALUE;
	callee->regs[BPF_REG_3].map_ptr = meta->map_ptr;
	if (map_has_spin_lock(meta->map_ptr)) /* locks of two values are two */
		callee->regs[BPF_REG_3].id = ++env->id_gen;
	callee->regs[BPF_REG_4] = caller->regs[BPF_REG_3];
	return 0;
}

typedef int (*set_args_fn)(struct bpf_verifier_env *env, const struct bpf_func_state *caller,
			   struct bpf_func_state *callee, const struct bpf_call_arg_meta *meta);

/* The branch that enters the callback; the current one goes on behind the call. */
static int push_callback(struct bpf_verifier_env *env, int insn_idx,
			 const struct bpf_call_arg_meta *meta, set_args_fn set_args)
{
	struct bpf_verifier_state *st =
		push_stack(env, (int)env->subprogs[meta->subprogno].start, insn_idx);
	struct bpf_func_state *caller, *callee;
	u32 frame;

	if (!st)
		return env->stack_size > BPF_COMPLEXITY_LIMIT_JMP_SEQ ? -E2BIG : -ENOMEM;
	frame = st->curframe + 1;
	if (frame >= MAX_CALL_FRAMES)
		return refuse(env, CALL_DEPTH, .num = {frame + 1});
	callee = new_func_state(env, insn_idx, frame, meta->subprogno);
	if (!callee)
		return -ENOMEM;
	st->frame[frame] = callee;
	caller = st->frame[frame - 1];
	st->curframe = frame;
	st->stack_written[frame] = ~0ULL; /* nothing in it is older */
	st->callback_unroll_depth++;
	caller->callback_depth++;
	callee->in_callback_fn = true;
	cur_func(env)->callback_depth = 0;
	return set_args(env, caller, callee, meta);
}

/* ---- bpf_loop */

enum {
	LOOP_NOT_SEEN,
	LOOP_INLINE,
	LOOP_CALL,
};

/* May it become a loop of the program? */
static int note_loop(struct bpf_verifier_env *env, int insn_idx, u32 subprogno)
{
	struct bpf_insn_aux_data *aux = &env->aux[insn_idx];

	if (aux->loop_inline == LOOP_CALL)
		return 0;
	if (!register_is_null(&cur_regs(env)[BPF_REG_4]) ||
	    (aux->loop_inline == LOOP_INLINE && aux->loop_callback != subprogno)) {
		aux->loop_inline = LOOP_CALL;
		return 0;
	}
	aux->loop_inline = LOOP_INLINE;
	aux->loop_callback = subprogno;
	return mark_chain_precision(env, BPF_REG_4);
}

static int check_loop(struct bpf_verifier_env *env, int insn_idx,
		      const struct bpf_call_arg_meta *meta)
{
	const struct bpf_reg_state *nr = &cur_regs(env)[BPF_REG_1];
	struct bpf_func_state *caller = cur_func(env);
	int err;

	err = note_loop(env, insn_idx, meta->subprogno);
	if (!err)
		err = mark_chain_precision(env, BPF_REG_1);
	if (err)
		return err;
	/* An address as a count is a number that is not known. */
	if (nr->type != SCALAR_VALUE || caller->callback_depth < nr->umax_value)
		return push_callback(env, insn_idx, meta, set_loop_args);
	caller->callback_depth = 0;
	if (env->log_level & BPF_LOG_LEVEL2)
		vtrace(env, "frame%d bpf_loop iteration limit reached\n", env->cur_state->curframe);
	return 0;
}

int check_callback_call(struct bpf_verifier_env *env, int func_id, int insn_idx,
			const struct bpf_call_arg_meta *meta)
{
	if (func_id == BPF_FUNC_loop)
		return check_loop(env, insn_idx, meta);
	return push_callback(env, insn_idx, meta, set_map_elem_args);
}

/* ---- the exit */

/* 0: go on, 1: that was the last. */
int check_callback_return(struct bpf_verifier_env *env)
{
	const struct bpf_reg_state *r0 = &cur_regs(env)[BPF_REG_0];
	int err;

	if (r0->type != SCALAR_VALUE)
		return refuse(env, CALLBACK_RETURN_TYPE);
	err = mark_chain_precision(env, BPF_REG_0);
	if (err)
		return err;
	if (r0->smin_value < 0 || r0->smax_value > 1)
		return refuse(env, CALLBACK_RETURN, .num = {0, 1}, .name = {range_text(r0)});
	return 0;
}

/*
 * The callback has returned to the call: what is not as it was the last time, and may be anything?
 */
int widen_callback_scalars(struct bpf_verifier_env *env, int insn_idx)
{
	struct bpf_verifier_state *cur = env->cur_state, *st = *explored_states(env, insn_idx);

	while (st && !(st->insn_idx == insn_idx && st->branches && same_callsites(st, cur) &&
		       st->dfs_depth < cur->dfs_depth)) {
		charge(env, 1);
		st = st->next;
	}
	if (!st)
		return 0;
	widen_scalars(env, st, cur, false);
	return 0;
}
