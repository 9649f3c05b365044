/*
 * verifier.c - bpf_check(): is this program safe to run?
 *
 * In this order:
 *  1. subprog.c finds the functions; every instruction must be of the table; references to maps
 *     are resolved.
 *  2. cfg.c checks that every instruction is reached and that control stays inside, and finds live
 *     registers.
 *  3. do_check() walks all paths from the first instruction with what is known of each register and
 *     each stack slot. Where two paths meet, the second ends if the first covers it (prune.c).
 *     Global functions are walked by themselves after that (global.c).
 *  4. subprog.c adds up the stack of every chain of calls.
 *
 * The program is refused at the first path on which something cannot be proved. Like a loader with
 * all capabilities on Linux, a program may hold, compare and store pointers as numbers, and may
 * read stack that it has not written.
 */
#include "verifier/env.h"

/* ---- references to maps */

static int check_map_value_ref(struct bpf_verifier_env *env, const struct bpf_map *map, u32 off)
{
	u64 addr;

	if (off >= BPF_MAX_VAR_OFF) {
		verbose(env, "direct value offset of %u is not allowed\n", off);
		return -EINVAL;
	}
	if (!map->ops->map_direct_value_addr) {
		verbose(env, "no direct value access support for this map type\n");
		return -EINVAL;
	}
	if (map->max_entries != 1) {
		verbose(env, "direct value access needs a map of one entry, this one has %u\n",
			map->max_entries);
		return -ENOTSUP;
	}
	if (off >= map->value_size || map->ops->map_direct_value_addr(map, &addr, off)) {
		verbose(env, "invalid access to map value pointer, value_size=%u off=%u\n",
			map->value_size, off);
		return -EINVAL;
	}
	return 0;
}

/* One map of each kind: the attachment has one storage of each. */
static int note_cgroup_storage(struct bpf_verifier_env *env, struct bpf_map *map)
{
	int type = bpf_cgroup_storage_type(map);

	if (type < 0)
		return 0;
	if (env->out->cgroup_storage[type] && env->out->cgroup_storage[type] != map) {
		verbose(env, "only one cgroup storage of each type is allowed\n");
		return -EBUSY;
	}
	env->out->cgroup_storage[type] = map;
	return 0;
}

static int resolve_imm64(struct bpf_verifier_env *env, u32 i)
{
	const struct bpf_insn *insn = &env->insns[i];
	u32 idx = insn->imm;

	if (i + 1 >= env->insn_cnt || !bpf_insn_valid_imm64(&insn[1])) {
		verbose(env, "invalid bpf_ld_imm64 insn\n");
		return -EINVAL;
	}
	switch (insn->src_reg) {
	case 0:
		return 0;
	case BPF_PSEUDO_MAP_IDX:
	case BPF_PSEUDO_MAP_IDX_VALUE:
		break;
	case BPF_PSEUDO_FUNC: /* subprog.c looked where it goes */
		return 0;
	case BPF_PSEUDO_BTF_ID:
		verbose(env, "insn %u: this kind of bpf_ld_imm64 is not supported by this build\n",
			i);
		return -ENOTSUP;
	default:
		verbose(env, "unrecognized bpf_ld_imm64 insn\n");
		return -EINVAL;
	}
	if (idx >= env->prog->used_map_cnt) {
		verbose(env, "invalid map index %u in bpf_ld_imm64 insn\n", idx);
		return -EINVAL;
	}
	env->aux[i].map_idx = idx + 1;
	if (check_map_lock_use(env, env->prog->used_maps[idx]))
		return -EINVAL;
	if (note_cgroup_storage(env, env->prog->used_maps[idx]))
		return -EBUSY;
	if (insn->src_reg == BPF_PSEUDO_MAP_IDX_VALUE)
		return check_map_value_ref(env, env->prog->used_maps[idx], insn[1].imm);
	if (insn[1].imm) {
		verbose(env, "unrecognized bpf_ld_imm64 insn\n");
		return -EINVAL;
	}
	return 0;
}

/*
 * Code bytes of the table, whole LD_IMM64 and maps that exist; the other fields when the walk comes
 * by.
 */
static int check_opcodes(struct bpf_verifier_env *env)
{
	int err;

	for (u32 i = 0; i < env->insn_cnt; i++) {
		const struct bpf_insn *insn = &env->insns[i];

		if (bpf_insn_is_imm64(insn)) {
			err = resolve_imm64(env, i);
			if (err)
				return err;
			i++;
			continue;
		}
		/* Linux looks at this one before the walk, so also where nothing comes by. */
		if (BPF_CLASS(insn->code) == BPF_LDX && bpf_op_by_code(insn->code) >= 0 &&
		    insn->imm) {
			verbose(env, "BPF_LDX uses reserved fields\n");
			return -EINVAL;
		}
		if (bpf_op_by_code(insn->code) < 0 || insn->code == (BPF_JMP | BPF_TAIL_CALL)) {
			verbose(env, "unknown opcode %02x\n", insn->code);
			return -EINVAL;
		}
	}
	return 0;
}

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
	if (insn->dst_reg >= MAX_BPF_REG || insn->src_reg >= MAX_BPF_REG) {
		verbose(env, "R%d is invalid\n",
			insn->dst_reg >= MAX_BPF_REG ? insn->dst_reg : insn->src_reg);
		return -EINVAL;
	}
	if (BPF_CLASS(insn->code) == BPF_STX && BPF_MODE(insn->code) == BPF_ATOMIC &&
	    !knows_atomic(insn->imm)) {
		bool on_linux = insn->imm == BPF_LOAD_ACQ || insn->imm == BPF_STORE_REL;

		verbose(env, "BPF_ATOMIC uses invalid atomic opcode %02x%s\n", insn->imm,
			on_linux ? " (not supported by this build)" : "");
		return on_linux ? -ENOTSUP : -EINVAL;
	}
	verbose(env, "%s uses reserved fields\n", reserved_class(insn));
	return -EINVAL;
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
	} else if (*prev != type && (!mismatch_ok(*prev) || !mismatch_ok(type))) {
		verbose(env, "same insn cannot be used with different pointers\n");
		return -EINVAL;
	}
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
	if (!err)
		check_bounds_sane(env, &regs[insn->dst_reg]);
	return err;
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
	env->aux[env->insn_idx].seen = true;
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
			env->aux[env->insn_idx].seen = true;
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

/* Before an instruction: is the path known to be safe from here? 1: yes, it ends. */
static int enter_insn(struct bpf_verifier_env *env, int prev_insn_idx)
{
	struct bpf_verifier_state *st = env->cur_state;
	const struct bpf_insn_flow *flow = &env->flow[env->insn_idx];
	int err;

	env->cur_hist_ent = NULL;
	env->prev_insn_idx = prev_insn_idx;
	if (++env->insn_processed > BPF_COMPLEXITY_LIMIT_INSNS) {
		verbose(env, "BPF program is too large. Processed %d insn\n", env->insn_processed);
		return -E2BIG;
	}
	if (!(env->insn_processed & 0xff) && env->cancel &&
	    __atomic_load_n(env->cancel, __ATOMIC_RELAXED))
		return -EINTR;
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
	trace_insn(env);
	return 0;
}

static int do_check(struct bpf_verifier_env *env)
{
	bool pop_log = !(env->log_level & BPF_LOG_LEVEL2);
	int prev_insn_idx = -1, err;

	for (;;) {
		err = enter_insn(env, prev_insn_idx);
		if (!err) {
			prev_insn_idx = env->insn_idx;
			err = do_check_insn(env);
		}
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
	env->do_print_state = false;
	env->prev_log_pos = 0;
	env->prev_linfo = NULL;
	mark_verifier_state_scratched(env);
	err = do_check(env);
	if (!err && !(env->log_level & BPF_LOG_LEVEL2))
		bpf_log_reset(env->log, 0);
	return err;
}

static int check_main(struct bpf_verifier_env *env)
{
	struct bpf_func_state *func = new_func_state(env, -1, 0, 0);

	if (!func)
		return -ENOMEM;
	mark_reg_known_zero(func->regs, BPF_REG_1);
	func->regs[BPF_REG_1].type = PTR_TO_CTX;
	return check_from(env, func);
}

/* ---- the door */

static int check_attributes(struct bpf_verifier_env *env)
{
	if (!env->ops) {
		verbose(env, "programs of this type are not supported by this build\n");
		return -ENOTSUP;
	}
	if (!env->insn_cnt || env->insn_cnt > BPF_COMPLEXITY_LIMIT_INSNS) {
		verbose(env, "a program has 1 to %d instructions\n", BPF_COMPLEXITY_LIMIT_INSNS);
		return -E2BIG;
	}
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
	free_checkpoints(env);
	free(env->explored);
	free(env->flow);
	free(env->subprog_of);
	free(env->global);
	free(env);
}

static char *take_reason(struct bpf_verifier_env *env, int err)
{
	size_t len = strlen(env->reason);

	while (len && env->reason[len - 1] == '\n')
		env->reason[--len] = 0;
	if (len)
		return strdup(env->reason);
	switch (err) {
	case -ENOMEM:
		return strdup("out of memory");
	case -EINTR:
		return strdup("interrupted");
	default:
		return strdup(strerror(-err));
	}
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
		out->reason = strdup("out of memory");
		return -ENOMEM;
	}
	env->prog = prog;
	env->ops = bpf_prog_type_ops_find(prog->type);
	env->insns = prog->orig_insns;
	env->insn_cnt = prog->orig_len;
	env->cancel = cancel;
	env->out = out;
	env->log = log;
	env->log_level = log ? log->level : 0;
	env->strict_alignment = prog->prog_flags & BPF_F_STRICT_ALIGNMENT;
	env->reason_insn = -1;
	err = run_passes(env);
	out->err = err;
	out->insn_processed = env->insn_processed;
	if (err) {
		out->reason = take_reason(env, err);
		if (env->insn_processed && env->insn_idx >= 0)
			out->err_insn = env->insn_idx;
	}
	print_verification_stats(env);
	free_env(env);
	return err;
}

void bpf_verdict_free(struct bpf_verdict *verdict)
{
	free(verdict->aux);
	free(verdict->subprogs);
	free(verdict->reason);
	memset(verdict, 0, sizeof(*verdict));
}
