/*
 * assume.h - a program that is not proved, because its loader asked for that by name
 */
#ifndef UBPFFS_VERIFIER_ASSUME_H
#define UBPFFS_VERIFIER_ASSUME_H

#include "verifier/state/env.h"

/* Calls a helper by the number in a register. */
static inline bool is_callx(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_CALL | BPF_X);
}

/* What the walk would have found out, as far as it is the text's to say; the rest is assumed. */
int assume_safe(struct bpf_verifier_env *env);

#endif
