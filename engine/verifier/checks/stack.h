/*
 * stack.h - loads and stores on stacks
 */
#ifndef UBPFFS_VERIFIER_STACK_H
#define UBPFFS_VERIFIER_STACK_H

#include "core/prog.h"

struct bpf_verifier_env;
struct bpf_reg_state;
struct bpf_call_arg_meta;

int check_stack_access_within_bounds(struct bpf_verifier_env *env, u32 regno, int off,
				     int access_size, enum bpf_access_type type);
int check_stack_read(struct bpf_verifier_env *env, u32 ptr_regno, int off, int size, int dst_regno);
int check_stack_write(struct bpf_verifier_env *env, u32 ptr_regno, int off, int size,
		      int value_regno, int insn_idx);
int check_stack_range_initialized(struct bpf_verifier_env *env, u32 regno, int off, int access_size,
				  bool zero_size_allowed, enum bpf_access_type type,
				  struct bpf_call_arg_meta *meta);
/* The constant of key_size bytes that a stack pointer points at: 0, or -EOPNOTSUPP. */
int get_constant_map_key(struct bpf_verifier_env *env, const struct bpf_reg_state *key,
			 u32 key_size, s64 *value);

#endif
