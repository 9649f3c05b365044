/*
 * tnum.h - tristate numbers: what is known of a value bit by bit
 *
 * A tnum stands for the set of all x with (x & ~mask) == value: bits in mask are unknown, the
 * others are those of value. value & mask == 0 always. Each operation returns a tnum that contains
 * every result of applying the operation to members of its arguments (soundness; it need not be
 * the smallest). Source: kernel/bpf/tnum.c; Vishwanathan et al., "Sound, Precise, and Fast
 * Abstract Interpretation with Tristate Numbers", CGO 2022.
 */
#ifndef UBPFFS_VERIFIER_TNUM_H
#define UBPFFS_VERIFIER_TNUM_H

#include "util/types.h"

struct tnum {
	u64 value;
	u64 mask;
};

#define TNUM(_v, _m) ((struct tnum){.value = (_v), .mask = (_m)})
extern const struct tnum tnum_unknown;

struct tnum tnum_const(u64 value);
struct tnum tnum_range(u64 min, u64 max); /* the smallest tnum that holds [min, max] */
struct tnum tnum_lshift(struct tnum a, u8 shift);
struct tnum tnum_rshift(struct tnum a, u8 shift);
struct tnum tnum_arshift(struct tnum a, u8 min_shift, u8 insn_bitness);
struct tnum tnum_add(struct tnum a, struct tnum b);
struct tnum tnum_sub(struct tnum a, struct tnum b);
struct tnum tnum_and(struct tnum a, struct tnum b);
struct tnum tnum_or(struct tnum a, struct tnum b);
struct tnum tnum_xor(struct tnum a, struct tnum b);
struct tnum tnum_mul(struct tnum a, struct tnum b);
bool tnum_overlap(struct tnum a, struct tnum b);
struct tnum tnum_intersect(struct tnum a, struct tnum b); /* a and b have a common member */
struct tnum tnum_union(struct tnum a, struct tnum b);
/* *member = the least member that is not below min; false when all are below. */
bool tnum_at_least(struct tnum t, u64 min, u64 *member);
struct tnum tnum_cast(struct tnum a, u8 size); /* keep the low `size` bytes */
/* Reverse the low `size` bytes (2, 4, 8) and drop the rest. */
struct tnum tnum_bswap(struct tnum a, u8 size);
bool tnum_is_aligned(struct tnum a, u64 size);
bool tnum_in(struct tnum a, struct tnum b); /* is every member of b in a? */
struct tnum tnum_subreg(struct tnum a); /* the low 32 bits */
struct tnum tnum_with_subreg(struct tnum reg, struct tnum subreg);
struct tnum tnum_const_subreg(struct tnum a, u32 value);
int tnum_strn(char *str, size_t size, struct tnum a); /* "(0x0; 0xff)" */

static inline bool tnum_is_const(struct tnum a)
{
	return !a.mask;
}

static inline bool tnum_equals_const(struct tnum a, u64 b)
{
	return tnum_is_const(a) && a.value == b;
}

static inline bool tnum_is_unknown(struct tnum a)
{
	return !~a.mask;
}

static inline bool tnum_subreg_is_const(struct tnum a)
{
	return !tnum_subreg(a).mask;
}

#endif
