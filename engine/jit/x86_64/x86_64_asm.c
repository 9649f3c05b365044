/*
 * x86_64_asm.c - see x86_64_asm.h
 */
#ifdef __x86_64__

#include "jit/x86_64/x86_64_asm.h"

const u8 x86_reg[JIT_MAX_REG] = {
	[BPF_REG_0] = RAX, [BPF_REG_1] = RDI, [BPF_REG_2] = RSI,  [BPF_REG_3] = RDX,
	[BPF_REG_4] = RCX, [BPF_REG_5] = R8,  [BPF_REG_6] = RBX,  [BPF_REG_7] = R14,
	[BPF_REG_8] = R15, [BPF_REG_9] = R13, [BPF_REG_10] = RBP, [SPARE_R9] = R9,
	[SPARE_R10] = R10, [SPARE_R11] = R11, [SPARE_R12] = R12,
};

void x_fix(struct jit_code *c, enum jit_fix_kind kind, u8 arg, u64 target)
{
	static const u8 size[] = {
		[FIX_JMP] = 2, [FIX_JCC] = 2,	[FIX_CALL] = 5, [FIX_CALL_ABS] = 5,
		[FIX_LEA] = 7, [FIX_ALIGN] = 0, [FIX_PAIR] = 0,
	};

	if (c->fix_cnt == c->fix_cap) {
		u32 cap = c->fix_cap ? c->fix_cap * 2 : 64;
		struct jit_fix *fix = realloc(c->fix, cap * sizeof(*fix));

		if (!fix) {
			c->err = true;
			return;
		}
		c->fix = fix;
		c->fix_cap = cap;
	}
	c->fix[c->fix_cnt++] = (struct jit_fix){
		.pos = c->len,
		.kind = kind,
		.arg = arg,
		.size = size[kind],
		.target = target,
	};
}

#endif
