/*
 * cfg.c - the flow of control, before anything is known about values
 *
 * check_cfg() walks every edge from the first instruction, depth first. What it does not reach is refused: the
 * compiler would have removed it. It marks the places where states are compared (targets of branches,
 * instructions after a call), and those that may be reached otherwise than from the instruction before.
 *
 * compute_live_registers() then finds for each instruction the registers that are read after it before they are
 * written: the least solution of the usual equations, per function. A state is compared by live registers only.
 */
#include "verifier/env.h"

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

/* The edges out of t in the order in which they are walked; how many there are. */
static u32 successors(const struct bpf_verifier_env *env, u32 t, s64 *to, bool with_calls)
{
	const struct bpf_insn *insn = &env->insns[t];
	s64 next = t + (bpf_insn_is_imm64(insn) ? 2 : 1);

	to[0] = next;
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

static void mark_points(struct bpf_verifier_env *env, u32 t, const s64 *to, u32 cnt)
{
	const struct bpf_insn *insn = &env->insns[t];

	if (!is_branch_class(insn) || !cnt)
		return;
	switch (BPF_OP(insn->code)) {
	case BPF_CALL:
		env->flow[to[0]].prune_point = true;
		env->flow[to[0]].jmp_point = true;
		break;
	case BPF_JA:
		env->flow[to[0]].prune_point = true;
		env->flow[to[0]].jmp_point = true;
		return;
	default:
		env->flow[t].prune_point = true;
	}
	if (cnt > 1) {
		env->flow[to[1]].prune_point = true;
		env->flow[to[1]].jmp_point = true;
	}
}

/* Take the next edge of the instruction on top: into the walk, or off the stack when none is left. */
static int walk_step(struct cfg_walk *w)
{
	struct bpf_verifier_env *env = w->env;
	u32 t = w->stack[w->depth - 1], cnt, i;
	s64 to[2];

	cnt = successors(env, t, to, true);
	for (i = 0; i < cnt; i++) {
		if (to[i] >= 0 && to[i] < env->insn_cnt)
			continue;
		verbose_linfo(env, t, "; ");
		verbose(env, "jump out of range from insn %u to %lld\n", t, (long long)to[i]);
		return -EINVAL;
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
		if (state[i] != EXPLORED) {
			verbose(env, "unreachable insn %u\n", i);
			return -EINVAL;
		}
		if (!bpf_insn_is_imm64(&env->insns[i]))
			continue;
		if (state[i + 1] != UNSEEN) {
			verbose(env, "jump into the middle of ldimm64 insn %u\n", i);
			return -EINVAL;
		}
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

/* ---- live registers */

static u16 bit(u32 reg)
{
	return reg < BPF_REG_FP ? 1u << reg : 0;
}

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

#define ALL_REGS 0x3ff

static void use_def_of_atomic(const struct bpf_insn *insn, u16 *use, u16 *def)
{
	*use = bit(insn->dst_reg) | bit(insn->src_reg);
	if (insn->imm == BPF_CMPXCHG) {
		*use |= bit(BPF_REG_0);
		*def = bit(BPF_REG_0);
	} else if (insn->imm & BPF_FETCH) {
		*def = bit(insn->src_reg);
	}
}

static void use_def_of_jump(struct bpf_verifier_env *env, const struct bpf_insn *insn, u16 *use,
			    u16 *def)
{
	switch (BPF_OP(insn->code)) {
	case BPF_EXIT:
		*use = bit(BPF_REG_0);
		break;
	case BPF_CALL:
		*use = helper_arg_mask(env, insn);
		*def = CALLER_SAVED;
		break;
	case BPF_JA:
		break;
	default:
		*use = bit(insn->dst_reg);
		if (BPF_SRC(insn->code) == BPF_X)
			*use |= bit(insn->src_reg);
	}
}

static void use_def(struct bpf_verifier_env *env, const struct bpf_insn *insn, u16 *use, u16 *def)
{
	u16 dst = bit(insn->dst_reg), src = bit(insn->src_reg);

	*use = *def = 0;
	switch (BPF_CLASS(insn->code)) {
	case BPF_LD:
		if (BPF_MODE(insn->code) == BPF_IMM) {
			*def = dst;
			break;
		}
		*use = ALL_REGS; /* rare, and what fails leaves the function */
		break;
	case BPF_LDX:
		*use = src;
		*def = dst;
		break;
	case BPF_ST:
		*use = dst;
		break;
	case BPF_STX:
		if (BPF_MODE(insn->code) == BPF_ATOMIC)
			use_def_of_atomic(insn, use, def);
		else
			*use = dst | src;
		break;
	case BPF_ALU:
	case BPF_ALU64:
		*def = dst;
		if (BPF_OP(insn->code) != BPF_MOV)
			*use = dst;
		if (BPF_OP(insn->code) != BPF_END && BPF_SRC(insn->code) == BPF_X)
			*use |= src;
		break;
	default:
		use_def_of_jump(env, insn, use, def);
	}
}

struct use_def {
	u16 use, def;
};

/* Backwards over the program until nothing changes; a function's flow stays inside of it. */
int compute_live_registers(struct bpf_verifier_env *env)
{
	__do_free struct use_def *ud = calloc(env->insn_cnt, sizeof(*ud));
	bool changed = true;

	if (!ud)
		return -ENOMEM;
	for (u32 i = 0; i < env->insn_cnt; i++) {
		use_def(env, &env->insns[i], &ud[i].use, &ud[i].def);
		if (bpf_insn_is_imm64(&env->insns[i]))
			i++;
	}
	while (changed) {
		changed = false;
		if (env->cancel && *env->cancel)
			return -EINTR;
		for (int i = env->insn_cnt - 1; i >= 0; i--) {
			s64 to[2];
			u32 cnt = successors(env, i, to, false);
			u16 out = 0, in;

			for (u32 j = 0; j < cnt; j++)
				if (to[j] >= 0 && to[j] < env->insn_cnt)
					out |= env->flow[to[j]].live_regs;
			in = (out & ~ud[i].def) | ud[i].use;
			if (in == env->flow[i].live_regs)
				continue;
			env->flow[i].live_regs = in;
			changed = true;
		}
	}
	if (env->log_level & BPF_LOG_LEVEL2)
		print_live_regs(env);
	return 0;
}
