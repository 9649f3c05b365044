/*
 * subprog.h - where the functions of a program begin and end, and how deep they stack
 */
#ifndef UBPFFS_VERIFIER_SUBPROG_H
#define UBPFFS_VERIFIER_SUBPROG_H

struct bpf_verifier_env;

int find_subprogs(struct bpf_verifier_env *env);
int check_subprogs(struct bpf_verifier_env *env);
int check_max_stack_depth(struct bpf_verifier_env *env);

#endif
