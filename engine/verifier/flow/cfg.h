/*
 * cfg.h - the flow of control, before anything is known about values
 */
#ifndef UBPFFS_VERIFIER_CFG_H
#define UBPFFS_VERIFIER_CFG_H

#include "insn/insn.h"

struct bpf_verifier_env;

int check_cfg(struct bpf_verifier_env *env);
/* The edges out of t in the order in which they are walked; how many there are (at most 2). */
u32 insn_successors(const struct bpf_verifier_env *env, u32 t, s64 *to, bool with_calls);

static inline int jmp_offset(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP32 | BPF_JA) ? insn->imm : insn->off;
}

#endif
