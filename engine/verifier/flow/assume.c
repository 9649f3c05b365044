/*
 * assume.c - see assume.h
 *
 * Instructions are of the table or callx, jumps and calls stay inside, and helpers are there: what
 * the interpreter and the JIT build on. Registers, memory and loops are the loader's business.
 */
#include "verifier/flow/assume.h"
#include "verifier/state/print.h"
#include "verifier/state/program.h"
#include "verifier/state/refuse.h"

static int assume_insn(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	const struct bpf_func_proto *proto;

	if (is_callx(insn))
		return insn->dst_reg <= BPF_REG_9 ? 0
						  : refuse(env, REG_NUMBER, .reg = insn->dst_reg);
	if (bpf_insn_decode(insn) < 0)
		return refuse(env, RESERVED_FIELDS, .name = {"instruction"});
	if (insn->code != (BPF_JMP | BPF_CALL) || insn->src_reg)
		return 0;
	if (get_helper_proto(env, insn->imm, &proto) || !proto->func)
		return refuse(env, HELPER_UNKNOWN, .num = {insn->imm},
			      .name = {func_id_name(insn->imm)});
	return 0;
}

int assume_safe(struct bpf_verifier_env *env)
{
	for (u32 i = 0; i < env->insn_cnt; i++) {
		int err;

		env->insn_idx = (int)i;
		err = assume_insn(env, &env->insns[i]);
		if (err)
			return err;
		env->aux[i].seen = true;
		if (bpf_insn_is_imm64(&env->insns[i]))
			env->aux[++i].seen = true;
	}
	for (u32 i = 0; i < env->subprog_cnt; i++)
		env->subprogs[i].stack_depth = MAX_BPF_STACK;
	env->out->zero_stack = true;
	return 0;
}
