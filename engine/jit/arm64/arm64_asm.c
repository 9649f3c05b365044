/*
 * arm64_asm.c - constants, addresses, and what is filled in later
 */
#ifdef __aarch64__

#include "jit/arm64/arm64_asm.h"

const u8 arm64_reg[JIT_MAX_REG] = {
	X7, X0, X1, X2, X3, X4, X19, X20, X21, X22, SP, X12, X13, X14, X23,
};

void a_const(struct jit_code *c, u8 dst, u64 v)
{
	u32 zeros = 0, ones = 0, field;
	bool inverted, first = true;

	for (int k = 0; k < 4; k++) {
		zeros += !(v >> 16 * k & 0xffff);
		ones += (v >> 16 * k & 0xffff) == 0xffff;
	}
	if (zeros < 3 && ones < 3 && a_logical_imm(A_SF, v, &field)) {
		a_put(c, A_SF | A_ORR_I | field | ZR << 5 | dst);
		return;
	}
	inverted = ones > zeros;
	for (u32 k = 0; k < 4; k++) {
		u32 part = v >> 16 * k & 0xffff;

		if (part == (inverted ? 0xffff : 0))
			continue;
		if (!first)
			a_put(c, A_SF | A_MOVK | k << 21 | part << 5 | dst);
		else if (inverted)
			a_put(c, A_SF | A_MOVN | k << 21 | (part ^ 0xffff) << 5 | dst);
		else
			a_put(c, A_SF | A_MOVZ | k << 21 | part << 5 | dst);
		first = false;
	}
	if (first)
		a_put(c, A_SF | (inverted ? A_MOVN : A_MOVZ) | dst);
}

void a_add_const(struct jit_code *c, u32 sf, u8 dst, u8 base, s64 v, u8 tmp)
{
	u32 op = sf | (v < 0 ? A_SUB_I : A_ADD_I);
	u64 n = v < 0 ? -(u64)v : (u64)v;

	if (n >> 24) {
		a_const(c, tmp, (u64)v);
		a_rrr(c, sf ? sf | A_ADD_X : A_ADD, dst, base, tmp);
		return;
	}
	if (n >> 12) {
		a_rr(c, op | 1 << 22 | (u32)(n >> 12) << 10, dst, base);
		base = dst;
	}
	if (n & 0xfff || !(n >> 12))
		a_rr(c, op | (u32)(n & 0xfff) << 10, dst, base);
}

void a_mem(struct jit_code *c, u8 size, int what, u8 reg, u8 base, s64 disp)
{
	u32 op = (u32)size << 30 | 0x38000000u | (u32)what << 22;

	if (disp >= 0 && disp < 4096 << size && !(disp & ((1 << size) - 1))) {
		a_rr(c, op | 1 << 24 | (u32)(disp >> size) << 10, reg, base);
	} else if (disp >= -256 && disp < 256) {
		a_rr(c, op | ((u32)disp & 0x1ff) << 12, reg, base);
	} else {
		a_const(c, CONST_TMP, (u64)disp);
		a_rrr(c, op | 1 << 21 | 0x6800, reg, base, CONST_TMP);
	}
}

/*
 * A run of ones, rotated, in an element of 2, 4, ... 64 bits that is repeated. immr is the
 * rotation, imms the size of the element and of the run.
 */
bool a_logical_imm(u32 sf, u64 v, u32 *field)
{
	u32 size = 64, ones, rotation;
	u64 mask;

	if (!sf)
		v = (u32)v | v << 32;
	if (!v || v == ~0ULL)
		return false;
	while (size > 2) {
		mask = (1ULL << size / 2) - 1;
		if ((v & mask) != (v >> size / 2 & mask))
			break;
		size /= 2;
	}
	mask = size == 64 ? ~0ULL : (1ULL << size) - 1;
	v &= mask;
	/* Turn it until the run of ones begins at bit 0. */
	for (rotation = 0; rotation < size; rotation++) {
		if ((v & 1) && !(v >> (size - 1) & 1))
			break;
		v = (v >> 1 | v << (size - 1)) & mask;
	}
	ones = (u32)__builtin_popcountll(v);
	if (rotation == size || v != (1ULL << ones) - 1)
		return false;
	*field = (size == 64) << 22 | ((size - rotation) & (size - 1)) << 16 |
		 (((~(size * 2 - 1) & 0x3f) | (ones - 1)) & 0x3f) << 10;
	return true;
}

void a_fix(struct jit_code *c, enum jit_fix_kind kind, u32 word, u64 target)
{
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
	c->fix[c->fix_cnt++] = (struct jit_fix){c->len, (u8)kind, target};
	a_put(c, word);
}

#endif
