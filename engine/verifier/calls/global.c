/*
 * global.c - global functions: checked once for any arguments of their types
 *
 * BTF says which functions are global and what they take. A call of one is not followed: the
 * arguments must be of the types, R0 is any number afterwards, and the function is walked by itself
 * later, from arguments of which nothing is known but their types: numbers, the context, or memory
 * of a known size that may be NULL. Functions that take or return anything else are walked at each
 * call, like static ones.
 */
#include <bpf/btf.h>
#include "verifier/held/dynptr.h"
#include "verifier/calls/dynptr_arg.h"
#include "verifier/calls/global.h"
#include "verifier/held/lock.h"
#include "verifier/checks/mem.h"
#include "verifier/history/precise.h"
#include "verifier/state/print.h"
#include "verifier/state/program.h"
#include "verifier/state/refuse.h"
#include "verifier/state/regs.h"

static const struct btf_type *skip_modifiers(const struct btf *btf, u32 id, u32 *real)
{
	const struct btf_type *type = btf__type_by_id(btf, id);

	for (u32 n = 0; type && (btf_is_mod(type) || btf_is_typedef(type)); n++) {
		if (n == 32)
			return NULL;
		id = type->type;
		type = btf__type_by_id(btf, id);
	}
	*real = id;
	return type;
}

static bool is_number(const struct btf_type *type)
{
	return type && (btf_is_int(type) || btf_is_any_enum(type));
}

/* The C type that stands for the context of this type of program. */
static const char *ctx_name(enum bpf_prog_type type)
{
	return type == BPF_PROG_TYPE_XDP ? "xdp_md" : "__sk_buff";
}

static bool describe_arg(struct bpf_verifier_env *env, const struct btf *btf, u32 id,
			 struct bpf_subprog_arg *arg)
{
	const struct btf_type *type = skip_modifiers(btf, id, &id);
	s64 size;

	if (is_number(type)) {
		arg->type = SCALAR_VALUE;
		return true;
	}
	if (!type || !btf_is_ptr(type))
		return false;
	type = skip_modifiers(btf, type->type, &id);
	if (!type)
		return false;
	if (btf_is_struct(type) && !env->ops->has_block &&
	    !strcmp(btf__name_by_offset(btf, type->name_off), ctx_name(env->prog->type))) {
		arg->type = PTR_TO_CTX;
		return true;
	}
	if (btf_is_struct(type) &&
	    !strcmp(btf__name_by_offset(btf, type->name_off), "bpf_dynptr")) {
		arg->type = CONST_PTR_TO_DYNPTR;
		return true;
	}
	size = btf__resolve_size(btf, id);
	if (size <= 0 || size > INT32_MAX)
		return false;
	arg->type = PTR_TO_MEM | PTR_MAYBE_NULL;
	arg->mem_size = size;
	return true;
}

static bool describe_func(struct bpf_verifier_env *env, const struct btf_type *func,
			  struct bpf_subprog_global *global)
{
	const struct btf *btf = env->prog->btf->btf;
	const struct btf_type *proto = btf__type_by_id(btf, func->type);
	u32 id;

	if (!proto || !btf_is_func_proto(proto) || btf_vlen(proto) > 5 ||
	    !is_number(skip_modifiers(btf, proto->type, &id)))
		return false;
	global->arg_cnt = btf_vlen(proto);
	for (u32 i = 0; i < global->arg_cnt; i++)
		if (!describe_arg(env, btf, btf_params(proto)[i].type, &global->args[i]))
			return false;
	return true;
}

/* Declaration tags change what arguments are: such functions are left to the walk. */
static bool has_decl_tags(const struct btf *btf)
{
	for (u32 i = 1; i < btf__type_cnt(btf); i++)
		if (btf_is_decl_tag(btf__type_by_id(btf, i)))
			return true;
	return false;
}

static bool helper_changes_packet(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	const struct bpf_func_proto *proto;

	if (insn->code != (BPF_JMP | BPF_CALL) || insn->src_reg)
		return false;
	if (insn->imm == BPF_FUNC_tail_call)
		return true;
	return !get_helper_proto(env, insn->imm, &proto) && proto->changes_pkt_data;
}

/*
 * By the text, as the functions are not walked at the call. One look at the instructions finds who
 * calls whom; the rest goes over functions.
 */
static int find_packet_changers(struct bpf_verifier_env *env)
{
	u32 cnt = env->subprog_cnt;
	__do_free bool *calls = calloc(cnt, cnt); /* [caller * cnt + callee] */
	bool changed = true;

	if (!calls)
		return -ENOMEM;
	for (u32 i = 0; i < env->insn_cnt; i++) {
		const struct bpf_insn *insn = &env->insns[i];
		u32 caller = env->subprog_of[i];
		int callee;

		if (bpf_insn_is_pseudo_call(insn) || bpf_insn_is_pseudo_func(insn)) {
			callee = find_subprog(env, i + insn->imm + 1);
			if (callee >= 0)
				calls[caller * cnt + callee] = true;
		} else if (helper_changes_packet(env, insn)) {
			env->global[caller].changes_pkt_data = true;
		}
	}
	while (changed) {
		changed = false;
		for (u32 i = 0; i < cnt * cnt; i++) {
			struct bpf_subprog_global *caller = &env->global[i / cnt];

			if (!calls[i] || caller->changes_pkt_data ||
			    !env->global[i % cnt].changes_pkt_data)
				continue;
			caller->changes_pkt_data = changed = true;
		}
	}
	return 0;
}

int find_global_funcs(struct bpf_verifier_env *env)
{
	const struct bpf_prog *prog = env->prog;
	bool some = false;

	env->global = calloc(env->subprog_cnt, sizeof(*env->global));
	if (!env->global)
		return -ENOMEM;
	if (!prog->btf || env->subprog_cnt == 1 || has_decl_tags(prog->btf->btf))
		return 0;
	for (u32 i = 0; i < prog->func_info_cnt; i++) {
		const struct btf_type *func =
			btf__type_by_id(prog->btf->btf, prog->func_info[i].type_id);
		int n = find_subprog(env, prog->func_info[i].insn_off);

		if (n <= 0 || !func || !btf_is_func(func) || btf_vlen(func) != BTF_FUNC_GLOBAL)
			continue;
		env->global[n].is_global = describe_func(env, func, &env->global[n]);
		env->subprogs[n].is_global = env->global[n].is_global;
		some |= env->global[n].is_global;
	}
	return some ? find_packet_changers(env) : 0;
}

/* ---- a call of one */

static int check_mem_arg(struct bpf_verifier_env *env, u32 regno, u32 size)
{
	struct bpf_reg_state *reg = &cur_regs(env)[regno], saved = *reg;
	int err;

	if (register_is_null(reg))
		return mark_chain_precision(env, regno); /* see check_func_arg() */
	/* The function looks for NULL itself. */
	mark_ptr_not_null(reg);
	err = check_helper_mem_access(env, regno, size, BPF_READ, true, NULL);
	if (!err)
		err = check_helper_mem_access(env, regno, size, BPF_WRITE, true, NULL);
	*reg = saved;
	return err == -EACCES ? -EINVAL : err; /* a wrong argument, as the others */
}

static int check_global_arg(struct bpf_verifier_env *env, u32 i, const struct bpf_subprog_arg *arg)
{
	u32 regno = BPF_REG_1 + i;
	const struct bpf_reg_state *reg = &cur_regs(env)[regno];
	int err = check_reg_arg(env, regno, SRC_OP);

	if (err)
		return err;
	switch (arg->type) {
	case SCALAR_VALUE:
		if (reg->type == SCALAR_VALUE)
			return 0;
		return refuse(env, ARG_NOT_SCALAR, .reg = regno);
	case PTR_TO_CTX:
		if (reg->type == PTR_TO_CTX)
			return check_ptr_off_reg(env, reg, regno);
		return refuse(env, ARG_NOT_CTX, .num = {i}, .type = reg->type);
	case CONST_PTR_TO_DYNPTR:
		if (reg->type == CONST_PTR_TO_DYNPTR)
			err = check_ptr_off_reg(env, reg, regno);
		return err ? err
			   : process_dynptr_func(env, regno, -1, ARG_PTR_TO_DYNPTR | MEM_RDONLY);
	default:
		return check_mem_arg(env, regno, arg->mem_size);
	}
}

/* The call at env->insn_idx of a global function. */
int check_global_call(struct bpf_verifier_env *env, u32 subprog)
{
	struct bpf_subprog_global *global = &env->global[subprog];
	struct bpf_reg_state *regs = cur_regs(env);
	const char *name = env->subprogs[subprog].name ? env->subprogs[subprog].name : "";
	int err;

	err = check_global_call_lock(env);
	if (err)
		return err;
	for (u32 i = 0; i < global->arg_cnt; i++) {
		err = check_global_arg(env, i, &global->args[i]);
		if (err) {
			refuse(env, GLOBAL_ARGS, .num = {subprog}, .name = {name});
			return err;
		}
	}
	if (env->log_level & BPF_LOG_LEVEL)
		vtrace(env, "Func#%u ('%s') is global and assumed valid.\n", subprog, name);
	if (global->changes_pkt_data)
		clear_all_pkt_pointers(env);
	global->called = true;
	for (u32 i = BPF_REG_0; i <= BPF_REG_5; i++)
		mark_reg_not_init(regs, i);
	mark_reg_unknown(regs, BPF_REG_0);
	mark_reg_scratched(env, BPF_REG_0);
	return 0;
}

/* ---- the function by itself */

void set_global_args(struct bpf_verifier_env *env, u32 subprog, struct bpf_reg_state *regs)
{
	const struct bpf_subprog_global *global = &env->global[subprog];

	for (u32 i = 0; i < global->arg_cnt; i++) {
		const struct bpf_subprog_arg *arg = &global->args[i];
		u32 regno = BPF_REG_1 + i;

		mark_reg_unknown(regs, regno);
		if (arg->type == SCALAR_VALUE)
			continue;
		mark_reg_known_zero(regs, regno);
		regs[regno].type = arg->type;
		if (arg->type == CONST_PTR_TO_DYNPTR)
			mark_dynptr_reg(&regs[regno], BPF_DYNPTR_TYPE_LOCAL, true, ++env->id_gen);
		if (arg->type & PTR_MAYBE_NULL) {
			regs[regno].mem_size = arg->mem_size;
			regs[regno].id = ++env->id_gen;
		}
	}
}
