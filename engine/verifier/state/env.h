/*
 * env.h - inside the verifier: one run, its states, and what its files offer each other
 *
 * A run (bpf_verifier_env) walks the program along every path. The current state moves from
 * instruction to instruction; a conditional jump pushes a copy for the other branch (env->head). At
 * prune points the current state is compared with the states that were seen there and proved safe
 * (env->explored); if one of them covers it, the path ends.
 *
 * A checkpoint is a state that is_state_visited() stored. Checkpoints form a tree by `parent`;
 * `branches` counts the paths below one that are not finished. A checkpoint whose branches is 0 is
 * proved safe and may serve to prune; its ancestors may not go before it does.
 *
 * Two facts flow backwards through that tree, so that states compare only what matters (marks.c): which
 * stack slots were read, and which scalars had to be known exactly (precise.c).
 *
 * One thread owns an env; nothing here is shared.
 */
#ifndef UBPFFS_VERIFIER_ENV_H
#define UBPFFS_VERIFIER_ENV_H

#include "core/btf.h"
#include "core/disasm.h"
#include "core/run.h"
#include "verifier/domain/reg_state.h"

#define BPF_COMPLEXITY_LIMIT_JMP_SEQ 8192 /* branches that wait */
#define BPF_COMPLEXITY_LIMIT_WORK    128000000ULL /* units (work.c) */
#define BPF_VERIFIER_MAX_MEM	     (768UL << 20) /* bytes in states, all together */

#define MAX_STACK_SLOTS (MAX_BPF_STACK / 8)
#define MAX_PACKET_OFF	0xffff
#define CALLER_SAVED	0x3f /* R0 to R5 */
#define CALL_ARGS	0x3e /* R1 to R5 */

/* In bpf_reg_state.range: the pointer was compared with data_end and lies at it, or beyond. */
enum {
	AT_PKT_END = -1,
	BEYOND_PKT_END = -2,
};

struct bpf_func_state {
	struct bpf_reg_state regs[MAX_BPF_REG];
	int callsite; /* the call instruction in the caller's frame; -1 in the main program */
	u32 frameno;
	u32 subprogno;
	u32 callback_depth; /* times that the call at hand entered its callback */
	bool in_callback_fn; /* a helper called it: it returns 0 or 1, to the call itself */
	u32 nslots; /* slots in use: stack[i] is fp-8*(i+1) */
	u32 cap;
	struct bpf_stack_state *stack;
};

/* Registers and slots that held the same value when a comparison told something about it. */
#define LINKED_REGS_MAX 6
struct linked_reg {
	u8 frameno;
	u8 idx; /* register or slot */
	bool is_reg;
};
struct linked_regs {
	u32 cnt;
	struct linked_reg entries[LINKED_REGS_MAX];
};

/* How the walk came to an instruction, kept where it is not simply idx - 1. */
struct bpf_jmp_history_entry {
	u32 idx, prev_idx;
	u16 flags; /* INSN_F_* */
	u8 spi, frameno; /* with INSN_F_STACK_ACCESS */
	struct linked_regs linked;
};

#define INSN_F_STACK_ACCESS  1 /* a spill to, or a fill from, a tracked slot */
#define INSN_F_DST_REG_STACK 2 /* the compared dst register is a stack pointer */
#define INSN_F_SRC_REG_STACK 4

#define BPF_MAX_REFS 32 /* objects that a program may hold at once */
struct bpf_reference_state {
	u32 id;
	int insn_idx; /* the call that gave it */
	const struct bpf_map
		*lock_map; /* a lock (lock.c) of this map's value `id`; NULL: an object */
};

struct bpf_verifier_state {
	struct bpf_func_state *frame[MAX_CALL_FRAMES];
	struct bpf_verifier_state *parent;
	u32 curframe;
	u32 branches;
	int insn_idx;
	int first_insn_idx; /* where the part of the path since the parent begins */
	int last_insn_idx; /* and the last instruction before insn_idx */

	struct bpf_reference_state refs[BPF_MAX_REFS];
	u32 ref_cnt;
	u32 callback_unroll_depth; /* callbacks entered on the way here */
	u32 dfs_depth; /* checkpoints on the way here */
	u32 node; /* the observer's: the last instruction that it was told of on the way here */

	struct bpf_jmp_history_entry *hist;
	u32 hist_cnt, hist_cap;

	/*
	 * Stack liveness, a bit a slot and a frame. `written`: completely overwritten since the
	 * parent checkpoint. `read` (of a checkpoint): some path from here reads it before writing
	 * it.
	 */
	u64 stack_written[MAX_CALL_FRAMES];
	u64 stack_read[MAX_CALL_FRAMES];

	/* Checkpoints only. */
	struct bpf_verifier_state *next;
	u32 miss_cnt, hit_cnt;
	bool all_precise; /* so are all its ancestors */
	u32 visit; /* the loop (loop.c) that paths below it close; 0: none */
	bool cleaned;
};

struct bpf_verifier_stack_elem {
	struct bpf_verifier_state st;
	int insn_idx, prev_insn_idx;
	size_t log_pos;
	struct bpf_verifier_stack_elem *next;
};

/* How much the states that are compared must agree. */
enum exact_level {
	NOT_EXACT, /* in what mattered below the old one, which is known in full */
	EXACT, /* in everything */
	RANGE_WITHIN, /* in everything, but that a value's range may be part of the old one's */
};

/*
 * Who wants to see the walk: tests, which compare what is claimed with what happens. A path is a
 * line of nodes, one an instruction; cur_state->node names the one before, 0 where a walk begins. A
 * checkpoint's node is that of the instruction that it stands at.
 */
struct bpf_verifier_env;
struct bpf_verifier_observer {
	/* cur_state is about to go through env->insn_idx: the number of this node, not 0. */
	u32 (*enter)(struct bpf_verifier_observer *obs, const struct bpf_verifier_env *env);
	/* The path ends before env->insn_idx: `old` covers it. */
	void (*prune)(struct bpf_verifier_observer *obs, const struct bpf_verifier_env *env,
		      const struct bpf_verifier_state *old, enum exact_level exact);
};
extern __thread struct bpf_verifier_observer
	*bpf_verifier_observer; /* of this thread's checks, or NULL */

/* The verifier's own facts about an instruction. */
struct bpf_insn_flow {
	u16 live_regs; /* bit a register: read on some path from here, before being written */
	bool prune_point;
	bool jmp_point; /* may be reached otherwise than from idx - 1: record how */
	bool calls_callback; /* a helper that calls a function of the program */
	bool call_seen; /* a helper call that some path made: aux describes it */
};

/* What BTF says of a function that is global. */
struct bpf_subprog_arg {
	u32 type; /* SCALAR_VALUE, PTR_TO_CTX, CONST_PTR_TO_DYNPTR, PTR_TO_MEM | PTR_MAYBE_NULL */
	u32 mem_size;
};
struct bpf_subprog_global {
	bool is_global; /* and simple enough to be checked by itself */
	bool called, verified;
	bool changes_pkt_data;
	u32 arg_cnt;
	struct bpf_subprog_arg args[5];
};

/*
 * A loop that was closed by a state like an earlier one of its own path (loop.c), and the states that closed it.
 */
struct bpf_backedge {
	struct bpf_verifier_state st;
	struct bpf_verifier_state *equal_state;
	struct bpf_backedge *next;
};
struct bpf_loop_visit {
	struct bpf_verifier_state *entry; /* NULL: finished */
	u32 merged_into; /* a larger loop; 0: none */
	struct bpf_backedge *backedges;
};

#define BPF_ID_MAP_SIZE (MAX_BPF_REG + MAX_STACK_SLOTS) * MAX_CALL_FRAMES
struct bpf_id_pair {
	u32 old, cur;
};

/* Registers and slots whose exact value matters, while walking a path backwards. */
struct backtrack_state {
	u32 frame;
	u32 reg_masks[MAX_CALL_FRAMES];
	u64 stack_masks[MAX_CALL_FRAMES];
};

/*
 * What was wanted before at places of the current part of the path (precise.c): a hash table.
 */
struct backtrack_place {
	u32 part; /* of which part of a path; 0: none */
	u32 idx, hist_cnt; /* together: which instruction of it */
	struct backtrack_state done;
};
struct backtrack_memo {
	u32 part; /* the current one */
	u32 cnt, cap; /* places of the current part; a power of two */
	struct backtrack_place *places;
};

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
	bool test_state_freq; /* a checkpoint wherever states are compared */
	bool test_reg_invariants; /* a register that contradicts itself is an error */

	int insn_idx, prev_insn_idx;
	struct bpf_verifier_state *cur_state;
	struct bpf_jmp_history_entry *cur_hist_ent; /* of the instruction at insn_idx */
	struct bpf_verifier_stack_elem *head; /* branches that wait */
	u32 stack_size;
	struct bpf_verifier_state **explored; /* insn_cnt lists of checkpoints */
	struct bpf_verifier_state *free_list; /* evicted checkpoints that are still ancestors */
	u32 free_list_size, free_sweep;
	u32 id_gen, tmp_id_gen;
	size_t mem; /* bytes in states */

	u32 insn_processed, jmps_processed;
	u32 prev_insn_processed, prev_jmps_processed; /* at the last checkpoint */
	u32 total_states, peak_states, explored_states, max_states_per_insn;

	struct bpf_loop_visit *visits; /* from 1 on */
	u32 visit_cnt, visit_cap;
	u64 marks; /* marks of precision that were set, all together */

	u64 work, work_next; /* units so far, and where to look at the limit again (work.c) */
	bool work_told, mem_told; /* what is too much was said */

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
	char reason[512];
	int reason_insn; /* the instruction that `reason` speaks of */
};

/* ---- print.c */
/* A message that explains the verdict: to the log, and kept as the reason. */
void verbose(struct bpf_verifier_env *env, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* A line of the trace. Callers look at log_level first. */
void vtrace(struct bpf_verifier_env *env, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void verbose_insn(struct bpf_verifier_env *env, int idx);
void verbose_linfo(struct bpf_verifier_env *env, int idx, const char *prefix);
void print_verifier_state(struct bpf_verifier_env *env, const struct bpf_verifier_state *st,
			  u32 frameno, bool print_all);
void print_insn_state(struct bpf_verifier_env *env, const struct bpf_verifier_state *st,
		      u32 frameno);
void print_live_regs(struct bpf_verifier_env *env);
void print_verification_stats(struct bpf_verifier_env *env);
const char *func_id_name(int id);
const char *tnum_text(struct tnum t);
const char *dynptr_type_str(enum bpf_dynptr_type type);
void verbose_invalid_scalar(struct bpf_verifier_env *env, const struct bpf_reg_state *reg,
			    s32 minval, s32 maxval, const char *where);

static inline void mark_reg_scratched(struct bpf_verifier_env *env, u32 regno)
{
	env->scratched_regs |= 1u << regno;
}

static inline void mark_stack_slot_scratched(struct bpf_verifier_env *env, u32 spi)
{
	env->scratched_slots |= 1ULL << spi;
}

static inline void mark_verifier_state_scratched(struct bpf_verifier_env *env)
{
	env->scratched_regs = ~0u;
	env->scratched_slots = ~0ULL;
}

/* ---- work.c */
int check_work_slow(struct bpf_verifier_env *env);

static inline void charge(struct bpf_verifier_env *env, u64 units)
{
	env->work += units;
}

/* 0: go on; -E2BIG: it was too much; -EINTR: cancelled. */
static inline int check_work(struct bpf_verifier_env *env)
{
	return likely(env->work < env->work_next) ? 0 : check_work_slow(env);
}

/* ---- subprog.c */
int find_subprogs(struct bpf_verifier_env *env);
int check_subprogs(struct bpf_verifier_env *env);
int check_max_stack_depth(struct bpf_verifier_env *env);
int find_subprog(const struct bpf_verifier_env *env, int off); /* its number or -ENOENT */

/* ---- cfg.c */
int check_cfg(struct bpf_verifier_env *env);
int compute_live_registers(struct bpf_verifier_env *env);

static inline int jmp_offset(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP32 | BPF_JA) ? insn->imm : insn->off;
}

/* ---- state.c: making, copying, dropping states; the stack of branches */
int copy_verifier_state(struct bpf_verifier_env *env, struct bpf_verifier_state *dst,
			const struct bpf_verifier_state *src);
void free_verifier_state(struct bpf_verifier_env *env, struct bpf_verifier_state *st);
struct bpf_verifier_state *push_stack(struct bpf_verifier_env *env, int insn_idx,
				      int prev_insn_idx);
int pop_stack(struct bpf_verifier_env *env, int *prev_insn_idx, int *insn_idx, bool pop_log);
struct bpf_func_state *new_func_state(struct bpf_verifier_env *env, int callsite, u32 frameno,
				      u32 subprogno);
void free_func_state(struct bpf_verifier_env *env, struct bpf_func_state *func);
int grow_stack_state(struct bpf_verifier_env *env, struct bpf_func_state *func, int size);
int push_jmp_history(struct bpf_verifier_env *env, struct bpf_verifier_state *cur, u16 flags,
		     u8 frameno, u8 spi, const struct linked_regs *linked);

static inline struct bpf_func_state *cur_func(const struct bpf_verifier_env *env)
{
	return env->cur_state->frame[env->cur_state->curframe];
}

static inline struct bpf_reg_state *cur_regs(const struct bpf_verifier_env *env)
{
	return cur_func(env)->regs;
}

/* What visiting all of it costs. */
static inline u32 state_units(const struct bpf_verifier_state *st)
{
	u32 units = 0;

	for (u32 f = 0; f <= st->curframe; f++)
		units += MAX_BPF_REG + st->frame[f]->nslots;
	return units;
}

/* The instruction that a frame stands at. */
static inline int frame_insn_idx(const struct bpf_verifier_state *st, u32 frame)
{
	return frame == st->curframe ? st->insn_idx : st->frame[frame + 1]->callsite;
}

/* The frame whose stack a register points into. */
static inline struct bpf_func_state *func_of(const struct bpf_verifier_env *env,
					     const struct bpf_reg_state *reg)
{
	return env->cur_state->frame[reg->frameno];
}

/* ---- regs.c: registers as wholes */
enum reg_arg_type {
	SRC_OP, /* read */
	DST_OP, /* written: becomes an unknown scalar */
	DST_OP_NO_MARK, /* written, the caller says with what */
};

int check_reg_arg(struct bpf_verifier_env *env, u32 regno, enum reg_arg_type t);
void mark_reg_known_zero(struct bpf_reg_state *regs, u32 regno);
void mark_reg_unknown(struct bpf_reg_state *regs, u32 regno);
void mark_reg_not_init(struct bpf_reg_state *regs, u32 regno);
void assign_scalar_id_before_mov(struct bpf_verifier_env *env, struct bpf_reg_state *src);
void clear_scalar_id(struct bpf_reg_state *reg);
int check_bounds_sane(struct bpf_verifier_env *env, struct bpf_reg_state *reg, const char *what);
int check_ptr_off_reg(struct bpf_verifier_env *env, const struct bpf_reg_state *reg, u32 regno);
bool reg_fits(const struct bpf_reg_state *reg, int size, bool is_signed);
void mark_ptr_not_null(struct bpf_reg_state *reg);
bool register_is_null(const struct bpf_reg_state *reg);

static inline bool type_is_pkt_pointer(u32 type)
{
	type = base_type(type);
	return type == PTR_TO_PACKET || type == PTR_TO_PACKET_META;
}

static inline bool is_spilled_reg(const struct bpf_stack_state *slot)
{
	return slot->slot_type[7] == STACK_SPILL;
}

static inline bool is_dynptr_slot(const struct bpf_stack_state *slot)
{
	return slot->slot_type[0] == STACK_DYNPTR; /* never of a part of it */
}

static inline bool is_spilled_scalar_reg(const struct bpf_stack_state *slot)
{
	return slot->slot_type[7] == STACK_SPILL && slot->spilled_ptr.type == SCALAR_VALUE;
}

static inline bool is_spilled_scalar_reg64(const struct bpf_stack_state *slot)
{
	return slot->slot_type[0] == STACK_SPILL && slot->spilled_ptr.type == SCALAR_VALUE;
}

/*
 * Visit each register and each spilled one of every frame of `st`; `reg` is the loop's name for it.
 */
#define for_each_reg_in_state(st, reg, body)                                               \
	do {                                                                               \
		for (u32 __f = 0; __f <= (st)->curframe; __f++) {                          \
			struct bpf_func_state *__fn = (st)->frame[__f];                    \
			for (u32 __i = 0; __i < MAX_BPF_REG; __i++) {                      \
				struct bpf_reg_state *reg = &__fn->regs[__i];              \
				body;                                                      \
			}                                                                  \
			for (u32 __i = 0; __i < __fn->nslots; __i++) {                     \
				struct bpf_reg_state *reg = &__fn->stack[__i].spilled_ptr; \
				if (!is_spilled_reg(&__fn->stack[__i]))                    \
					continue;                                          \
				body;                                                      \
			}                                                                  \
		}                                                                          \
	} while (0)

/* ---- arith.c: ALU instructions, with pointers */
int check_alu_op(struct bpf_verifier_env *env, const struct bpf_insn *insn);

/* ---- branch.c: conditional jumps */
int check_cond_jmp_op(struct bpf_verifier_env *env, const struct bpf_insn *insn, int *insn_idx);

/* ---- mem.c, stack.c: loads and stores */
struct bpf_call_arg_meta {
	struct bpf_map *map_ptr;
	bool raw_mode;
	bool pkt_access;
	bool may_leave_uninit;
	u32 regno;
	int access_size;
	u32 mem_size;
	u64 msize_max_value;
	s64 const_map_key;
	u32 release_regno; /* the argument that gives an object back */
	u32 ref_obj_id; /* the object that an argument is, or lies in */
	u32 subprogno; /* the callback */
	u32 dynptr_id; /* the dynptr that R0 will be a slice of */
};

int check_mem_access(struct bpf_verifier_env *env, int insn_idx, u32 regno, int off, int bpf_size,
		     enum bpf_access_type t, int value_regno, bool strict_once, bool is_ldsx);
/* Its holder may only read it, and so may the program (bpf_prog_load_attr.maps_rdonly). */
bool map_is_lent_rdonly(const struct bpf_verifier_env *env, const struct bpf_map *map);
int check_helper_mem_access(struct bpf_verifier_env *env, u32 regno, int access_size,
			    enum bpf_access_type access_type, bool zero_size_allowed,
			    struct bpf_call_arg_meta *meta);
int check_atomic(struct bpf_verifier_env *env, const struct bpf_insn *insn);
int check_ptr_alignment(struct bpf_verifier_env *env, const struct bpf_reg_state *reg, int off,
			int size, bool strict_once);

int check_stack_access_within_bounds(struct bpf_verifier_env *env, u32 regno, int off,
				     int access_size, enum bpf_access_type type);
int check_stack_read(struct bpf_verifier_env *env, u32 ptr_regno, int off, int size, int dst_regno);
int check_stack_write(struct bpf_verifier_env *env, u32 ptr_regno, int off, int size,
		      int value_regno, int insn_idx);
int check_stack_range_initialized(struct bpf_verifier_env *env, u32 regno, int off, int access_size,
				  bool zero_size_allowed, enum bpf_access_type type,
				  struct bpf_call_arg_meta *meta);
/* The constant of key_size bytes that a stack pointer points at: 0, or -EOPNOTSUPP. */
int get_constant_map_key(struct bpf_verifier_env *env, const struct bpf_reg_state *key,
			 u32 key_size, s64 *value);

/* ---- reference.c */
int acquire_reference(struct bpf_verifier_env *env, int insn_idx); /* its id, or -E2BIG */
bool forget_reference(struct bpf_verifier_state *st, u32 id);
int release_reference(struct bpf_verifier_env *env, u32 id);
int check_resource_leak(struct bpf_verifier_env *env, const char *what);

/* ---- dynptr.c */
#define DYNPTR_NR_SLOTS 2

void mark_dynptr_reg(struct bpf_reg_state *reg, enum bpf_dynptr_type type, bool first_slot, u32 id);
int destroy_if_dynptr_stack_slot(struct bpf_verifier_env *env, struct bpf_func_state *func,
				 u32 spi);
/* The first slot of the dynptr that a stack pointer means, -EINVAL, or -ERANGE: nothing was there yet. */
int dynptr_get_spi(struct bpf_verifier_env *env, const struct bpf_reg_state *reg);
int mark_stack_slots_dynptr(struct bpf_verifier_env *env, const struct bpf_reg_state *reg,
			    enum bpf_dynptr_type type, int insn_idx);
int unmark_stack_slots_dynptr(struct bpf_verifier_env *env, u32 regno);
int check_no_dynptr(struct bpf_verifier_env *env, const struct bpf_func_state *func, int off,
		    int size);

/* ---- dynptr_arg.c */
int process_dynptr_func(struct bpf_verifier_env *env, u32 regno, int insn_idx, u32 arg_type);
int check_dynptr_release(struct bpf_verifier_env *env, u32 regno);
int note_dynptr_slice(struct bpf_verifier_env *env, struct bpf_call_arg_meta *meta);
int check_dynptr_from_mem(struct bpf_verifier_env *env);

/* ---- lock.c */
bool map_has_spin_lock(const struct bpf_map *map);
bool reg_may_point_to_spin_lock(const struct bpf_reg_state *reg);
int check_map_lock_use(struct bpf_verifier_env *env, const struct bpf_map *map);
int check_lock_untouched(struct bpf_verifier_env *env, const struct bpf_reg_state *reg, int off,
			 int size);
int check_call_allowed(struct bpf_verifier_env *env, const struct bpf_insn *insn);
int check_global_call_lock(struct bpf_verifier_env *env);
int check_no_lock(struct bpf_verifier_env *env, const char *what); /* -EINVAL: one is held */
int process_spin_lock(struct bpf_verifier_env *env, u32 regno, bool is_lock);

/* ---- call.c, helper.c */
int check_func_call(struct bpf_verifier_env *env, const struct bpf_insn *insn, int *insn_idx);
int prepare_func_exit(struct bpf_verifier_env *env, int *insn_idx);
int check_early_exit(struct bpf_verifier_env *env, bool known_zero);
int check_return_code(struct bpf_verifier_env *env);
int check_ld_abs(struct bpf_verifier_env *env, const struct bpf_insn *insn);
int check_helper_call(struct bpf_verifier_env *env, const struct bpf_insn *insn, int insn_idx);
int get_helper_proto(struct bpf_verifier_env *env, int func_id,
		     const struct bpf_func_proto **proto); /* -ERANGE, -EINVAL */

void clear_all_pkt_pointers(struct bpf_verifier_env *env);

/* ---- callback.c */
int check_ld_func(struct bpf_verifier_env *env, const struct bpf_insn *insn);
int check_callback_call(struct bpf_verifier_env *env, int func_id, int insn_idx,
			const struct bpf_call_arg_meta *meta);
int check_callback_return(struct bpf_verifier_env *env);
int widen_callback_scalars(struct bpf_verifier_env *env, int insn_idx);

/* ---- loop.c */
bool incomplete_marks(const struct bpf_verifier_env *env, const struct bpf_verifier_state *st);
int close_loop(struct bpf_verifier_env *env, struct bpf_verifier_state *old);
int update_branch_counts(struct bpf_verifier_env *env, struct bpf_verifier_state *st);
void free_loops(struct bpf_verifier_env *env);

/* ---- global.c */
int find_global_funcs(struct bpf_verifier_env *env);
int check_global_call(struct bpf_verifier_env *env, u32 subprog);
/* What a global function is walked with: nothing is known of its arguments but their types. */
void set_global_args(struct bpf_verifier_env *env, u32 subprog, struct bpf_reg_state *regs);

/* ---- opcodes.c */
int check_opcodes(struct bpf_verifier_env *env);

/* ---- walk.c: walk from env->insn_idx with this first frame, which is taken over */
int check_from(struct bpf_verifier_env *env, struct bpf_func_state *func);

/* ---- constkey.c */
s64 find_constant_key(const struct bpf_verifier_env *env, int i, int off);

/* ---- prune.c */
/* 1: a state that covers the current one was proved safe here; 0: go on; or -errno. */
int is_state_visited(struct bpf_verifier_env *env, int insn_idx);
void free_checkpoints(struct bpf_verifier_env *env);
bool same_callsites(const struct bpf_verifier_state *a, const struct bpf_verifier_state *b);
bool regs_exact(struct bpf_verifier_env *env, const struct bpf_reg_state *old,
		const struct bpf_reg_state *cur);

/* ---- marks.c */
bool mark_stack_read(struct bpf_verifier_state *st, u32 frameno, u32 spi); /* was news */
void mark_stack_written(struct bpf_verifier_state *st, u32 frameno, u32 spi);
/* A path ends at `old`: what mattered below it matters on the current path, too. */
bool propagate_reads(const struct bpf_verifier_state *old, struct bpf_verifier_state *cur);
int propagate_precision(struct bpf_verifier_env *env, const struct bpf_verifier_state *old,
			struct bpf_verifier_state *cur);

/* ---- precise.c */
int mark_chain_precision(struct bpf_verifier_env *env, int regno);
int mark_chain_precision_batch(struct bpf_verifier_env *env, struct bpf_verifier_state *start);
void mark_all_scalars_imprecise(struct bpf_verifier_state *st);
/* st, if it is a checkpoint, and all its ancestors. */
void mark_all_scalars_precise(struct bpf_verifier_env *env, struct bpf_verifier_state *st);
void begin_part(struct bpf_verifier_env *env); /* of a path: at a checkpoint, or another branch */
void free_memo(struct bpf_verifier_env *env);
void bt_reset(struct backtrack_state *bt);

static inline bool bt_empty(const struct backtrack_state *bt)
{
	u64 mask = 0;

	for (u32 i = 0; i <= bt->frame; i++)
		mask |= bt->reg_masks[i] | bt->stack_masks[i];
	return !mask;
}

#endif
