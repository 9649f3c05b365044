/*
 * mem.h - loads and stores by kind of pointer, and the memory that a helper goes over
 */
#ifndef UBPFFS_VERIFIER_MEM_H
#define UBPFFS_VERIFIER_MEM_H

#include "core/prog.h"

struct bpf_verifier_env;
struct bpf_reg_state;
struct bpf_call_arg_meta;

int check_mem_access(struct bpf_verifier_env *env, int insn_idx, u32 regno, int off, int bpf_size,
		     enum bpf_access_type t, int value_regno, bool strict_once, bool is_ldsx);
int check_helper_mem_access(struct bpf_verifier_env *env, u32 regno, int access_size,
			    enum bpf_access_type access_type, bool zero_size_allowed,
			    struct bpf_call_arg_meta *meta);
/* [off, off + size) behind the pointer's variable part: inside of the value? */
int check_map_value_range(struct bpf_verifier_env *env, u32 regno, int off, int size);
int check_atomic(struct bpf_verifier_env *env, const struct bpf_insn *insn);
int check_ptr_alignment(struct bpf_verifier_env *env, const struct bpf_reg_state *reg, int off,
			int size, bool strict_once);

#endif
