/*
 * subprog.c - where the functions of a program begin and end, and how deep they stack
 *
 * Functions lie one after the other; the main program is the first. A function begins where a call
 * goes. Jumps stay inside of their function, and nothing falls from one into the next.
 */
#include <bpf/btf.h>
#include "verifier/flow/cfg.h"
#include "verifier/flow/subprog.h"
#include "verifier/state/print.h"
#include "verifier/state/program.h"
#include "verifier/state/refuse.h"

#define STACK_ALIGN    16 /* a frame of native code */
#define MAX_DEPTH_WORK (64u << 20)

static void name_subprogs(struct bpf_verifier_env *env)
{
	const struct bpf_prog *prog = env->prog;

	if (!prog->btf)
		return;
	for (u32 i = 0; i < prog->func_info_cnt; i++) {
		const struct btf_type *type =
			btf__type_by_id(prog->btf->btf, prog->func_info[i].type_id);
		int n = find_subprog(env, prog->func_info[i].insn_off);

		if (n >= 0 && type && btf_is_func(type))
			env->subprogs[n].name = btf__name_by_offset(prog->btf->btf, type->name_off);
	}
}

/* Calls a function of the program, or takes the address of one. */
static bool names_func(const struct bpf_insn *insn)
{
	return bpf_insn_is_pseudo_call(insn) || bpf_insn_is_pseudo_func(insn);
}

static int add_starts(struct bpf_verifier_env *env, u8 *is_start)
{
	const struct bpf_insn *insn = env->insns;

	is_start[0] = 1;
	for (u32 i = 0; i < env->insn_cnt; i++) {
		s64 target = (s64)i + insn[i].imm + 1;

		if (insn[i].code == (BPF_JMP | BPF_CALL) &&
		    insn[i].src_reg == BPF_PSEUDO_KFUNC_CALL)
			return refuse(env, KFUNC, .num = {i});
		if (!names_func(&insn[i]))
			continue;
		if (target < 0 || target >= env->insn_cnt)
			return refuse(env, CALL_TARGET);
		is_start[target] = 1;
	}
	return 0;
}

/* Number the functions, in the order of their addresses. */
int find_subprogs(struct bpf_verifier_env *env)
{
	__do_free u8 *is_start = calloc(env->insn_cnt, 1);
	u32 i, n = 0, cnt = 0;
	int err;

	if (!is_start)
		return -ENOMEM;
	err = add_starts(env, is_start);
	if (err)
		return err;
	for (i = 0; i < env->insn_cnt; i++)
		cnt += is_start[i];
	if (cnt > BPF_MAX_SUBPROGS)
		return refuse(env, TOO_MANY_SUBPROGS);
	env->subprogs = calloc(cnt + 1, sizeof(*env->subprogs));
	env->subprog_of = calloc(env->insn_cnt, sizeof(*env->subprog_of));
	if (!env->subprogs || !env->subprog_of)
		return -ENOMEM;
	for (i = 0; i < env->insn_cnt; i++) {
		if (is_start[i])
			env->subprogs[n++].start = i;
		env->subprog_of[i] = n - 1;
	}
	env->subprogs[n].start = env->insn_cnt;
	env->subprog_cnt = n;
	env->out->subprogs = env->subprogs;
	env->out->subprog_cnt = n;
	name_subprogs(env);
	if (env->log_level & BPF_LOG_LEVEL2)
		for (i = 0; i < n; i++)
			vtrace(env, "func#%u @%u\n", i, env->subprogs[i].start);
	return 0;
}

static void note_features(struct bpf_subprog_info *subprog, const struct bpf_insn *insn)
{
	if (insn->code == (BPF_JMP | BPF_CALL) && !insn->src_reg &&
	    insn->imm == BPF_FUNC_tail_call) {
		subprog->has_tail_call = true;
		subprog->tail_call_reachable = true;
	}
	if (BPF_CLASS(insn->code) == BPF_LD &&
	    (BPF_MODE(insn->code) == BPF_ABS || BPF_MODE(insn->code) == BPF_IND))
		subprog->has_ld_abs = true;
}

static bool is_jump(const struct bpf_insn *insn)
{
	u8 class = BPF_CLASS(insn->code), op = BPF_OP(insn->code);

	return (class == BPF_JMP || class == BPF_JMP32) && op != BPF_EXIT && op != BPF_CALL;
}

static bool ends_function(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_EXIT) || insn->code == (BPF_JMP | BPF_JA) ||
	       insn->code == (BPF_JMP32 | BPF_JA);
}

/* What may end a function early needs to be known to return a number: BTF says so. */
static int check_abnormal_return(struct bpf_verifier_env *env)
{
	if (env->prog->func_info_cnt)
		return 0;
	for (u32 i = 1; i < env->subprog_cnt; i++) {
		if (env->subprogs[i].has_ld_abs)
			return refuse(env, LD_ABS_SUBPROG);
		if (env->subprogs[i].has_tail_call)
			return refuse(env, TAIL_CALL_SUBPROG);
	}
	return 0;
}

int check_subprogs(struct bpf_verifier_env *env)
{
	for (u32 n = 0; n < env->subprog_cnt; n++) {
		struct bpf_subprog_info *subprog = &env->subprogs[n];
		u32 end = subprog[1].start;

		for (u32 i = subprog->start; i < end; i++) {
			const struct bpf_insn *insn = &env->insns[i];
			s64 target = (s64)i + jmp_offset(insn) + 1;

			note_features(subprog, insn);
			if (is_jump(insn) && (target < subprog->start || target >= end))
				return refuse(env, JUMP_OUT, .num = {i, target});
			if (i == end - 1 && !ends_function(insn))
				return refuse(env, LAST_INSN);
		}
	}
	return check_abnormal_return(env);
}

struct depth_walk {
	u32 idx[64]; /* the function at each level */
	u32 ret_insn[64]; /* where to go on in it */
	u32 depth; /* bytes */
	u32 frame;
};

static u32 frame_size(const struct bpf_subprog_info *subprog)
{
	return round_up(subprog->stack_depth, STACK_ALIGN);
}

/*
 * Every chain of calls, by the text of the program: what the walk did not reach counts, too, and a
 * callback is called where its address is taken.
 */
static int check_depth_from(struct bpf_verifier_env *env, u32 start)
{
	struct depth_walk w = {.idx = {start}, .ret_insn = {env->subprogs[start].start}};
	u32 work = 0;

	w.depth = frame_size(&env->subprogs[start]);
	for (;;) {
		u32 n = w.idx[w.frame], i = w.ret_insn[w.frame], end = env->subprogs[n + 1].start;
		int callee;

		while (i < end && !names_func(&env->insns[i]))
			i++;
		work += i - w.ret_insn[w.frame] + 1;
		if (work > MAX_DEPTH_WORK)
			return refuse(env, CALL_CHAINS);
		if (i >= end) { /* back to the caller */
			if (!w.frame)
				return 0;
			w.depth -= frame_size(&env->subprogs[n]);
			w.frame--;
			continue;
		}
		w.ret_insn[w.frame] = i + 1;
		callee = find_subprog(env, i + env->insns[i].imm + 1);
		if (env->subprogs[callee].has_tail_call && w.depth >= 256)
			return refuse(env, TAIL_CALL_STACK, .num = {w.depth});
		if (w.frame + 1 >= MAX_CALL_FRAMES)
			return refuse(env, CALL_DEPTH_TEXT, .num = {w.frame + 2});
		w.frame++;
		w.idx[w.frame] = callee;
		w.ret_insn[w.frame] = env->subprogs[callee].start;
		w.depth += frame_size(&env->subprogs[callee]);
		if (w.depth > MAX_BPF_STACK)
			return refuse(env, STACK_SIZE, .num = {w.frame + 1, w.depth});
		if (env->subprogs[callee].has_tail_call)
			for (u32 f = 0; f <= w.frame; f++)
				env->subprogs[w.idx[f]].tail_call_reachable = true;
	}
}

int check_max_stack_depth(struct bpf_verifier_env *env)
{
	if (env->subprogs[0].stack_depth > MAX_BPF_STACK)
		return -EACCES;
	return check_depth_from(env, 0);
}
