/*
 * work.c - how much work a check may be, whatever the program
 *
 * The number of instructions that are walked has a limit, but not what is done for each of them: a
 * path is walked backwards for a value that must be known exactly, states are copied, compared and
 * marked. So all that a program can make long is counted, in units of about a register: an
 * instruction walked, forwards or backwards; a register or stack slot copied, compared or marked; a
 * checkpoint passed by. The limit is one of units, not of time: a program is refused everywhere or
 * nowhere. What is linear in the program (cfg.c and its like) is not counted.
 *
 * charge() counts; check_work() stands in every loop whose turns a program decides, and ends the
 * check when it is too much, or when it is cancelled.
 */
#include "verifier/state/refuse.h"
#include "verifier/state/work.h"

#define WORK_STEP 4096 /* units from one look at the limit to the next */

int check_work_slow(struct bpf_verifier_env *env)
{
	if (env->cancel && __atomic_load_n(env->cancel, __ATOMIC_RELAXED))
		return -EINTR;
	if (env->work <= BPF_COMPLEXITY_LIMIT_WORK) {
		env->work_next = env->work + WORK_STEP;
		return 0;
	}
	if (!env->work_reported)
		refuse(env, TOO_MUCH_WORK, .num = {BPF_COMPLEXITY_LIMIT_WORK / 1000000});
	env->work_reported = true;
	return -E2BIG;
}
