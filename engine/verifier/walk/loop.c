/*
 * loop.c - loops that end because nothing new happens in them
 *
 * A path may end at a state that is like an ancestor of it (RANGE_WITHIN, prune.c): whatever
 * follows from it follows from the ancestor, too. But what follows from the ancestor is not all
 * walked yet, and so the marks that say what mattered, which flow backwards (marks.c), are not
 * complete for any checkpoint from the ancestor down to the end of that path. Until they are, such
 * checkpoints are compared in everything, and a path that ends at one of them closes the loop, too.
 *
 * A visit is such a loop: its entry is the ancestor that is nearest to the root, its members are
 * the checkpoints between the entry and the ends (the backedges). A checkpoint that is not finished
 * is an ancestor of the current path, as paths are walked depth first; so the entries of unfinished
 * visits lie on one line, and visits that touch each other become one. When the last branch below
 * the entry is done, marks go round from the states that closed the loop until none is new; then
 * the visit is finished, and its members are checkpoints like others.
 *
 * While a visit is not finished its members are kept: backedges need them as ancestors.
 */
#include "verifier/history/marks.h"
#include "verifier/history/path.h"
#include "verifier/history/precise.h"
#include "verifier/state/work.h"
#include "verifier/walk/loop.h"

/*
 * A loop that was closed by a state like an earlier one of its own path (loop.c), and the states
 * that closed it.
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

#define MAX_ROUNDS 64 /* after these every scalar counts as precise */

static struct bpf_loop_visit *visit_of(const struct bpf_verifier_env *env, u32 visit)
{
	while (env->visits[visit].merged_into)
		visit = env->visits[visit].merged_into;
	return &env->visits[visit];
}

/* May more marks come? */
bool incomplete_marks(const struct bpf_verifier_env *env, const struct bpf_verifier_state *st)
{
	return st->visit && visit_of(env, st->visit)->entry;
}

static u32 new_visit(struct bpf_verifier_env *env, struct bpf_verifier_state *entry)
{
	if (env->visit_cnt + 2 > env->visit_cap) {
		u32 cap = env->visit_cap ? 2 * env->visit_cap : 16;
		void *p = realloc(env->visits, cap * sizeof(*env->visits));

		if (!p)
			return 0;
		env->visits = p;
		env->visit_cap = cap;
	}
	env->visits[++env->visit_cnt] = (struct bpf_loop_visit){.entry = entry};
	return env->visit_cnt;
}

/* The outer one takes the inner one's backedges. */
static void merge(struct bpf_verifier_env *env, struct bpf_loop_visit *inner,
		  struct bpf_loop_visit *outer)
{
	struct bpf_backedge **end = &inner->backedges;

	while (*end)
		end = &(*end)->next;
	*end = outer->backedges;
	outer->backedges = inner->backedges;
	inner->backedges = NULL;
	inner->entry = NULL;
	inner->merged_into = (u32)(outer - env->visits);
}

static int add_backedge(struct bpf_verifier_env *env, struct bpf_loop_visit *visit,
			struct bpf_verifier_state *old)
{
	struct bpf_backedge *edge = calloc(1, sizeof(*edge));

	if (!edge)
		return -ENOMEM;
	env->mem += sizeof(*edge);
	edge->next = visit->backedges;
	visit->backedges = edge;
	edge->equal_state = old;
	return copy_verifier_state(env, &edge->st, env->cur_state);
}

/*
 * The current path ends at `old`, which is its ancestor, or a member of a loop that is not
 * finished.
 */
int close_loop(struct bpf_verifier_env *env, struct bpf_verifier_state *old)
{
	struct bpf_loop_visit *visit = NULL;
	struct bpf_verifier_state *p = env->cur_state->parent;
	u32 n;

	if (old->visit)
		visit = visit_of(env, old->visit);
	if (!visit || !visit->entry) {
		n = new_visit(env, old);
		if (!n)
			return -ENOMEM;
		old->visit = n;
		visit = &env->visits[n];
	}
	n = (u32)(visit - env->visits);
	/* Every checkpoint on the way down from the entry is a member. */
	for (; p; p = p->parent) {
		struct bpf_loop_visit *other = p->visit ? visit_of(env, p->visit) : NULL;

		charge(env, 1);
		if (other == visit)
			break;
		p->visit = n;
		if (!other || !other->entry)
			continue;
		if (other->entry->dfs_depth < visit->entry->dfs_depth) {
			merge(env, visit, other);
			visit = other;
			break;
		}
		merge(env, other, visit);
	}
	return add_backedge(env, visit, old);
}

static void free_backedges(struct bpf_verifier_env *env, struct bpf_loop_visit *visit)
{
	struct bpf_backedge *edge;

	while ((edge = visit->backedges)) {
		visit->backedges = edge->next;
		free_verifier_state(env, &edge->st);
		env->mem -= sizeof(*edge);
		free(edge);
	}
}

static int propagate_round(struct bpf_verifier_env *env, struct bpf_loop_visit *visit, bool *news)
{
	u64 before = env->marks;
	int err = 0;

	*news = false;
	for (struct bpf_backedge *edge = visit->backedges; edge && !err; edge = edge->next) {
		*news |= propagate_reads(edge->equal_state, &edge->st);
		charge(env, 1);
		err = check_work(env);
		if (!err)
			err = propagate_precision(env, edge->equal_state, &edge->st);
	}
	*news |= env->marks != before;
	return err;
}

/*
 * All branches below `st` are done: if it is where a loop began, the loop's marks become complete.
 */
static int maybe_finish_loop(struct bpf_verifier_env *env, struct bpf_verifier_state *st)
{
	struct bpf_loop_visit *visit = st->visit ? visit_of(env, st->visit) : NULL;
	bool news = true;
	int err = 0;

	if (!visit || visit->entry != st)
		return 0;
	for (u32 round = 0; news && !err; round++) {
		if (round == MAX_ROUNDS)
			for (struct bpf_backedge *e = visit->backedges; e; e = e->next)
				mark_all_scalars_precise(env, e->st.parent);
		err = propagate_round(env, visit, &news);
	}
	free_backedges(env, visit);
	visit->entry = NULL;
	return err;
}

/*
 * A path ended: its checkpoints have one unfinished branch less, and so on upwards when it was the
 * last.
 */
int update_branch_counts(struct bpf_verifier_env *env, struct bpf_verifier_state *st)
{
	int err = 0;

	for (; st && !err; st = st->parent) {
		charge(env, 1);
		st->branches--;
		if (st->branches)
			break;
		err = maybe_finish_loop(env, st);
	}
	return err;
}

void free_loops(struct bpf_verifier_env *env)
{
	for (u32 i = 1; i <= env->visit_cnt; i++)
		free_backedges(env, &env->visits[i]);
	free(env->visits);
}
