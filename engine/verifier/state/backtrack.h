/*
 * backtrack.h - what is wanted exactly while a path is walked backwards (precise.c)
 */
#ifndef UBPFFS_VERIFIER_BACKTRACK_H
#define UBPFFS_VERIFIER_BACKTRACK_H

#include "verifier/state/state.h"

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

static inline void bt_reset(struct backtrack_state *bt)
{
	memset(bt, 0, sizeof(*bt));
}

static inline bool bt_empty(const struct backtrack_state *bt)
{
	u64 mask = 0;

	for (u32 i = 0; i <= bt->frame; i++)
		mask |= bt->reg_masks[i] | bt->stack_masks[i];
	return !mask;
}

#endif
