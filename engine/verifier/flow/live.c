/*
 * live.c - for each instruction, the registers that are read after it before they are written
 *
 * The least solution of the usual equations, per function. A state is compared by live registers
 * only.
 */
#include "verifier/flow/cfg.h"
#include "verifier/flow/live.h"
#include "verifier/state/print.h"
#include "verifier/state/program.h"

static u32 helper_arg_mask(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	const struct bpf_func_proto *proto;
	u32 n = 0;

	if (insn->src_reg || get_helper_proto(env, insn->imm, &proto) || !proto->func)
		return CALL_ARGS;
	while (n < 5 && proto->arg_type[n] != ARG_DONTCARE)
		n++;
	return ((1u << n) - 1) << 1;
}

#define ALL_REGS 0x3ff /* R10 is always there */

static void use_def(struct bpf_verifier_env *env, const struct bpf_insn *insn, u16 *use, u16 *def)
{
	int op = bpf_insn_decode(insn);

	if (op < 0) /* the walk refuses it where it comes by */
		op = bpf_op_by_code(insn->code);
	bpf_insn_regs(op, insn, use, def);
	switch (bpf_op_info[op].format) {
	case BPF_FMT_CALL:
		*use = helper_arg_mask(env, insn);
		break;
	case BPF_FMT_LD_ABS: /* rare, and what fails leaves the function */
	case BPF_FMT_LD_IND:
		*use = ALL_REGS;
		*def = 0;
		break;
	default:
		break;
	}
	*use &= ALL_REGS;
	*def &= ALL_REGS;
}

/*
 * The work that is left: instructions whose successors changed. An instruction changes at most once
 * a register, so that the work is linear in the program, whatever its loops.
 */
struct live_walk {
	struct bpf_verifier_env *env;
	u16 *use, *def;
	u32 *pred_at; /* predecessors of i are pred[pred_at[i]] to pred[pred_at[i + 1] - 1] */
	u32 *pred;
	u32 *stack;
	u8 *on_stack;
	u32 depth;
};

static void free_live_walk(struct live_walk *w)
{
	free(w->use);
	free(w->pred_at);
	free(w->on_stack);
}

static int alloc_live_walk(struct live_walk *w, struct bpf_verifier_env *env)
{
	size_t cnt = env->insn_cnt;

	memset(w, 0, sizeof(*w));
	w->env = env;
	w->use = calloc(cnt, 2 * sizeof(u16));
	w->pred_at = calloc(4 * cnt + 2, sizeof(u32)); /* each has two edges at most */
	w->on_stack = calloc(cnt, 1);
	if (!w->use || !w->pred_at || !w->on_stack) {
		free_live_walk(w);
		return -ENOMEM;
	}
	w->def = w->use + cnt;
	w->pred = w->pred_at + cnt + 2;
	w->stack = w->pred + 2 * cnt;
	return 0;
}

static u32 successors_of(struct bpf_verifier_env *env, u32 i, s64 *to)
{
	if (!env->insns[i].code) /* second half of LD_IMM64 */
		return 0;
	return insn_successors(env, i, to, false);
}

/* Counts at pred_at[i + 2], sums them up, and fills; pred_at[i + 1] is then the end of i. */
static void find_predecessors(struct live_walk *w)
{
	u32 cnt = w->env->insn_cnt, i, j, n;
	s64 to[2];

	for (i = 0; i < cnt; i++) {
		n = successors_of(w->env, i, to);
		for (j = 0; j < n; j++)
			w->pred_at[to[j] + 2]++;
	}
	for (i = 2; i <= cnt + 1; i++)
		w->pred_at[i] += w->pred_at[i - 1];
	for (i = 0; i < cnt; i++) {
		n = successors_of(w->env, i, to);
		for (j = 0; j < n; j++)
			w->pred[w->pred_at[to[j] + 1]++] = i;
	}
}

static void push_live(struct live_walk *w, u32 i)
{
	if (w->on_stack[i])
		return;
	w->on_stack[i] = 1;
	w->stack[w->depth++] = i;
}

static void update_live(struct live_walk *w, u32 i)
{
	struct bpf_insn_flow *flow = w->env->flow;
	u16 out = 0, in;
	s64 to[2];
	u32 n = successors_of(w->env, i, to);

	for (u32 j = 0; j < n; j++)
		out |= flow[to[j]].live_regs;
	in = (out & ~w->def[i]) | w->use[i];
	if (in == flow[i].live_regs)
		return;
	flow[i].live_regs = in;
	for (u32 j = w->pred_at[i]; j < w->pred_at[i + 1]; j++)
		push_live(w, w->pred[j]);
}

int compute_live_registers(struct bpf_verifier_env *env)
{
	struct live_walk w;
	int err = alloc_live_walk(&w, env);

	if (err)
		return err;
	for (u32 i = 0; i < env->insn_cnt; i++) {
		if (!env->insns[i].code)
			continue;
		use_def(env, &env->insns[i], &w.use[i], &w.def[i]);
		push_live(&w, i);
	}
	find_predecessors(&w);
	while (w.depth) {
		u32 i = w.stack[--w.depth];

		w.on_stack[i] = 0;
		update_live(&w, i);
	}
	free_live_walk(&w);
	if (env->log_level & BPF_LOG_LEVEL2)
		print_live_regs(env);
	return 0;
}
