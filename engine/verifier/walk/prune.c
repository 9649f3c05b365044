/*
 * prune.c - is this state covered by one that was proved safe here?
 *
 * Slots that no path below a finished checkpoint read are forgotten in it, and so are dead
 * registers. A state that comes again exactly as an ancestor was is a loop that makes no progress:
 * the program never ends; a wrong guess does.
 */
#include "verifier/history/compare.h"
#include "verifier/history/marks.h"
#include "verifier/history/path.h"
#include "verifier/history/precise.h"
#include "verifier/history/widen.h"
#include "verifier/state/print.h"
#include "verifier/state/refuse.h"
#include "verifier/state/regs.h"
#include "verifier/state/work.h"
#include "verifier/walk/loop.h"
#include "verifier/walk/observer.h"
#include "verifier/walk/prune.h"

static void clean_verifier_state(struct bpf_verifier_env *env, struct bpf_verifier_state *st)
{
	for (u32 f = 0; f <= st->curframe; f++) {
		struct bpf_func_state *func = st->frame[f];
		u16 live = env->flow[frame_insn_idx(st, f)].live_regs;

		for (u32 i = 0; i < BPF_REG_FP; i++)
			if (!(live & 1u << i))
				mark_reg_not_init(func->regs, i);
		charge(env, MAX_BPF_REG + func->nslots);
		for (u32 i = 0; i < func->nslots; i++) {
			if (st->stack_read[f] & 1ULL << i)
				continue;
			memset(&func->stack[i], 0, sizeof(func->stack[i]));
		}
		while (func->nslots && is_slot_unused(&func->stack[func->nslots - 1]))
			func->nslots--;
	}
	st->cleaned = true;
}

/* ---- a hit: what mattered below the old state matters on the current path, too */

static int take_hit(struct bpf_verifier_env *env, struct bpf_verifier_state *old,
		    enum exact_level exact)
{
	struct bpf_verifier_state *cur = env->cur_state;
	int err = 0;

	if (env->observer)
		env->observer->prune(env->observer, env, old, exact);
	old->hit_cnt++;
	propagate_reads(old, cur);
	if (env->flow[env->insn_idx].jmp_point)
		err = push_jmp_history(env, cur, 0, 0, 0, NULL);
	if (!err)
		err = propagate_precision(env, old, cur);
	if (!err && (old->branches || incomplete_marks(env, old)))
		err = close_loop(env, old);
	return err ? err : 1;
}

/* ---- keeping checkpoints */

static void free_checkpoint(struct bpf_verifier_env *env, struct bpf_verifier_state *st)
{
	free_verifier_state(env, st);
	env->mem -= sizeof(*st);
	free(st);
}

/* Evicted checkpoints wait until they are nobody's ancestor, and no loop needs them. */
static void sweep_free_list(struct bpf_verifier_env *env)
{
	struct bpf_verifier_state **link = &env->free_list, *st;

	while ((st = *link)) {
		charge(env, 1);
		if (st->branches || incomplete_marks(env, st)) {
			link = &st->next;
			continue;
		}
		*link = st->next;
		env->free_list_size--;
		free_checkpoint(env, st);
	}
	env->free_sweep = 2 * env->free_list_size + 64;
}

void free_checkpoints(struct bpf_verifier_env *env)
{
	struct bpf_verifier_state *st;

	while ((st = env->free_list)) {
		env->free_list = st->next;
		free_checkpoint(env, st);
	}
	for (u32 i = 0; env->explored && i < env->insn_cnt; i++) {
		while ((st = env->explored[i])) {
			env->explored[i] = st->next;
			free_checkpoint(env, st);
		}
	}
}

static void evict(struct bpf_verifier_env *env, struct bpf_verifier_state **link)
{
	struct bpf_verifier_state *st = *link;

	*link = st->next;
	env->explored_states--;
	if (!st->branches && !incomplete_marks(env, st)) {
		free_checkpoint(env, st);
		return;
	}
	st->next = env->free_list;
	env->free_list = st;
	if (++env->free_list_size > env->free_sweep)
		sweep_free_list(env);
}

static int infinite_loop(struct bpf_verifier_env *env, const struct bpf_verifier_state *old,
			 int insn_idx)
{
	struct bpf_verifier_state *cur = env->cur_state;

	verbose_linfo(env, insn_idx, "; ");
	refuse(env, INFINITE_LOOP, .num = {insn_idx});
	if (env->log_level) {
		vtrace(env, "cur state:");
		print_verifier_state(env, cur, cur->curframe, true);
		vtrace(env, "old state:");
		print_verifier_state(env, old, cur->curframe, true);
	}
	return -EINVAL;
}

static int add_checkpoint(struct bpf_verifier_env *env, int insn_idx)
{
	struct bpf_verifier_state *cur = env->cur_state, *st = calloc(1, sizeof(*st)), **link;

	if (!st)
		return -ENOMEM;
	env->mem += sizeof(*st);
	env->total_states++;
	env->explored_states++;
	env->prev_jmps_processed = env->jmps_processed;
	env->prev_insn_processed = env->insn_processed;
	mark_all_scalars_imprecise(cur);
	if (copy_verifier_state(env, st, cur)) {
		free_checkpoint(env, st);
		return -ENOMEM;
	}
	st->insn_idx = insn_idx;
	st->branches = 1;
	st->node = 0; /* of insn_idx, which comes next */
	link = explored_states(env, insn_idx);
	st->next = *link;
	*link = st;
	cur->parent = st;
	cur->dfs_depth++;
	cur->first_insn_idx = insn_idx;
	cur->hist_cnt = 0;
	env->cur_hist_ent = NULL;
	memset(cur->stack_written, 0, sizeof(cur->stack_written));
	begin_part(env);
	if (env->peak_states < env->explored_states + env->free_list_size)
		env->peak_states = env->explored_states + env->free_list_size;
	return 0;
}

/*
 * A loop of which the machine guesses wrong turns ends by itself, after who knows how many. What
 * differs in the next turn may then be anything.
 */
static int check_guessed_loop(struct bpf_verifier_env *env, struct bpf_verifier_state *st)
{
	struct bpf_verifier_state *cur = env->cur_state;

	if (states_maybe_looping(st, cur) && states_equal(env, st, cur, RANGE_WITHIN))
		return take_hit(env, st, RANGE_WITHIN);
	if (!st->speculative || !same_callsites(st, cur))
		return 0;
	widen_scalars(env, st, cur, true);
	return states_equal(env, st, cur, RANGE_WITHIN) ? take_hit(env, st, RANGE_WITHIN) : 0;
}

/*
 * An ancestor, or beside the path: 1: the loop that leads from it to here is safe; -EINVAL: it
 * never ends.
 */
static int check_ancestor(struct bpf_verifier_env *env, struct bpf_verifier_state *st, int insn_idx)
{
	struct bpf_verifier_state *cur = env->cur_state;
	bool calls_callback = env->flow[insn_idx].calls_callback;

	/*
	 * A callback that changes nothing any more may be called again and again. Who comes to the
	 * call otherwise than out of the callback is in a loop of the program, which must get on.
	 */
	if (st->callback_unroll_depth != cur->callback_unroll_depth)
		return calls_callback && states_equal(env, st, cur, RANGE_WITHIN)
			       ? take_hit(env, st, RANGE_WITHIN)
			       : 0;
	if (cur->speculative)
		return check_guessed_loop(env, st);
	if (!calls_callback && !states_maybe_looping(st, cur))
		return 0;
	return states_equal(env, st, cur, EXACT) ? infinite_loop(env, st, insn_idx) : 0;
}

int is_state_visited(struct bpf_verifier_env *env, int insn_idx)
{
	struct bpf_verifier_state *cur = env->cur_state, **link = explored_states(env, insn_idx);
	bool forced = env->flow[insn_idx].calls_callback;
	bool force_new = env->test_state_freq || forced || cur->hist_cnt > 40;
	bool add_new = force_new;
	u32 states_cnt = 0, patience;
	int err;

	if (env->jmps_processed - env->prev_jmps_processed >= 2 &&
	    env->insn_processed - env->prev_insn_processed >= 8)
		add_new = true;
	while (*link) {
		struct bpf_verifier_state *st = *link;

		states_cnt++;
		charge(env, 1);
		err = check_work(env);
		if (err)
			return err;
		if (st->insn_idx != insn_idx) { /* shares the list */
			link = &st->next;
			continue;
		}
		if (st->branches) {
			err = check_ancestor(env, st, insn_idx);
			if (err)
				return err;
			/* Unrolling a loop: not a checkpoint a turn. */
			if (!force_new && !cur->speculative &&
			    env->jmps_processed - env->prev_jmps_processed < 20 &&
			    env->insn_processed - env->prev_insn_processed < 100)
				add_new = false;
		} else {
			bool incomplete = incomplete_marks(env, st);
			enum exact_level exact = incomplete ? RANGE_WITHIN : NOT_EXACT;

			if (!st->cleaned && !incomplete)
				clean_verifier_state(env, st);
			if (states_equal(env, st, cur, exact))
				return take_hit(env, st, exact);
		}
		if (add_new)
			st->miss_cnt++;
		/* Without its earlier states a callback's loop would not converge. */
		patience = forced && st->branches ? 64 : 3;
		if (st->miss_cnt > st->hit_cnt * patience + patience)
			evict(env, link);
		else
			link = &st->next;
	}
	env->max_states_per_insn = max(env->max_states_per_insn, states_cnt);
	return add_new ? add_checkpoint(env, insn_idx) : 0;
}
