/*
 * regs.h - registers as wholes: reading and writing one, making it zero or unknown, its identity
 */
#ifndef UBPFFS_VERIFIER_REGS_H
#define UBPFFS_VERIFIER_REGS_H

#include "verifier/state/env.h"

enum reg_arg_type {
	SRC_OP, /* read */
	DST_OP, /* written: becomes an unknown scalar */
	DST_OP_NO_MARK, /* written, the caller says with what */
};

int check_reg_arg(struct bpf_verifier_env *env, u32 regno, enum reg_arg_type t);
void mark_reg_known_zero(struct bpf_reg_state *regs, u32 regno);
void mark_reg_unknown(struct bpf_reg_state *regs, u32 regno);
void mark_reg_not_init(struct bpf_reg_state *regs, u32 regno);
void assign_scalar_id_before_mov(struct bpf_verifier_env *env, struct bpf_reg_state *src);
void clear_scalar_id(struct bpf_reg_state *reg);
int check_bounds_sane(struct bpf_verifier_env *env, struct bpf_reg_state *reg, const char *what);
int check_ptr_off_reg(struct bpf_verifier_env *env, const struct bpf_reg_state *reg, u32 regno);
bool reg_fits(const struct bpf_reg_state *reg, int size, bool is_signed);
void mark_ptr_not_null(struct bpf_reg_state *reg);
/* Its address leads nowhere any more: a number, for who may know addresses. */
void mark_reg_invalid(const struct bpf_verifier_env *env, struct bpf_reg_state *reg);
/* Not a number, and the loader may not learn addresses. */
bool is_pointer_value(const struct bpf_verifier_env *env, u32 regno);
bool register_is_null(const struct bpf_reg_state *reg);

void clear_all_pkt_pointers(struct bpf_verifier_env *env);

#endif
