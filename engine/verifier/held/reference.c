/*
 * reference.c - what a program was given and must give back
 *
 * A helper that hands out an object acquires a reference; the registers and slots that hold the
 * object carry its number (ref_obj_id). It must be released, on every path, before the program
 * ends. After the release all copies are numbers that nobody knows.
 */
#include "verifier/held/reference.h"
#include "verifier/domain/bounds.h"
#include "verifier/state/refuse.h"
#include "verifier/state/regs.h"

int acquire_reference(struct bpf_verifier_env *env, int insn_idx)
{
	struct bpf_verifier_state *st = env->cur_state;

	if (st->ref_cnt == BPF_MAX_REFS)
		return refuse(env, TOO_MANY_REFERENCES, .num = {BPF_MAX_REFS});
	st->refs[st->ref_cnt].id = ++env->id_gen;
	st->refs[st->ref_cnt].insn_idx = insn_idx;
	st->refs[st->ref_cnt].lock_map = NULL;
	return (int)st->refs[st->ref_cnt++].id;
}

/* The object turned out to be NULL: there is nothing to give back. */
bool forget_reference(struct bpf_verifier_state *st, u32 id)
{
	for (u32 i = 0; i < st->ref_cnt; i++) {
		if (st->refs[i].id != id)
			continue;
		memmove(&st->refs[i], &st->refs[i + 1], (--st->ref_cnt - i) * sizeof(st->refs[0]));
		return true;
	}
	return false;
}

int release_reference(struct bpf_verifier_env *env, u32 id)
{
	struct bpf_verifier_state *st = env->cur_state;

	if (!forget_reference(st, id))
		return -EINVAL;
	for_each_reg_in_state(st, reg, if (reg->ref_obj_id == id) mark_reg_invalid(env, reg));
	return 0;
}

struct bpf_reference_state *active_lock(struct bpf_verifier_state *st)
{
	for (u32 i = 0; i < st->ref_cnt; i++)
		if (st->refs[i].lock_map)
			return &st->refs[i];
	return NULL;
}

int check_no_lock(struct bpf_verifier_env *env, const char *what)
{
	if (!active_lock(env->cur_state))
		return 0;
	return refuse(env, IN_LOCK, .name = {what});
}

/* May the program end here, or leave by `what`? */
int check_resource_leak(struct bpf_verifier_env *env, const char *what)
{
	const struct bpf_verifier_state *st = env->cur_state;

	if (st->curframe || !st->ref_cnt)
		return 0;
	if (check_no_lock(env, what))
		return -EINVAL;
	for (u32 i = 0; i < st->ref_cnt; i++)
		refuse(env, UNRELEASED, .num = {st->refs[i].id, st->refs[i].insn_idx});
	return refuse(env, LEAK, .name = {what});
}
