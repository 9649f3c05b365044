/*
 * refuse.h - a check says that the program is refused, and why
 */
#ifndef UBPFFS_VERIFIER_REFUSE_H
#define UBPFFS_VERIFIER_REFUSE_H

#include "verifier/report/reasons.h"

struct bpf_verifier_env;

/* What a check knows; the wording of its reason says what is used. */
struct refusal {
	u32 reg;
	u32 type; /* what the register holds */
	s64 num[8];
	const char *name[2];
};

/*
 * refuse - give a reason of the table, write its sentence to the log, and return its -errno
 *
 *	return refuse(env, SHIFT, .num = {insn->imm});
 *
 * Several reasons may be given while env->insn_idx is the same: the last is the outermost check's.
 */
#define refuse(env, code, ...) __refuse(env, REASON_##code, &(const struct refusal){__VA_ARGS__})
int __refuse(struct bpf_verifier_env *env, enum bpf_reason_code code, const struct refusal *what);
/* The check ended with err, and no check gave a reason. */
void refuse_errno(struct bpf_verifier_env *env, int err);

#endif
