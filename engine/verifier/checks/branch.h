/*
 * branch.h - conditional jumps
 */
#ifndef UBPFFS_VERIFIER_BRANCH_H
#define UBPFFS_VERIFIER_BRANCH_H

struct bpf_verifier_env;
struct bpf_insn;

int check_cond_jmp_op(struct bpf_verifier_env *env, const struct bpf_insn *insn, int *insn_idx);

#endif
