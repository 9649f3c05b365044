/*
 * arch.h - between the driver (jit.c) and a machine's emitter
 *
 * An emitter turns the passes' facts into code in two steps: emit() makes the bytes with what
 * depends on addresses left open, and settles every size; link() fills that in for the address
 * where the code will run.
 */
#ifndef UBPFFS_JIT_IR_ARCH_H
#define UBPFFS_JIT_IR_ARCH_H

#include "jit/ir/ir.h"

struct jit_code; /* the emitter's own */

struct jit_arch {
	const char *name;
	/* far: helpers may be anywhere. -ENOMEM, -EINVAL. */
	int (*emit)(const struct jit_ir *ir, bool far, struct jit_code **out);
	u32 (*size)(const struct jit_code *code);
	u32 (*tail_call_offset)(const struct jit_code *code);
	/*
	 * buf gets size() bytes for address addr. offs[i], i <= ir->len: where the code of
	 * instruction i starts. -ERANGE: a displacement does not fit.
	 */
	int (*link)(const struct jit_code *code, u64 addr, u8 *buf, u32 *offs);
	void (*free)(struct jit_code *code);
	/*
	 * For jit_promote_slots(): registers from JIT_SPARE_REG on, and which of them an
	 * instruction destroys.
	 */
	u16 spare;
	u16 (*scratch)(const struct jit_ir *ir, u32 i);
};

/* NULL where there is none for this machine. */
const struct jit_arch *jit_arch(void);

/* For tests: emit only what every machine of the architecture has. */
void jit_arch_baseline(bool on);

#endif
