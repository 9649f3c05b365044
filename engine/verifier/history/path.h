/*
 * path.h - states made, copied, dropped; the branches that wait; the history of a path
 */
#ifndef UBPFFS_VERIFIER_PATH_H
#define UBPFFS_VERIFIER_PATH_H

#include "verifier/state/env.h"

#define BPF_VERIFIER_MAX_MEM (768UL << 20) /* bytes in states, all together */
/*
 * Bytes in states of all checks that run, beyond the first ones of each, which are always there:
 * what large programs take leaves small ones alone.
 */
#define BPF_VERIFIER_OWN_MEM (16UL << 20)
void verifier_share_mem(u64 bytes);
u64 verifier_shared_mem(void);
void release_shared_mem(struct bpf_verifier_env *env);

int copy_verifier_state(struct bpf_verifier_env *env, struct bpf_verifier_state *dst,
			const struct bpf_verifier_state *src);
void free_verifier_state(struct bpf_verifier_env *env, struct bpf_verifier_state *st);
struct bpf_verifier_state *push_stack(struct bpf_verifier_env *env, int insn_idx,
				      int prev_insn_idx);
int pop_stack(struct bpf_verifier_env *env, int *prev_insn_idx, int *insn_idx, bool pop_log);
struct bpf_func_state *new_func_state(struct bpf_verifier_env *env, int callsite, u32 frameno,
				      u32 subprogno);
void free_func_state(struct bpf_verifier_env *env, struct bpf_func_state *func);
int grow_stack_state(struct bpf_verifier_env *env, struct bpf_func_state *func, int size);
int push_jmp_history(struct bpf_verifier_env *env, struct bpf_verifier_state *cur, u16 flags,
		     u8 frameno, u8 spi, const struct linked_regs *linked);

#endif
