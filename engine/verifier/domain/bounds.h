/*
 * bounds.h - keeping the five views of a scalar consistent: pure functions of a register
 */
#ifndef UBPFFS_VERIFIER_BOUNDS_H
#define UBPFFS_VERIFIER_BOUNDS_H

#include "verifier/domain/reg_state.h"

void __mark_reg_known(struct bpf_reg_state *reg, u64 imm); /* keeps type */
void __mark_reg32_known(struct bpf_reg_state *reg, u64 imm);
void __mark_reg_const_zero(struct bpf_reg_state *reg); /* SCALAR_VALUE 0 */
void __mark_reg_unknown(struct bpf_reg_state *reg); /* SCALAR_VALUE, anything */
void __mark_reg_unbounded(struct bpf_reg_state *reg);
void __mark_reg32_unbounded(struct bpf_reg_state *reg);
void reg_bounds_sync(struct bpf_reg_state *reg); /* deduce each view from the others */
bool reg_bounds_sane(const struct bpf_reg_state *reg); /* no view is empty */
void zext_32_to_64(struct bpf_reg_state *reg); /* after a 32-bit operation */
void coerce_reg_to_size(struct bpf_reg_state *reg, int size); /* zero-extend from size bytes */
void coerce_reg_to_size_sx(struct bpf_reg_state *reg, int size); /* r = (sN)r */
void coerce_subreg_to_size_sx(struct bpf_reg_state *reg, int size); /* w = (sN)w, upper half 0 */

#endif
