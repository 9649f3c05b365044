/*
 * verifier.c - bpf_check(): is this program safe to run?
 *
 * In this order:
 *  1. flow/: subprog.c finds the functions; opcodes.c looks at every instruction by itself: it must
 *     be of the table, and references to maps are resolved; cfg.c checks that every instruction is
 *     reached and that control stays inside; live.c finds live registers.
 *  2. walk/: walk.c walks all paths from the first instruction with what is known of each register
 *     and each stack slot (state/); checks/ says what each instruction may do and what it makes of
 *     them. Where two paths meet, the second ends if the first covers it (prune.c). Global
 *     functions are walked by themselves after that (calls/global.c says what of).
 *  3. flow/subprog.c adds up the stack of every chain of calls.
 *
 * The program is refused at the first path on which something cannot be proved. Like a loader with
 * all capabilities on Linux, a program may hold, compare and store pointers as numbers, and may
 * read stack that it has not written.
 */
#include "verifier/calls/global.h"
#include "verifier/flow/assume.h"
#include "verifier/flow/cfg.h"
#include "verifier/flow/live.h"
#include "verifier/flow/opcodes.h"
#include "verifier/flow/subprog.h"
#include "verifier/history/path.h"
#include "verifier/history/precise.h"
#include "verifier/state/print.h"
#include "verifier/state/program.h"
#include "verifier/state/refuse.h"
#include "verifier/state/regs.h"
#include "verifier/verifier.h"
#include "verifier/walk/loop.h"
#include "verifier/walk/observer.h"
#include "verifier/walk/prune.h"
#include "verifier/walk/walk.h"

/* ---- where walks begin */

static int check_main(struct bpf_verifier_env *env)
{
	struct bpf_func_state *func = new_func_state(env, -1, 0, 0);

	if (!func)
		return -ENOMEM;
	mark_reg_known_zero(func->regs, BPF_REG_1);
	func->regs[BPF_REG_1].type = env->ops->has_block ? PTR_TO_MEM : PTR_TO_CTX;
	if (env->ops->has_block)
		func->regs[BPF_REG_1].mem_size = bpf_prog_block_size(env->prog);
	return check_from(env, func);
}

static int check_one(struct bpf_verifier_env *env, u32 subprog)
{
	const char *name = env->subprogs[subprog].name ? env->subprogs[subprog].name : "";
	struct bpf_func_state *func = new_func_state(env, -1, 0, subprog);
	int err;

	if (!func)
		return -ENOMEM;
	if (env->log_level & BPF_LOG_LEVEL)
		vtrace(env, "Validating %s() func#%u...\n", name, subprog);
	set_global_args(env, subprog, func->regs);
	env->insn_idx = env->subprogs[subprog].start;
	err = check_from(env, func);
	if (!err && env->log_level & BPF_LOG_LEVEL)
		vtrace(env, "Func#%u ('%s') is safe for any args that match its prototype\n",
		       subprog, name);
	return err;
}

/* All that some walk called; one may call others. */
static int check_global_funcs(struct bpf_verifier_env *env)
{
	bool again = true;

	while (again) {
		again = false;
		for (u32 i = 1; i < env->subprog_cnt; i++) {
			struct bpf_subprog_global *global = &env->global[i];
			int err;

			if (!global->called || global->verified)
				continue;
			global->verified = true;
			again = true;
			err = check_one(env, i);
			if (err)
				return err;
		}
	}
	return 0;
}

/* ---- the door */

static int check_attributes(struct bpf_verifier_env *env)
{
	if (!env->ops)
		return refuse(env, PROG_TYPE);
	if (!env->insn_cnt || env->insn_cnt > BPF_COMPLEXITY_LIMIT_INSNS)
		return refuse(env, PROG_LEN, .num = {BPF_COMPLEXITY_LIMIT_INSNS});
	return 0;
}

static int alloc_env(struct bpf_verifier_env *env)
{
	u32 cnt = env->insn_cnt;

	env->aux = env->out->aux = calloc(cnt, sizeof(*env->aux));
	env->flow = calloc(cnt, sizeof(*env->flow));
	env->explored = calloc(cnt, sizeof(struct bpf_verifier_state *));
	if (!env->aux || !env->flow || !env->explored)
		return -ENOMEM;
	for (u32 i = 0; i < cnt; i++)
		env->aux[i].const_key = -1;
	return 0;
}

static int run_passes(struct bpf_verifier_env *env)
{
	static int (*const passes[])(struct bpf_verifier_env *) = {
		check_attributes, alloc_env,	      find_subprogs,	     check_subprogs,
		check_opcodes,	  check_cfg,	      find_global_funcs,     compute_live_registers,
		check_main,	  check_global_funcs, check_max_stack_depth,
	};
	int err = 0;

	for (u32 i = 0; i < ARRAY_SIZE(passes) && !err; i++) {
		if (passes[i] != check_main && passes[i] != check_global_funcs)
			env->insn_idx = passes[i] == check_max_stack_depth ? -1 : 0;
		err = passes[i](env);
	}
	return err == -ENOMEM && env->mem_reported ? -E2BIG : err;
}

/* Without a walk: what the interpreter and the JIT must be able to rely on. */
static int run_unverified(struct bpf_verifier_env *env)
{
	static int (*const passes[])(struct bpf_verifier_env *) = {
		check_attributes, alloc_env,	 find_subprogs,
		check_subprogs,	  check_opcodes, assume_safe,
	};
	int err = 0;

	for (u32 i = 0; i < ARRAY_SIZE(passes) && !err; i++)
		err = passes[i](env);
	return err;
}

static void free_env(struct bpf_verifier_env *env)
{
	struct bpf_verifier_stack_elem *elem;

	while ((elem = env->head)) {
		env->head = elem->next;
		free_verifier_state(env, &elem->st);
		free(elem);
	}
	if (env->cur_state)
		free_verifier_state(env, env->cur_state);
	free(env->cur_state);
	free_loops(env);
	free_memo(env);
	free_checkpoints(env);
	free(env->explored);
	free(env->flow);
	free(env->subprog_of);
	free(env->global);
	release_shared_mem(env);
	free(env);
}

void bpf_check_share_mem(u64 bytes)
{
	verifier_share_mem(bytes);
}

u64 bpf_check_shared_mem(void)
{
	return verifier_shared_mem();
}

int bpf_check(const struct bpf_prog *prog, struct bpf_log *log, const volatile bool *cancel,
	      struct bpf_verdict *out)
{
	struct bpf_verifier_env *env = calloc(1, sizeof(*env));
	int err;

	memset(out, 0, sizeof(*out));
	out->err_insn = -1;
	if (!env) {
		out->err = -ENOMEM;
		return -ENOMEM;
	}
	env->prog = prog;
	env->ops = bpf_prog_type_ops_find(prog->type);
	env->insns = prog->orig_insns;
	env->insn_cnt = prog->orig_len;
	env->cancel = cancel;
	env->out = out;
	env->observer = bpf_verifier_observer;
	env->log = log;
	env->log_level = log ? log->level : 0;
	env->strict = prog->prog_flags & PROG_F_STRICT;
	env->strict_alignment = prog->prog_flags & BPF_F_STRICT_ALIGNMENT;
	env->test_state_freq = prog->prog_flags & BPF_F_TEST_STATE_FREQ;
	env->test_reg_invariants = prog->prog_flags & PROG_F_TEST_REG_INVARIANTS;
	err = prog->unverified ? run_unverified(env) : run_passes(env);
	out->err = err;
	out->insn_processed = env->insn_processed;
	out->work = env->work;
	if (err) {
		refuse_errno(env, err);
		if (env->insn_processed && env->insn_idx >= 0)
			out->err_insn = env->insn_idx;
	} else {
		out->reason_cnt = 0;
	}
	print_verification_stats(env);
	free_env(env);
	return err;
}
