/*
 * env.h - one run of the verifier
 *
 * A run walks the program along every path. The current state moves from instruction to
 * instruction; a conditional jump pushes a copy for the other branch (env->head). At prune points
 * the current state is compared with the states that were seen there and proved safe
 * (env->explored); if one of them covers it, the path ends.
 *
 * This is the structure alone: what can be done with it is in the headers of the files that do it.
 * One thread owns an env; nothing here is shared.
 */
#ifndef UBPFFS_VERIFIER_ENV_H
#define UBPFFS_VERIFIER_ENV_H

#include "btf/btf.h"
#include "verifier/state/backtrack.h"
#include "core/verdict.h"

#define BPF_COMPLEXITY_LIMIT_JMP_SEQ 8192 /* branches that wait */

/* The verifier's own facts about an instruction. */
struct bpf_insn_flow {
	u16 live_regs; /* bit a register: read on some path from here, before being written */
	bool prune_point;
	bool jmp_point; /* may be reached otherwise than from idx - 1: record how */
	bool calls_callback; /* a helper that calls a function of the program */
	bool call_seen; /* a helper call that some path made: aux describes it */
};

#define BPF_ID_MAP_SIZE (MAX_BPF_REG + MAX_STACK_SLOTS) * MAX_CALL_FRAMES
struct bpf_id_pair {
	u32 old, cur;
};

struct bpf_verifier_observer;
struct bpf_subprog_global;
struct bpf_loop_visit;

struct bpf_verifier_env {
	const struct bpf_prog *prog;
	const struct bpf_prog_type_ops *ops;
	const struct bpf_insn *insns;
	u32 insn_cnt;
	const volatile bool *cancel;
	struct bpf_verdict *out;
	struct bpf_insn_aux_data *aux; /* out->aux */
	struct bpf_subprog_info *subprogs; /* out->subprogs; one more entry ends the last */
	u32 subprog_cnt;
	struct bpf_subprog_global *global; /* by function */
	u16 *subprog_of; /* by instruction */
	struct bpf_insn_flow *flow;
	bool strict_alignment;
	/*
	 * The loader may not learn addresses, nor what memory holds by what the machine does
	 * before it knows: judged as Linux judges a loader with CAP_BPF and without CAP_PERFMON.
	 */
	bool strict;
	bool test_state_freq; /* a checkpoint wherever states are compared */
	bool test_reg_invariants; /* a register that contradicts itself is an error */

	int insn_idx, prev_insn_idx;
	struct bpf_verifier_state *cur_state;
	struct bpf_jmp_history_entry *cur_hist_ent; /* of the instruction at insn_idx */
	struct bpf_verifier_stack_elem *head; /* branches that wait */
	u32 stack_size;
	struct bpf_verifier_state **explored; /* insn_cnt lists, see explored_states() */
	struct bpf_verifier_state *free_list; /* evicted checkpoints that are still ancestors */
	u32 free_list_size, free_sweep;
	u32 id_gen, tmp_id_gen;
	size_t mem; /* bytes in states */
	size_t mem_shared; /* of them, from what all checks share */

	u32 insn_processed, jmps_processed;
	u32 prev_insn_processed, prev_jmps_processed; /* at the last checkpoint */
	u32 total_states, peak_states, explored_states, max_states_per_insn;

	struct bpf_loop_visit *visits; /* from 1 on */
	u32 visit_cnt, visit_cap;
	u64 marks; /* marks of precision that were set, all together */

	u64 work, work_next; /* units so far, and where to look at the limit again (work.c) */
	bool work_reported, mem_reported, mem_shared_reported; /* what is too much was said */

	struct backtrack_state bt;
	struct backtrack_memo memo;
	struct bpf_id_pair idmap[BPF_ID_MAP_SIZE];
	u32 idmap_cnt;
	struct bpf_reg_state fake_reg[2];

	struct bpf_verifier_observer *observer;
	struct bpf_log *log;
	u32 log_level;
	size_t prev_log_pos; /* print.c: where the last instruction's line ended */
	size_t prev_insn_print_pos;
	const struct bpf_line_info *prev_linfo;
	u32 scratched_regs; /* changed since the last print */
	u64 scratched_slots;
	bool do_print_state;
};

static inline struct bpf_func_state *cur_func(const struct bpf_verifier_env *env)
{
	return env->cur_state->frame[env->cur_state->curframe];
}

static inline struct bpf_reg_state *cur_regs(const struct bpf_verifier_env *env)
{
	return cur_func(env)->regs;
}

/* The frame whose stack a register points into. */
static inline struct bpf_func_state *func_of(const struct bpf_verifier_env *env,
					     const struct bpf_reg_state *reg)
{
	return env->cur_state->frame[reg->frameno];
}

/*
 * The list with the checkpoints before an instruction that this path could meet. A function that
 * is called from many places has one a call: those of the others never cover it, and must not
 * count as states that were seen here. Instructions may share a list.
 */
static inline struct bpf_verifier_state **explored_states(const struct bpf_verifier_env *env,
							  int insn_idx)
{
	return &env->explored[(u32)(insn_idx ^ cur_func(env)->callsite) % env->insn_cnt];
}

#endif
