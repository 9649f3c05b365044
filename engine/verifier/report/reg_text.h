/*
 * reg_text.h - registers in the kernel's format
 */
#ifndef UBPFFS_VERIFIER_REG_TEXT_H
#define UBPFFS_VERIFIER_REG_TEXT_H

#include "util/log.h"
#include "verifier/domain/reg_state.h"

/*
 * "scalar(smin=0,smax=umax=255,var_off=(0x0; 0xff))", "fp-8", "ctx()", "map_value(map=m,ks=4,vs=8)"
 * ... frameno: the frame that is shown; a stack pointer of another one says whose it is
 * ("fp[1]-8").
 */
void print_reg_state(struct bpf_log *log, const struct bpf_reg_state *reg, u32 frameno);
/* "scalar", "map_value_or_null", ...: valid until this thread's next call. */
const char *reg_type_str(u32 type);

#endif
