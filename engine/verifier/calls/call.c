/*
 * call.c - into functions of the program and out of them; the exit of the program; legacy packet
 * loads
 *
 * A call continues in the callee with a new frame; its exit continues after the call. A function is
 * so walked once for each call, with what is known there.
 */
#include "verifier/calls/call.h"
#include "verifier/calls/callback.h"
#include "verifier/calls/global.h"
#include "verifier/held/reference.h"
#include "verifier/domain/bounds.h"
#include "verifier/history/path.h"
#include "verifier/history/precise.h"
#include "verifier/state/print.h"
#include "verifier/state/program.h"
#include "verifier/state/refuse.h"
#include "verifier/state/regs.h"

int check_func_call(struct bpf_verifier_env *env, const struct bpf_insn *insn, int *insn_idx)
{
	struct bpf_verifier_state *st = env->cur_state;
	struct bpf_func_state *caller = cur_func(env), *callee;
	int subprog = find_subprog(env, *insn_idx + insn->imm + 1);

	if (subprog < 0)
		return -EINVAL;
	if (env->global[subprog].is_global)
		return check_global_call(env, subprog);
	if (st->curframe + 1 >= MAX_CALL_FRAMES)
		return refuse(env, CALL_DEPTH, .num = {st->curframe + 2});
	callee = new_func_state(env, *insn_idx, st->curframe + 1, subprog);
	if (!callee)
		return -ENOMEM;
	for (u32 i = BPF_REG_1; i <= BPF_REG_5; i++)
		callee->regs[i] = caller->regs[i];
	for (u32 i = BPF_REG_0; i <= BPF_REG_5; i++)
		mark_reg_not_init(caller->regs, i);
	st->curframe++;
	st->frame[st->curframe] = callee;
	mark_verifier_state_scratched(env);
	st->stack_written[st->curframe] = ~0ULL; /* nothing in it is older */
	*insn_idx = (int)env->subprogs[subprog].start - 1;
	if (env->log_level & BPF_LOG_LEVEL) {
		vtrace(env, "caller:\n");
		print_verifier_state(env, st, caller->frameno, true);
		vtrace(env, "callee:\n");
		print_verifier_state(env, st, st->curframe, true);
	}
	return 0;
}

int prepare_func_exit(struct bpf_verifier_env *env, int *insn_idx)
{
	struct bpf_verifier_state *st = env->cur_state;
	struct bpf_func_state *callee = cur_func(env), *caller = st->frame[st->curframe - 1];
	struct bpf_reg_state *r0 = &callee->regs[BPF_REG_0];
	bool in_callback_fn = callee->in_callback_fn;
	int err;

	if (r0->type == PTR_TO_STACK)
		return refuse(env, RETURN_STACK_PTR);
	if (in_callback_fn) {
		err = check_callback_return(env);
		if (err)
			return err;
	} else {
		caller->regs[BPF_REG_0] = *r0;
	}
	*insn_idx = callee->callsite + !in_callback_fn;
	if (env->log_level & BPF_LOG_LEVEL) {
		vtrace(env, "returning from callee:\n");
		print_verifier_state(env, st, callee->frameno, true);
		vtrace(env, "to caller at %d:\n", *insn_idx);
		print_verifier_state(env, st, caller->frameno, true);
	}
	st->frame[st->curframe] = NULL;
	st->curframe--;
	free_func_state(env, callee);
	return in_callback_fn ? widen_callback_scalars(env, *insn_idx) : 0;
}

int check_return_code(struct bpf_verifier_env *env)
{
	const struct bpf_reg_state *reg = &cur_regs(env)[BPF_REG_0];
	s32 minval, maxval;
	int err;

	err = check_reg_arg(env, BPF_REG_0, SRC_OP);
	if (err)
		return err;
	if (is_pointer_value(env, BPF_REG_0))
		return refuse(env, ADDR_RETURNED);
	if (cur_func(env)->subprogno) { /* of a global function */
		if (reg->type == SCALAR_VALUE)
			return 0;
		return refuse(env, SUBPROG_EXIT_TYPE, .type = reg->type);
	}
	if (!env->ops->retval_range || !env->ops->retval_range(env->prog, &minval, &maxval))
		return 0;
	if (reg->type != SCALAR_VALUE)
		return refuse(env, EXIT_TYPE, .type = reg->type);
	err = mark_chain_precision(env, BPF_REG_0);
	if (err)
		return err;
	if (minval > reg->smin_value || maxval < reg->smax_value)
		return refuse(env, EXIT_VALUE, .num = {minval, maxval}, .name = {range_text(reg)});
	return 0;
}

/* R0 = packet data at a fixed or variable place; beyond the packet the function ends with 0. */
int check_ld_abs(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	struct bpf_reg_state *regs = cur_regs(env);
	int err;

	if (!env->ops->has_ld_abs)
		return refuse(env, LD_ABS_TYPE);
	err = check_reg_arg(env, BPF_REG_6, SRC_OP);
	if (!err)
		err = check_no_lock(env, "BPF_LD_[ABS|IND]");
	if (!err)
		err = check_resource_leak(env, "BPF_LD_[ABS|IND]");
	if (err)
		return err;
	if (regs[BPF_REG_6].type != PTR_TO_CTX)
		return refuse(env, LD_ABS_CTX);
	if (BPF_MODE(insn->code) == BPF_IND) {
		err = check_reg_arg(env, insn->src_reg, SRC_OP);
		if (err)
			return err;
		if (is_pointer_value(env, insn->src_reg))
			return refuse(env, ADDR_LEAK, .reg = insn->src_reg,
				      .name = {"packet load"});
	}
	/* It looks at the packet's bounds, and the machine may run ahead of that. */
	env->aux[env->insn_idx].nospec_result |= env->strict;
	err = check_ptr_off_reg(env, &regs[BPF_REG_6], BPF_REG_6);
	if (err)
		return err;
	for (u32 i = BPF_REG_0; i <= BPF_REG_5; i++) {
		mark_reg_not_init(regs, i);
		check_reg_arg(env, i, DST_OP_NO_MARK);
	}
	mark_reg_unknown(regs, BPF_REG_0);
	return 0;
}

/*
 * The instruction at env->insn_idx, in a function of the program, may end the function: a load
 * beyond the packet with 0, a tail call with whatever the other program returned. That is walked
 * first, the other case waits.
 */
int check_early_exit(struct bpf_verifier_env *env, bool known_zero)
{
	struct bpf_reg_state *regs = cur_regs(env);

	if (cur_func(env)->in_callback_fn)
		return refuse(env, NOT_IN_CALLBACK,
			      .name = {known_zero ? "BPF_LD_[ABS|IND]" : "tail_call"});
	if (!push_stack(env, env->insn_idx + 1, env->insn_idx))
		return env->stack_size > BPF_COMPLEXITY_LIMIT_JMP_SEQ ? -E2BIG : -ENOMEM;
	mark_reg_unknown(regs, BPF_REG_0);
	if (known_zero)
		__mark_reg_const_zero(&regs[BPF_REG_0]);
	mark_reg_scratched(env, BPF_REG_0);
	env->prev_insn_idx = env->insn_idx;
	return prepare_func_exit(env, &env->insn_idx);
}
