/*
 * helper.h - calls of helper functions, checked against their prototypes
 */
#ifndef UBPFFS_VERIFIER_HELPER_H
#define UBPFFS_VERIFIER_HELPER_H

struct bpf_verifier_env;
struct bpf_insn;

int check_helper_call(struct bpf_verifier_env *env, const struct bpf_insn *insn, int insn_idx);

#endif
