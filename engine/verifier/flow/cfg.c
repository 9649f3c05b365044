/*
 * cfg.c - the flow of control, before anything is known about values
 *
 * check_cfg() walks every edge from the first instruction, depth first. What it does not reach is
 * refused: the compiler would have removed it. It marks the places where states are compared
 * (targets of branches, instructions after a call), and those that may be reached otherwise than
 * from the instruction before.
 */
#include "verifier/flow/cfg.h"
#include "verifier/state/print.h"
#include "verifier/state/refuse.h"

enum {
	UNSEEN = 0,
	DISCOVERED = 1, /* on the stack */
	EXPLORED = 2,
};

struct cfg_walk {
	struct bpf_verifier_env *env;
	u8 *state;
	u8 *edge; /* of a discovered instruction: how many edges were taken */
	u32 *stack;
	u32 depth;
};

static bool is_branch_class(const struct bpf_insn *insn)
{
	return BPF_CLASS(insn->code) == BPF_JMP || BPF_CLASS(insn->code) == BPF_JMP32;
}

u32 insn_successors(const struct bpf_verifier_env *env, u32 t, s64 *to, bool with_calls)
{
	const struct bpf_insn *insn = &env->insns[t];
	s64 next = t + (bpf_insn_is_imm64(insn) ? 2 : 1);

	to[0] = next;
	if (bpf_insn_is_pseudo_func(insn) && with_calls) {
		to[1] = (s64)t + insn->imm + 1;
		return 2;
	}
	if (!is_branch_class(insn))
		return 1;
	switch (BPF_OP(insn->code)) {
	case BPF_EXIT:
		return 0;
	case BPF_CALL:
		if (!with_calls || !bpf_insn_is_pseudo_call(insn))
			return 1;
		to[1] = (s64)t + insn->imm + 1;
		return 2;
	case BPF_JA:
		to[0] = (s64)t + jmp_offset(insn) + 1;
		return 1;
	default:
		to[1] = (s64)t + insn->off + 1;
		return 2;
	}
}

/* A helper that calls a function of the program. */
static bool calls_callback(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_CALL) && !insn->src_reg &&
	       (insn->imm == BPF_FUNC_for_each_map_elem || insn->imm == BPF_FUNC_loop);
}

/* A function, called or named: how control comes back, and in. */
static void mark_func_points(struct bpf_verifier_env *env, u32 t, const s64 *to, u32 cnt)
{
	struct bpf_insn_flow *flow = &env->flow[t];

	env->flow[to[0]].prune_point = true;
	env->flow[to[0]].jmp_point = true;
	flow->prune_point |= cnt > 1;
	if (calls_callback(&env->insns[t])) {
		flow->calls_callback = true;
		flow->prune_point = true;
		flow->jmp_point = true;
	}
}

static void mark_points(struct bpf_verifier_env *env, u32 t, const s64 *to, u32 cnt)
{
	const struct bpf_insn *insn = &env->insns[t];

	if (!cnt || (!is_branch_class(insn) && cnt == 1))
		return;
	if (!is_branch_class(insn) || BPF_OP(insn->code) == BPF_CALL) {
		mark_func_points(env, t, to, cnt);
	} else if (BPF_OP(insn->code) == BPF_JA) {
		env->flow[to[0]].prune_point = true;
		env->flow[to[0]].jmp_point = true;
	} else {
		env->flow[t].prune_point = true;
	}
	if (cnt > 1) {
		env->flow[to[1]].prune_point = true;
		env->flow[to[1]].jmp_point = true;
	}
}

/*
 * Take the next edge of the instruction on top: into the walk, or off the stack when none is left.
 */
static int walk_step(struct cfg_walk *w)
{
	struct bpf_verifier_env *env = w->env;
	u32 t = w->stack[w->depth - 1], cnt, i;
	s64 to[2];

	cnt = insn_successors(env, t, to, true);
	for (i = 0; i < cnt; i++) {
		if (to[i] >= 0 && to[i] < env->insn_cnt)
			continue;
		verbose_linfo(env, t, "; ");
		return refuse(env, JUMP_OUT, .num = {t, to[i]});
	}
	if (!w->edge[t])
		mark_points(env, t, to, cnt);
	while (w->edge[t] < cnt) {
		u32 next = to[w->edge[t]++];

		if (w->state[next] != UNSEEN)
			continue;
		w->state[next] = DISCOVERED;
		w->stack[w->depth++] = next;
		return 0;
	}
	w->state[t] = EXPLORED;
	w->depth--;
	return 0;
}

static int check_reached(struct bpf_verifier_env *env, const u8 *state)
{
	for (u32 i = 0; i < env->insn_cnt; i++) {
		if (state[i] != EXPLORED)
			return refuse(env, UNREACHABLE, .num = {i});
		if (!bpf_insn_is_imm64(&env->insns[i]))
			continue;
		if (state[i + 1] != UNSEEN)
			return refuse(env, JUMP_INTO_IMM64, .num = {i});
		i++;
	}
	return 0;
}

int check_cfg(struct bpf_verifier_env *env)
{
	__do_free u8 *state = calloc(env->insn_cnt, 2);
	__do_free u32 *stack = calloc(env->insn_cnt, sizeof(*stack));
	struct cfg_walk w = {env, state, state + env->insn_cnt, stack, 1};
	int err;

	if (!state || !stack)
		return -ENOMEM;
	state[0] = DISCOVERED;
	while (w.depth) {
		err = walk_step(&w);
		if (err)
			return err;
	}
	return check_reached(env, state);
}
