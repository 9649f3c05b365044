/*
 * arith.h - ALU instructions, with pointers
 */
#ifndef UBPFFS_VERIFIER_ARITH_H
#define UBPFFS_VERIFIER_ARITH_H

struct bpf_verifier_env;
struct bpf_insn;

int check_alu_op(struct bpf_verifier_env *env, const struct bpf_insn *insn);

#endif
