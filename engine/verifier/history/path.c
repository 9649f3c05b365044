/*
 * path.c - verifier states as memory: made, copied, dropped; the stack of branches that wait
 *
 * A state owns its frames, a frame its stack slots. Only slots below `nslots` exist; the rest of
 * the stack is untouched. All of it is counted in env->mem, which has a limit: what is verified
 * comes from outside.
 */
#include "verifier/history/path.h"
#include "verifier/history/precise.h"
#include "verifier/state/refuse.h"
#include "verifier/state/regs.h"
#include "verifier/state/work.h"

#define SHARED_STEP (1UL << 20)

static u64 shared_max = UINT64_MAX, shared_used;

void verifier_share_mem(u64 bytes)
{
	__atomic_store_n(&shared_max, bytes, __ATOMIC_RELAXED);
}

u64 verifier_shared_mem(void)
{
	return __atomic_load_n(&shared_used, __ATOMIC_RELAXED);
}

void release_shared_mem(struct bpf_verifier_env *env)
{
	__atomic_fetch_sub(&shared_used, env->mem_shared, __ATOMIC_RELAXED);
	env->mem_shared = 0;
}

/* Is there enough for `mem` bytes? What was taken is kept for the rest of the check. */
static bool take_shared_mem(struct bpf_verifier_env *env, size_t mem)
{
	u64 most = __atomic_load_n(&shared_max, __ATOMIC_RELAXED), used;
	size_t more;

	if (mem <= BPF_VERIFIER_OWN_MEM + env->mem_shared)
		return true;
	more = round_up(mem - BPF_VERIFIER_OWN_MEM - env->mem_shared, SHARED_STEP);
	used = __atomic_load_n(&shared_used, __ATOMIC_RELAXED);
	do {
		if (more > most || used > most - more)
			return false;
	} while (!__atomic_compare_exchange_n(&shared_used, &used, used + more, true,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	env->mem_shared += more;
	return true;
}

static void *env_realloc(struct bpf_verifier_env *env, void *p, size_t old, size_t size)
{
	if (env->mem - old + size > BPF_VERIFIER_MAX_MEM) {
		if (!env->mem_reported)
			refuse(env, STATES_MEMORY);
		env->mem_reported = true; /* bpf_check() makes E2BIG of it */
		return NULL;
	}
	if (!take_shared_mem(env, env->mem - old + size)) {
		if (!env->mem_shared_reported)
			refuse(env, SHARED_MEMORY);
		env->mem_shared_reported = true;
		return NULL;
	}
	p = realloc(p, size);
	if (p)
		env->mem += size - old;
	return p;
}

static void env_free(struct bpf_verifier_env *env, void *p, size_t size)
{
	if (p)
		env->mem -= size;
	free(p);
}

struct bpf_func_state *new_func_state(struct bpf_verifier_env *env, int callsite, u32 frameno,
				      u32 subprogno)
{
	struct bpf_func_state *func = env_realloc(env, NULL, 0, sizeof(*func));

	if (!func)
		return NULL;
	memset(func, 0, sizeof(*func));
	func->callsite = callsite;
	func->frameno = frameno;
	func->subprogno = subprogno;
	for (u32 i = 0; i < MAX_BPF_REG; i++)
		mark_reg_not_init(func->regs, i);
	mark_reg_known_zero(func->regs, BPF_REG_FP);
	func->regs[BPF_REG_FP].type = PTR_TO_STACK;
	func->regs[BPF_REG_FP].frameno = frameno;
	return func;
}

void free_func_state(struct bpf_verifier_env *env, struct bpf_func_state *func)
{
	if (!func)
		return;
	env_free(env, func->stack, func->cap * sizeof(*func->stack));
	env_free(env, func, sizeof(*func));
}

static int reserve_slots(struct bpf_verifier_env *env, struct bpf_func_state *func, u32 nslots)
{
	struct bpf_stack_state *stack;

	if (nslots <= func->cap)
		return 0;
	stack = env_realloc(env, func->stack, func->cap * sizeof(*stack), nslots * sizeof(*stack));
	if (!stack)
		return -ENOMEM;
	func->stack = stack;
	func->cap = nslots;
	return 0;
}

/* Make the slots down to fp-size exist, and note the depth. */
int grow_stack_state(struct bpf_verifier_env *env, struct bpf_func_state *func, int size)
{
	u32 nslots = round_up(size, 8) / 8;
	int err;

	if (nslots <= func->nslots)
		return 0;
	err = reserve_slots(env, func, nslots);
	if (err)
		return err;
	memset(func->stack + func->nslots, 0, (nslots - func->nslots) * sizeof(*func->stack));
	func->nslots = nslots;
	if (env->subprogs[func->subprogno].stack_depth < nslots * 8)
		env->subprogs[func->subprogno].stack_depth = nslots * 8;
	return 0;
}

static int copy_func_state(struct bpf_verifier_env *env, struct bpf_func_state **dstp,
			   const struct bpf_func_state *src)
{
	struct bpf_func_state *dst = *dstp;

	if (!dst) {
		dst = env_realloc(env, NULL, 0, sizeof(*dst));
		if (!dst)
			return -ENOMEM;
		dst->stack = NULL;
		dst->cap = 0;
		dst->nslots = 0;
		*dstp = dst;
	}
	if (reserve_slots(env, dst, src->nslots))
		return -ENOMEM;
	memcpy(dst, src, offsetof(struct bpf_func_state, nslots));
	dst->nslots = src->nslots;
	if (src->nslots)
		memcpy(dst->stack, src->stack, src->nslots * sizeof(*src->stack));
	return 0;
}

/*
 * The frames and what belongs to the path; `dst` keeps what memory it has. The history is copied,
 * too.
 */
int copy_verifier_state(struct bpf_verifier_env *env, struct bpf_verifier_state *dst,
			const struct bpf_verifier_state *src)
{
	u32 i;

	charge(env, state_units(src) + src->hist_cnt / 2);
	if (dst->hist_cap < src->hist_cnt) {
		void *hist = env_realloc(env, dst->hist, dst->hist_cap * sizeof(*dst->hist),
					 src->hist_cnt * sizeof(*dst->hist));

		if (!hist)
			return -ENOMEM;
		dst->hist = hist;
		dst->hist_cap = src->hist_cnt;
	}
	if (src->hist_cnt)
		memcpy(dst->hist, src->hist, src->hist_cnt * sizeof(*src->hist));
	dst->hist_cnt = src->hist_cnt;

	for (i = src->curframe + 1; i < MAX_CALL_FRAMES; i++) {
		free_func_state(env, dst->frame[i]);
		dst->frame[i] = NULL;
	}
	for (i = 0; i <= src->curframe; i++)
		if (copy_func_state(env, &dst->frame[i], src->frame[i]))
			return -ENOMEM;
	dst->curframe = src->curframe;
	dst->parent = src->parent;
	dst->branches = src->branches;
	memcpy(dst->refs, src->refs, src->ref_cnt * sizeof(src->refs[0]));
	dst->ref_cnt = src->ref_cnt;
	dst->callback_unroll_depth = src->callback_unroll_depth;
	dst->dfs_depth = src->dfs_depth;
	dst->speculative = src->speculative;
	dst->node = src->node;
	dst->insn_idx = src->insn_idx;
	dst->first_insn_idx = src->first_insn_idx;
	dst->last_insn_idx = src->last_insn_idx;
	memcpy(dst->stack_written, src->stack_written, sizeof(dst->stack_written));
	memset(dst->stack_read, 0, sizeof(dst->stack_read));
	return 0;
}

/* What the state owns; the structure itself is the caller's. */
void free_verifier_state(struct bpf_verifier_env *env, struct bpf_verifier_state *st)
{
	for (u32 i = 0; i < MAX_CALL_FRAMES; i++) {
		free_func_state(env, st->frame[i]);
		st->frame[i] = NULL;
	}
	env_free(env, st->hist, st->hist_cap * sizeof(*st->hist));
	st->hist = NULL;
	st->hist_cnt = st->hist_cap = 0;
}

/*
 * push_stack - the other branch of the instruction at hand: a copy of the current state, to be
 * walked later
 *
 * Returns the copy, for the caller to refine, or NULL when there are too many or memory ran out.
 */
struct bpf_verifier_state *push_stack(struct bpf_verifier_env *env, int insn_idx, int prev_insn_idx)
{
	struct bpf_verifier_stack_elem *elem = calloc(1, sizeof(*elem));

	if (!elem)
		return NULL;
	if (copy_verifier_state(env, &elem->st, env->cur_state)) {
		free_verifier_state(env, &elem->st);
		free(elem);
		return NULL;
	}
	elem->insn_idx = insn_idx;
	elem->prev_insn_idx = prev_insn_idx;
	elem->log_pos = env->log ? env->log->len : 0;
	elem->next = env->head;
	env->head = elem;
	env->stack_size++;
	if (elem->st.parent)
		elem->st.parent->branches++;
	elem->st.branches = 1;
	if (env->stack_size > BPF_COMPLEXITY_LIMIT_JMP_SEQ) {
		refuse(env, JUMP_SEQUENCE, .num = {env->stack_size});
		return NULL;
	}
	return &elem->st;
}

/* Go on with the newest branch that waits. -ENOENT: none is left. */
int pop_stack(struct bpf_verifier_env *env, int *prev_insn_idx, int *insn_idx, bool pop_log)
{
	struct bpf_verifier_stack_elem *elem = env->head;
	struct bpf_verifier_state *st = env->cur_state, old;

	if (!elem)
		return -ENOENT;
	if (pop_log)
		bpf_log_reset(env->log, elem->log_pos);
	/* Take the frames over instead of copying them. */
	old = *st;
	*st = elem->st;
	free_verifier_state(env, &old);
	*insn_idx = elem->insn_idx;
	*prev_insn_idx = elem->prev_insn_idx;
	env->head = elem->next;
	free(elem);
	env->stack_size--;
	begin_part(env);
	return 0;
}

int push_jmp_history(struct bpf_verifier_env *env, struct bpf_verifier_state *cur, u16 flags,
		     u8 frameno, u8 spi, const struct linked_regs *linked)
{
	struct bpf_jmp_history_entry *e = env->cur_hist_ent;

	if (!e) {
		if (cur->hist_cnt == cur->hist_cap) {
			u32 cap = cur->hist_cap ? cur->hist_cap * 2 : 8;

			e = env_realloc(env, cur->hist, cur->hist_cap * sizeof(*e),
					cap * sizeof(*e));
			if (!e)
				return -ENOMEM;
			cur->hist = e;
			cur->hist_cap = cap;
		}
		e = &cur->hist[cur->hist_cnt++];
		memset(e, 0, sizeof(*e));
		e->idx = env->insn_idx;
		e->prev_idx = env->prev_insn_idx;
		env->cur_hist_ent = e;
	}
	e->flags |= flags;
	if (flags & INSN_F_STACK_ACCESS) {
		e->frameno = frameno;
		e->spi = spi;
	}
	if (linked)
		e->linked = *linked;
	return 0;
}
