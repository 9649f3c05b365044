/*
 * marks.c - what mattered, told to the checkpoints that the path came by: stack slots that were
 * read, scalars that had to be known exactly
 */
#include "verifier/history/marks.h"
#include "verifier/history/precise.h"
#include "verifier/state/print.h"

bool mark_stack_read(struct bpf_verifier_state *st, u32 frameno, u32 spi)
{
	u64 bit = 1ULL << spi;
	bool news = false;

	/* Up to the checkpoint after which the slot was written. */
	while (st && !(st->stack_written[frameno] & bit)) {
		st = st->parent;
		if (!st || st->stack_read[frameno] & bit)
			break;
		st->stack_read[frameno] |= bit;
		news = true;
	}
	return news;
}

void mark_stack_written(struct bpf_verifier_state *st, u32 frameno, u32 spi)
{
	st->stack_written[frameno] |= 1ULL << spi;
}

static void trace_propagation(struct bpf_verifier_env *env, u32 f)
{
	const struct backtrack_state *bt = &env->bt;
	const char *sep = " ";

	if (!(env->log_level & BPF_LOG_LEVEL2) || !(bt->reg_masks[f] | bt->stack_masks[f]))
		return;
	vtrace(env, "frame %u: propagating", f);
	for (u32 i = 0; i < BPF_REG_FP; i++) {
		if (!(bt->reg_masks[f] & 1u << i))
			continue;
		vtrace(env, "%sr%u", sep, i);
		sep = ",";
	}
	for (u32 i = 0; i < MAX_STACK_SLOTS; i++) {
		if (!(bt->stack_masks[f] & 1ULL << i))
			continue;
		vtrace(env, "%sfp-%u", sep, (i + 1) * 8);
		sep = ",";
	}
	vtrace(env, "\n");
}

int propagate_precision(struct bpf_verifier_env *env, const struct bpf_verifier_state *old,
			struct bpf_verifier_state *cur)
{
	struct backtrack_state *bt = &env->bt;

	bt_reset(bt);
	bt->frame = cur->curframe;
	for (u32 f = 0; f <= old->curframe; f++) {
		const struct bpf_func_state *func = old->frame[f];

		for (u32 i = 0; i < BPF_REG_FP; i++)
			if (func->regs[i].type == SCALAR_VALUE && func->regs[i].precise)
				bt->reg_masks[f] |= 1u << i;
		for (u32 i = 0; i < func->nslots; i++)
			if (is_spilled_scalar_reg(&func->stack[i]) &&
			    func->stack[i].spilled_ptr.precise)
				bt->stack_masks[f] |= 1ULL << i;
		trace_propagation(env, f);
	}
	return mark_chain_precision_batch(env, cur);
}

bool propagate_reads(const struct bpf_verifier_state *old, struct bpf_verifier_state *cur)
{
	bool news = false;

	for (u32 f = 0; f <= old->curframe; f++)
		for (u64 mask = old->stack_read[f]; mask; mask &= mask - 1)
			news |= mark_stack_read(cur, f, __builtin_ctzll(mask));
	return news;
}
