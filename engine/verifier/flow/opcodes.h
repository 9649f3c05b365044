/*
 * opcodes.h - each instruction by itself
 */
#ifndef UBPFFS_VERIFIER_OPCODES_H
#define UBPFFS_VERIFIER_OPCODES_H

struct bpf_verifier_env;

int check_opcodes(struct bpf_verifier_env *env);

#endif
