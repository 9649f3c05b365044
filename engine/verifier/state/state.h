/*
 * state.h - a state of the walk: frames, what is held, and the way that led to it
 *
 * A checkpoint is a state that is_state_visited() stored. Checkpoints form a tree by `parent`;
 * `branches` counts the paths below one that are not finished. A checkpoint whose branches is 0 is
 * proved safe and may serve to prune; its ancestors may not go before it does.
 *
 * Two facts flow backwards through that tree, so that states compare only what matters: which stack
 * slots were read (marks.c), and which scalars had to be known exactly (precise.c).
 *
 * The functions that make, copy and drop states are in path.h.
 */
#ifndef UBPFFS_VERIFIER_STATE_H
#define UBPFFS_VERIFIER_STATE_H

#include "run/run.h"
#include "verifier/domain/reg_state.h"

#define MAX_STACK_SLOTS (MAX_BPF_STACK / 8)

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
	bool speculative; /* below a jump that only a wrong guess takes */
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

/* Nothing is known of it, and nothing was asked. */
static inline bool is_slot_unused(const struct bpf_stack_state *slot)
{
	static const u8 invalid[8];

	return !memcmp(slot->slot_type, invalid, sizeof(invalid));
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

#endif
