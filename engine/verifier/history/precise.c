/*
 * precise.c - which scalars had to be known exactly
 *
 * A scalar is compared exactly by pruning only if its value decided something: a branch, an offset,
 * a size. When it does, mark_chain_precision() walks the path backwards from there and marks, in
 * every checkpoint on the way, the registers and stack slots that the value came from. Without
 * marks, a loop's counter would make every state different; with too few, an unsafe path would be
 * pruned.
 *
 * Guarantee: if a checkpoint S proved safe, then so is every state that regsafe() calls covered by
 * S, for each decision below S was made with values that S's marked registers determine. Where the
 * walk cannot tell where a value came from, all scalars of all ancestors are marked.
 */
#include <stdio.h>
#include "verifier/history/precise.h"
#include "verifier/state/print.h"
#include "verifier/state/program.h"
#include "verifier/state/work.h"

static bool bt_is_reg_set(const struct backtrack_state *bt, u32 reg)
{
	return bt->reg_masks[bt->frame] & 1u << reg;
}

/* The frame pointer is no scalar. */
static void bt_set_reg(struct backtrack_state *bt, u32 reg)
{
	if (reg != BPF_REG_FP)
		bt->reg_masks[bt->frame] |= 1u << reg;
}

static void bt_clear_reg(struct backtrack_state *bt, u32 reg)
{
	bt->reg_masks[bt->frame] &= ~(1u << reg);
}

void mark_all_scalars_precise(struct bpf_verifier_env *env, struct bpf_verifier_state *st)
{
	for (; st && !st->all_precise; st = st->parent) {
		charge(env, state_units(st));
		for_each_reg_in_state(
			st, reg, if (reg->type == SCALAR_VALUE && !reg->precise) {
				reg->precise = true;
				env->marks++;
			});
		st->all_precise = true;
	}
}

/* A new checkpoint starts without marks: they come from what happens below it. */
void mark_all_scalars_imprecise(struct bpf_verifier_state *st)
{
	for_each_reg_in_state(st, reg, if (reg->type == SCALAR_VALUE) reg->precise = false);
}

/*
 * One of a family of linked registers is wanted exactly: then so are the others, whose value it
 * shares.
 */
static void bt_sync_linked_regs(struct backtrack_state *bt, const struct bpf_jmp_history_entry *e)
{
	bool some = false;
	u32 i;

	if (!e || !e->linked.cnt)
		return;
	for (i = 0; i < e->linked.cnt && !some; i++) {
		const struct linked_reg *l = &e->linked.entries[i];

		some = l->is_reg ? bt->reg_masks[l->frameno] >> l->idx & 1
				 : bt->stack_masks[l->frameno] >> l->idx & 1;
	}
	for (i = 0; i < e->linked.cnt && some; i++) {
		const struct linked_reg *l = &e->linked.entries[i];

		if (l->is_reg)
			bt->reg_masks[l->frameno] |= 1u << l->idx;
		else
			bt->stack_masks[l->frameno] |= 1ULL << l->idx;
	}
}

/*
 * ---- what was wanted here before
 *
 * A long part of a path is walked back for one value after the other, and most of them came from
 * the same. So at some places of the current part it is noted what was wanted there: who comes back
 * to one goes on with the rest alone. What a register or slot came from does not depend on what
 * else is wanted. A place is named by its instruction and by how many entries of the history lie
 * before it: between two entries a path goes straight on. Short walks neither look nor note.
 */
#define MEMO_AFTER 64 /* steps */
#define MEMO_EVERY 32 /* places */

void begin_part(struct bpf_verifier_env *env)
{
	env->memo.part++;
	env->memo.cnt = 0;
}

void free_memo(struct bpf_verifier_env *env)
{
	free(env->memo.places);
}

/* The place, or the free one that it may have; cap is not 0. */
static struct backtrack_place *find_place(const struct backtrack_memo *memo, u32 idx, u32 hist_cnt)
{
	u32 at = (idx * 0x9e3779b1u ^ hist_cnt * 0x85ebca6bu) >> 7;

	for (;; at++) {
		struct backtrack_place *place = &memo->places[at & (memo->cap - 1)];

		if (place->part != memo->part || (place->idx == idx && place->hist_cnt == hist_cnt))
			return place;
	}
}

static bool grow_memo(struct backtrack_memo *memo)
{
	struct backtrack_memo larger = {.part = memo->part, .cnt = memo->cnt};

	larger.cap = memo->cap ? 2 * memo->cap : 64;
	larger.places = calloc(larger.cap, sizeof(*larger.places));
	if (!larger.places)
		return false;
	for (u32 i = 0; i < memo->cap; i++) {
		const struct backtrack_place *place = &memo->places[i];

		if (place->part == memo->part)
			*find_place(&larger, place->idx, place->hist_cnt) = *place;
	}
	free(memo->places);
	*memo = larger;
	return true;
}

/* Take from env->bt what was wanted at this place before, and note the rest. Was it all? */
static bool wanted_before(struct bpf_verifier_env *env, u32 idx, u32 hist_cnt)
{
	struct backtrack_memo *memo = &env->memo;
	struct backtrack_state *bt = &env->bt;
	struct backtrack_place *place;

	if (2 * memo->cnt >= memo->cap && !grow_memo(memo))
		return false;
	place = find_place(memo, idx, hist_cnt);
	if (place->part != memo->part) {
		*place = (struct backtrack_place){memo->part, idx, hist_cnt, *bt};
		memo->cnt++;
		return false;
	}
	for (u32 f = 0; f <= bt->frame; f++) {
		u32 regs = bt->reg_masks[f];
		u64 slots = bt->stack_masks[f];

		bt->reg_masks[f] &= ~place->done.reg_masks[f];
		bt->stack_masks[f] &= ~place->done.stack_masks[f];
		place->done.reg_masks[f] |= regs;
		place->done.stack_masks[f] |= slots;
	}
	return bt_empty(bt);
}

/* ---- instruction by instruction */

/* Something wanted was written here: then what was read for it is wanted instead. */
static bool wanted_from(struct backtrack_state *bt, u16 writes, u16 reads)
{
	u32 *mask = &bt->reg_masks[bt->frame];

	if (!(*mask & writes))
		return false;
	*mask = (*mask & ~writes) | (reads & ~(1u << BPF_REG_FP));
	return true;
}

static bool stack_access(const struct bpf_jmp_history_entry *e)
{
	return e && e->flags & INSN_F_STACK_ACCESS;
}

/* Not the address, which is no scalar: what lies there. */
static void backtrack_load(struct backtrack_state *bt, u16 writes,
			   const struct bpf_jmp_history_entry *e)
{
	if (wanted_from(bt, writes, 0) && stack_access(e))
		bt->stack_masks[e->frameno] |= 1ULL << e->spi;
}

static int backtrack_store(struct backtrack_state *bt, const struct bpf_insn *insn, u16 writes,
			   const struct bpf_jmp_history_entry *e)
{
	/* An address that is wanted as a scalar: it came of subtracting pointers. */
	if (bt_is_reg_set(bt, insn->dst_reg))
		return -ENOTSUP;
	if (BPF_CLASS(insn->code) == BPF_STX && BPF_MODE(insn->code) == BPF_ATOMIC) {
		backtrack_load(bt, writes, e);
		return 0;
	}
	if (!stack_access(e) || !(bt->stack_masks[e->frameno] & 1ULL << e->spi))
		return 0;
	bt->stack_masks[e->frameno] &= ~(1ULL << e->spi);
	if (BPF_CLASS(insn->code) == BPF_STX)
		bt_set_reg(bt, insn->src_reg);
	return 0;
}

/* Backwards out of a callee, to its call: only arguments may still be wanted. */
static int leave_callee(struct backtrack_state *bt)
{
	u32 args = bt->reg_masks[bt->frame] & CALL_ARGS;

	if (!bt->frame || bt->reg_masks[bt->frame] & ~CALL_ARGS || bt->stack_masks[bt->frame])
		return -ENOTSUP;
	bt->reg_masks[bt->frame] = 0;
	bt->frame--;
	bt->reg_masks[bt->frame] |= args;
	return 0;
}

/* Backwards out of a callback: what it was given came from the helper. */
static int leave_callback(struct backtrack_state *bt)
{
	if (!bt->frame || bt->reg_masks[bt->frame] & ~CALL_ARGS || bt->stack_masks[bt->frame])
		return -ENOTSUP;
	bt->reg_masks[bt->frame] = 0;
	bt->frame--;
	return 0;
}

/* Backwards into the callee whose exit this is: R0 of the caller came from it. */
static int enter_callee(struct bpf_verifier_env *env, struct backtrack_state *bt, int subseq_idx)
{
	bool callback = subseq_idx >= 0 && env->flow[subseq_idx].calls_callback, r0;

	/*
	 * A callback returns to its call, which looks at R1 to R5 again: they are still the
	 * caller's, and stay wanted all through the callback. (Linux forgets them here.)
	 */
	if ((!callback && bt->reg_masks[bt->frame] & CALL_ARGS) || bt->frame + 1 >= MAX_CALL_FRAMES)
		return -ENOTSUP;
	r0 = subseq_idx >= 1 && bpf_insn_is_pseudo_call(&env->insns[subseq_idx - 1]) &&
	     bt_is_reg_set(bt, BPF_REG_0);
	bt_clear_reg(bt, BPF_REG_0);
	bt->frame++;
	bt->reg_masks[bt->frame] = 0;
	bt->stack_masks[bt->frame] = 0;
	if (r0)
		bt_set_reg(bt, BPF_REG_0);
	return 0;
}

/* Backwards into a callee that ended before its exit; what it returned came from elsewhere. */
static int end_early(struct backtrack_state *bt)
{
	if (bt->reg_masks[bt->frame] & CALL_ARGS || bt->frame + 1 >= MAX_CALL_FRAMES)
		return -ENOTSUP;
	bt_clear_reg(bt, BPF_REG_0);
	bt->frame++;
	bt->reg_masks[bt->frame] = 0;
	bt->stack_masks[bt->frame] = 0;
	return 0;
}

static bool calls_global(const struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	int subprog = find_subprog(env, (insn - env->insns) + insn->imm + 1);

	return subprog >= 0 && env->global[subprog].is_global;
}

static int backtrack_jump(struct bpf_verifier_env *env, struct backtrack_state *bt,
			  const struct bpf_insn *insn, int idx, int subseq_idx,
			  const struct bpf_jmp_history_entry *e)
{
	switch (BPF_OP(insn->code)) {
	case BPF_CALL:
		if (bpf_insn_is_pseudo_call(insn) && !calls_global(env, insn))
			return leave_callee(bt);
		if (env->flow[idx].calls_callback && subseq_idx != idx + 1)
			return leave_callback(bt);
		if (subseq_idx >= 0 && subseq_idx != idx + 1 && insn->imm == BPF_FUNC_tail_call)
			return end_early(bt);
		bt_clear_reg(bt, BPF_REG_0);
		return bt->reg_masks[bt->frame] & CALL_ARGS ? -ENOTSUP : 0;
	case BPF_EXIT:
		return enter_callee(env, bt, subseq_idx);
	case BPF_JA:
		return 0;
	}
	/* Compared with one that is wanted exactly: what was learnt of either depends on both. */
	if (BPF_SRC(insn->code) == BPF_X &&
	    (bt_is_reg_set(bt, insn->dst_reg) || bt_is_reg_set(bt, insn->src_reg))) {
		if (!e || !(e->flags & INSN_F_SRC_REG_STACK))
			bt_set_reg(bt, insn->src_reg);
		if (!e || !(e->flags & INSN_F_DST_REG_STACK))
			bt_set_reg(bt, insn->dst_reg);
	}
	return 0;
}

/* R0 is packet data, or a constant is; R1 to R5 are gone. */
static int backtrack_ld(struct backtrack_state *bt, const struct bpf_insn *insn, u16 writes,
			int idx, int subseq_idx)
{
	if (BPF_MODE(insn->code) != BPF_IMM && subseq_idx >= 0 && subseq_idx != idx + 1)
		return end_early(bt);
	wanted_from(bt, writes, 0);
	return 0;
}

static void fmt_masks(const struct backtrack_state *bt, u32 frame, char *regs, char *stack,
		      size_t len)
{
	size_t n = 0;

	*regs = *stack = 0;
	for (u32 i = 0; i < BPF_REG_FP; i++)
		if (bt->reg_masks[frame] & 1u << i)
			n += snprintf(regs + n, len - n, "%sr%u", n ? "," : "", i);
	n = 0;
	for (u32 i = 0; i < MAX_STACK_SLOTS && n < len - 8; i++)
		if (bt->stack_masks[frame] & 1ULL << i)
			n += snprintf(stack + n, len - n, "%s-%u", n ? "," : "", (i + 1) * 8);
}

static int backtrack_insn(struct bpf_verifier_env *env, int idx, int subseq_idx,
			  const struct bpf_jmp_history_entry *e)
{
	const struct bpf_insn *insn = &env->insns[idx];
	struct backtrack_state *bt = &env->bt;
	char regs[64], stack[512];
	u16 reads, writes;
	int err = 0;

	if (!insn->code) /* second half of LD_IMM64 */
		return 0;
	if (env->log_level & BPF_LOG_LEVEL2 && !env->log->truncated) {
		fmt_masks(bt, bt->frame, regs, stack, sizeof(regs));
		vtrace(env, "mark_precise: frame%u: regs=%s stack=%s before %d: ", bt->frame, regs,
		       stack, idx);
		verbose_insn(env, idx);
	}
	bt_sync_linked_regs(bt, e);
	bpf_insn_regs(bpf_insn_decode(insn), insn, &reads, &writes); /* it was walked: it decodes */
	switch (BPF_CLASS(insn->code)) {
	case BPF_ALU:
	case BPF_ALU64:
		wanted_from(bt, writes, reads);
		break;
	case BPF_LDX:
		backtrack_load(bt, writes, e);
		break;
	case BPF_ST:
	case BPF_STX:
		err = backtrack_store(bt, insn, writes, e);
		break;
	case BPF_LD:
		err = backtrack_ld(bt, insn, writes, idx, subseq_idx);
		break;
	default:
		err = backtrack_jump(env, bt, insn, idx, subseq_idx, e);
	}
	bt_sync_linked_regs(bt, e);
	return err;
}

static const struct bpf_jmp_history_entry *hist_entry(const struct bpf_verifier_state *st, u32 cnt,
						      int idx)
{
	if (cnt && (int)st->hist[cnt - 1].idx == idx)
		return &st->hist[cnt - 1];
	return NULL;
}

/* The instruction before i on this part of the path; -ENOENT at its beginning. */
static int prev_insn_idx(const struct bpf_verifier_state *st, int i, u32 *cnt)
{
	if (i == st->first_insn_idx) {
		if (!*cnt)
			return -ENOENT;
		if (*cnt == 1 && (int)st->hist[0].idx == i)
			return -ENOENT;
	}
	if (*cnt && (int)st->hist[*cnt - 1].idx == i) {
		(*cnt)--;
		return st->hist[*cnt].prev_idx;
	}
	return i - 1;
}

/*
 * The masks now say what the checkpoint must have had exactly: mark it, and forget what it has
 * marked.
 */
static void mark_checkpoint(struct bpf_verifier_env *env, struct bpf_verifier_state *st)
{
	struct backtrack_state *bt = &env->bt;

	for (int f = bt->frame; f >= 0; f--) {
		struct bpf_func_state *func = st->frame[f];
		char regs[64], stack[512];

		charge(env, 1 + __builtin_popcountll(bt->stack_masks[f]));
		for (u32 mask = bt->reg_masks[f]; mask; mask &= mask - 1) {
			u32 i = (u32)__builtin_ctz(mask);
			struct bpf_reg_state *reg = &func->regs[i];

			if (reg->type != SCALAR_VALUE || reg->precise)
				bt->reg_masks[f] &= ~(1u << i);
			else
				reg->precise = true, env->marks++;
		}
		for (u64 mask = bt->stack_masks[f]; mask; mask &= mask - 1) {
			u32 i = (u32)__builtin_ctzll(mask);
			struct bpf_stack_state *slot;

			slot = i < func->nslots ? &func->stack[i] : NULL;
			if (!slot || !is_spilled_scalar_reg(slot) || slot->spilled_ptr.precise)
				bt->stack_masks[f] &= ~(1ULL << i);
			else
				slot->spilled_ptr.precise = true, env->marks++;
		}
		if (env->log_level & BPF_LOG_LEVEL2 && !env->log->truncated) {
			fmt_masks(bt, f, regs, stack, sizeof(regs));
			vtrace(env, "mark_precise: frame%d: parent state regs=%s stack=%s: ", f,
			       regs, stack);
			print_verifier_state(env, st, f, true);
		}
	}
}

/*
 * Backwards through the part of the path that follows st's beginning. 1: nothing is wanted any
 * more. -ENOTSUP: it cannot tell. -E2BIG, -EINTR: check_work().
 */
static int backtrack_part(struct bpf_verifier_env *env, const struct bpf_verifier_state *st,
			  int last_idx, int *subseq_idx, bool skip_first)
{
	u32 cnt = st->hist_cnt;
	int i = last_idx, err;

	if (i < 0)
		return -ENOTSUP;
	for (u32 steps = 0;; steps++) {
		charge(env, 1);
		err = check_work(env);
		if (err)
			return err;
		if (!skip_first) {
			err = backtrack_insn(env, i, *subseq_idx, hist_entry(st, cnt, i));
			if (err)
				return err;
		}
		skip_first = false;
		if (bt_empty(&env->bt))
			return 1;
		*subseq_idx = i;
		i = prev_insn_idx(st, i, &cnt);
		if (i == -ENOENT)
			return 0;
		if (i < 0 || i >= env->insn_cnt)
			return -ENOTSUP;
		if (st == env->cur_state && steps >= MEMO_AFTER && !((i + cnt) % MEMO_EVERY) &&
		    wanted_before(env, i, cnt))
			return 1;
	}
}

/* Walk back from `start` with what env->bt asks for. */
int mark_chain_precision_batch(struct bpf_verifier_env *env, struct bpf_verifier_state *start)
{
	struct bpf_verifier_state *st = start;
	int last_idx = start->insn_idx, subseq_idx = -1, ret;
	bool skip_first = true;

	if (bt_empty(&env->bt))
		return 0;
	for (;;) {
		if (env->log_level & BPF_LOG_LEVEL2)
			vtrace(env,
			       "mark_precise: frame%u: last_idx %d first_idx %d subseq_idx %d \n",
			       env->bt.frame, last_idx, st->first_insn_idx, subseq_idx);
		ret = backtrack_part(env, st, last_idx, &subseq_idx, skip_first);
		skip_first = false;
		if (ret > 0)
			return 0;
		if (ret == -ENOTSUP)
			break;
		if (ret < 0)
			return ret;
		last_idx = st->last_insn_idx;
		subseq_idx = st->first_insn_idx;
		st = st->parent;
		if (!st)
			break;
		mark_checkpoint(env, st);
		if (bt_empty(&env->bt))
			return 0;
		last_idx = st->last_insn_idx;
	}
	if (env->log_level & BPF_LOG_LEVEL2)
		vtrace(env, "mark_precise: frame%u: falling back to forcing all scalars precise\n",
		       env->bt.frame);
	mark_all_scalars_precise(env, start->parent);
	bt_reset(&env->bt);
	return 0;
}

/* Register regno of the current frame decided something. */
int mark_chain_precision(struct bpf_verifier_env *env, int regno)
{
	if (cur_regs(env)[regno].type != SCALAR_VALUE)
		return 0;
	bt_reset(&env->bt);
	env->bt.frame = env->cur_state->curframe;
	bt_set_reg(&env->bt, regno);
	return mark_chain_precision_batch(env, env->cur_state);
}
