/*
 * walk.c - all paths, instruction by instruction
 */
#include "verifier/checks/arith.h"
#include "verifier/checks/branch.h"
#include "verifier/calls/call.h"
#include "verifier/calls/callback.h"
#include "verifier/calls/helper.h"
#include "verifier/held/lock.h"
#include "verifier/checks/mem.h"
#include "verifier/held/reference.h"
#include "verifier/domain/bounds.h"
#include "verifier/flow/cfg.h"
#include "verifier/history/path.h"
#include "verifier/history/precise.h"
#include "verifier/state/print.h"
#include "verifier/state/refuse.h"
#include "verifier/state/regs.h"
#include "verifier/state/work.h"
#include "verifier/walk/loop.h"
#include "verifier/walk/observer.h"
#include "verifier/walk/prune.h"
#include "verifier/walk/walk.h"

/* ---- single instructions */

static const char *reserved_class(const struct bpf_insn *insn)
{
	switch (BPF_CLASS(insn->code)) {
	case BPF_LD:
		return bpf_insn_is_imm64(insn) ? "BPF_LD_IMM64" : "BPF_LD_[ABS|IND]";
	case BPF_LDX:
		return "BPF_LDX";
	case BPF_ST:
		return "BPF_ST";
	case BPF_STX:
		return BPF_MODE(insn->code) == BPF_ATOMIC ? "BPF_ATOMIC" : "BPF_STX";
	case BPF_ALU:
	case BPF_ALU64:
		switch (BPF_OP(insn->code)) {
		case BPF_MOV:
			return "BPF_MOV";
		case BPF_NEG:
			return "BPF_NEG";
		case BPF_END:
			return "BPF_END";
		}
		return "BPF_ALU";
	}
	switch (BPF_OP(insn->code)) {
	case BPF_JA:
		return "BPF_JA";
	case BPF_CALL:
		return "BPF_CALL";
	case BPF_EXIT:
		return "BPF_EXIT";
	}
	return "BPF_JMP/JMP32";
}

static bool knows_atomic(s32 imm)
{
	switch (imm) {
	case BPF_ADD:
	case BPF_OR:
	case BPF_AND:
	case BPF_XOR:
	case BPF_ADD | BPF_FETCH:
	case BPF_OR | BPF_FETCH:
	case BPF_AND | BPF_FETCH:
	case BPF_XOR | BPF_FETCH:
	case BPF_XCHG:
	case BPF_CMPXCHG:
		return true;
	}
	return false;
}

/* The decoder refused it: say why. */
static int explain_invalid(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	if (insn->dst_reg >= MAX_BPF_REG || insn->src_reg >= MAX_BPF_REG)
		return refuse(env, REG_NUMBER,
			      .reg = insn->dst_reg >= MAX_BPF_REG ? insn->dst_reg : insn->src_reg);
	if (BPF_CLASS(insn->code) == BPF_STX && BPF_MODE(insn->code) == BPF_ATOMIC &&
	    !knows_atomic(insn->imm)) {
		bool on_linux = insn->imm == BPF_LOAD_ACQ || insn->imm == BPF_STORE_REL;

		if (on_linux)
			return refuse(env, ATOMIC_MISSING, .num = {(u32)insn->imm});
		return refuse(env, ATOMIC_OPCODE, .num = {(u32)insn->imm});
	}
	return refuse(env, RESERVED_FIELDS, .name = {reserved_class(insn)});
}

static int check_ld_imm(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	struct bpf_reg_state *regs = cur_regs(env), *dst = &regs[insn->dst_reg];
	int err = check_reg_arg(env, insn->dst_reg, DST_OP);

	if (err)
		return err;
	if (!insn->src_reg) {
		__mark_reg_known(dst, bpf_insn_imm64(insn));
		return 0;
	}
	mark_reg_known_zero(regs, insn->dst_reg);
	if (insn->src_reg == BPF_PSEUDO_FUNC)
		return check_ld_func(env, insn);
	dst->map_ptr = env->prog->used_maps[insn->imm];
	dst->type = CONST_PTR_TO_MAP;
	if (insn->src_reg == BPF_PSEUDO_MAP_IDX_VALUE) {
		dst->type = PTR_TO_MAP_VALUE;
		dst->off = insn[1].imm;
	}
	return 0;
}

static bool mismatch_ok(u32 type)
{
	return base_type(type) != PTR_TO_CTX;
}

/* The rewriter changes accesses by the kind of their base: it must be one kind on all paths. */
static int save_aux_ptr_type(struct bpf_verifier_env *env, u32 type)
{
	u32 *prev = &env->aux[env->insn_idx].ptr_type;

	if (*prev == NOT_INIT) {
		*prev = type;
	} else if (*prev != type && (!mismatch_ok(*prev) || !mismatch_ok(type)))
		return refuse(env, PTR_KINDS);
	return 0;
}

static int check_load(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	struct bpf_reg_state *regs = cur_regs(env);
	bool is_ldsx = BPF_MODE(insn->code) == BPF_MEMSX;
	u32 type;
	int err;

	err = check_reg_arg(env, insn->src_reg, SRC_OP);
	if (!err)
		err = check_reg_arg(env, insn->dst_reg, DST_OP_NO_MARK);
	if (err)
		return err;
	type = regs[insn->src_reg].type;
	err = check_mem_access(env, env->insn_idx, insn->src_reg, insn->off, BPF_SIZE(insn->code),
			       BPF_READ, insn->dst_reg, false, is_ldsx);
	if (!err)
		err = save_aux_ptr_type(env, type);
	return err ? err : check_bounds_sane(env, &regs[insn->dst_reg], "ldx");
}

static int check_store(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	bool from_reg = BPF_CLASS(insn->code) == BPF_STX;
	u32 type;
	int err = 0;

	if (from_reg)
		err = check_reg_arg(env, insn->src_reg, SRC_OP);
	if (!err)
		err = check_reg_arg(env, insn->dst_reg, SRC_OP);
	if (err)
		return err;
	type = cur_regs(env)[insn->dst_reg].type;
	err = check_mem_access(env, env->insn_idx, insn->dst_reg, insn->off, BPF_SIZE(insn->code),
			       BPF_WRITE, from_reg ? insn->src_reg : -1, false, false);
	return err ? err : save_aux_ptr_type(env, type);
}

static int check_atomic_insn(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	u32 type = cur_regs(env)[insn->dst_reg].type;
	int err = check_atomic(env, insn);

	return err ? err : save_aux_ptr_type(env, type);
}

#define PATH_ENDS 1

/* A jump, call or exit; *idx is set to the next instruction. */
static int check_jmp_class(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	int err;

	env->jmps_processed++;
	switch (BPF_OP(insn->code)) {
	case BPF_CALL:
		err = check_call_allowed(env, insn);
		if (err)
			return err;
		if (insn->src_reg == BPF_PSEUDO_CALL)
			err = check_func_call(env, insn, &env->insn_idx);
		else
			err = check_helper_call(env, insn, env->insn_idx);
		if (!err && !insn->src_reg && insn->imm == BPF_FUNC_tail_call &&
		    env->cur_state->curframe)
			return check_early_exit(env, false);
		break;
	case BPF_JA:
		env->insn_idx += jmp_offset(insn) + 1;
		return 0;
	case BPF_EXIT:
		err = check_resource_leak(env, "BPF_EXIT instruction in main prog");
		if (err)
			return err;
		if (env->cur_state->curframe) {
			env->prev_insn_idx = env->insn_idx;
			env->do_print_state = true;
			return prepare_func_exit(env, &env->insn_idx);
		}
		err = check_return_code(env);
		return err ? err : PATH_ENDS;
	default:
		err = check_cond_jmp_op(env, insn, &env->insn_idx);
	}
	if (!err)
		env->insn_idx++;
	return err;
}

static int do_check_insn(struct bpf_verifier_env *env)
{
	const struct bpf_insn *insn = &env->insns[env->insn_idx];
	int err;

	if (bpf_insn_decode(insn) < 0)
		return explain_invalid(env, insn);
	env->aux[env->insn_idx].seen |= !env->cur_state->speculative;
	switch (BPF_CLASS(insn->code)) {
	case BPF_ALU:
	case BPF_ALU64:
		err = check_alu_op(env, insn);
		break;
	case BPF_LDX:
		err = check_load(env, insn);
		break;
	case BPF_STX:
		if (BPF_MODE(insn->code) == BPF_ATOMIC) {
			err = check_atomic_insn(env, insn);
			break;
		}
		/* fallthrough */
	case BPF_ST:
		err = check_store(env, insn);
		break;
	case BPF_LD:
		if (BPF_MODE(insn->code) != BPF_IMM) {
			err = check_ld_abs(env, insn);
			if (!err && env->cur_state->curframe)
				return check_early_exit(env, true);
			break;
		}
		err = check_ld_imm(env, insn);
		if (!err) {
			env->insn_idx++;
			env->aux[env->insn_idx].seen |= !env->cur_state->speculative;
		}
		break;
	default:
		return check_jmp_class(env, insn);
	}
	if (!err)
		env->insn_idx++;
	return err;
}

/* ---- the walk */

static void trace_insn(struct bpf_verifier_env *env)
{
	struct bpf_verifier_state *st = env->cur_state;

	if (env->log_level & BPF_LOG_LEVEL2 && env->do_print_state) {
		vtrace(env, "\nfrom %d to %d:", env->prev_insn_idx, env->insn_idx);
		print_verifier_state(env, st, st->curframe, true);
		env->do_print_state = false;
	}
	if (!(env->log_level & BPF_LOG_LEVEL))
		return;
	if (env->scratched_regs || env->scratched_slots)
		print_insn_state(env, st, st->curframe);
	verbose_linfo(env, env->insn_idx, "; ");
	env->prev_log_pos = env->log->len;
	vtrace(env, "%d: ", env->insn_idx);
	verbose_insn(env, env->insn_idx);
	env->prev_insn_print_pos = env->log->len - env->prev_log_pos;
	env->prev_log_pos = env->log->len;
}

__thread struct bpf_verifier_observer *bpf_verifier_observer;

static void observe(struct bpf_verifier_env *env)
{
	struct bpf_verifier_state *st = env->cur_state;

	st->node = env->observer->enter(env->observer, env);
	if (st->parent && !st->parent->node)
		st->parent->node = st->node;
}

/* Before an instruction: is the path known to be safe from here? 1: yes, it ends. */
static int enter_insn(struct bpf_verifier_env *env, int prev_insn_idx)
{
	struct bpf_verifier_state *st = env->cur_state;
	const struct bpf_insn_flow *flow = &env->flow[env->insn_idx];
	int err;

	env->cur_hist_ent = NULL;
	env->prev_insn_idx = prev_insn_idx;
	if (++env->insn_processed > BPF_COMPLEXITY_LIMIT_INSNS)
		return refuse(env, TOO_LARGE, .num = {env->insn_processed});
	charge(env, 1);
	err = check_work(env);
	if (err)
		return err;
	st->last_insn_idx = prev_insn_idx;
	st->insn_idx = env->insn_idx;
	if (flow->prune_point) {
		err = is_state_visited(env, env->insn_idx);
		if (err < 0)
			return err;
		if (err) {
			if (env->log_level & BPF_LOG_LEVEL) {
				if (env->do_print_state)
					vtrace(env, "\nfrom %d to %d: safe\n", prev_insn_idx,
					       env->insn_idx);
				else
					vtrace(env, "%d: safe\n", env->insn_idx);
			}
			return PATH_ENDS;
		}
	}
	if (flow->jmp_point) {
		err = push_jmp_history(env, st, 0, 0, 0, NULL);
		if (err)
			return err;
	}
	if (env->observer)
		observe(env);
	trace_insn(env);
	return 0;
}

/*
 * The machine guesses where jumps go and runs ahead, so in a strict program the walk follows jumps
 * that are decided the other way, too (check_cond_jmp_op()). What is not allowed there is no fault
 * of the program: a barrier before the instruction sees to it that a wrong guess never gets to it.
 * 1: such a path ends here.
 */
static bool is_forgivable(int err)
{
	return err == -EACCES || err == -EPERM || err == -EINVAL || err == -ENOTSUP;
}

static int end_wrong_guess(struct bpf_verifier_env *env, int insn_idx, int err)
{
	struct bpf_insn_aux_data *aux = &env->aux[insn_idx];

	if (!env->cur_state->speculative)
		return err;
	if (is_forgivable(err)) {
		aux->nospec = true;
		env->out->reason_cnt = 0;
		return PATH_ENDS;
	}
	return !err && aux->nospec_result ? PATH_ENDS : err;
}

static int do_check(struct bpf_verifier_env *env)
{
	bool pop_log = !(env->log_level & BPF_LOG_LEVEL2);
	int prev_insn_idx = -1, err;

	for (;;) {
		int insn_idx = env->insn_idx;

		err = enter_insn(env, prev_insn_idx);
		if (!err && env->cur_state->speculative && env->aux[insn_idx].nospec)
			err = PATH_ENDS;
		if (!err) {
			prev_insn_idx = insn_idx;
			err = do_check_insn(env);
		}
		err = end_wrong_guess(env, insn_idx, err);
		if (!err)
			continue;
		if (err != PATH_ENDS)
			return err;
		mark_verifier_state_scratched(env);
		err = update_branch_counts(env, env->cur_state->parent);
		if (err)
			return err;
		err = pop_stack(env, &prev_insn_idx, &env->insn_idx, pop_log);
		if (err == -ENOENT)
			return 0;
		env->do_print_state = true;
	}
}

int check_from(struct bpf_verifier_env *env, struct bpf_func_state *func)
{
	struct bpf_verifier_state *st = calloc(1, sizeof(*st));
	int err;

	if (!st) {
		free_func_state(env, func);
		return -ENOMEM;
	}
	if (env->cur_state)
		free_verifier_state(env, env->cur_state);
	free(env->cur_state);
	st->frame[0] = func;
	st->branches = 1;
	st->first_insn_idx = env->insn_idx;
	env->cur_state = st;
	begin_part(env);
	env->do_print_state = false;
	env->prev_log_pos = 0;
	env->prev_linfo = NULL;
	mark_verifier_state_scratched(env);
	err = do_check(env);
	if (!err && !(env->log_level & BPF_LOG_LEVEL2))
		bpf_log_reset(env->log, 0);
	return err;
}
