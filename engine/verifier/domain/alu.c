/*
 * alu.c - arithmetic on scalars of which only bounds are known
 *
 * adjust_scalar_min_max_vals() applies one instruction to the abstract values. The tnum is
 * computed once on 64 bits. The ranges are computed twice by the same code, on the 64-bit view and
 * on the 32-bit view of the operands: for +, -, *, &, |, ^ the low half of the result depends on
 * the low halves only. Exact results are formed in 128 bits, so that overflow is seen by looking
 * at the result.
 *
 * Guarantees
 *   A. Soundness: x in dst and y in src implies (x op y) in the result, for all opcodes of RFC
 *      9669.
 *   B. What is not tracked (division, modulo, shifts by an unknown amount) becomes unknown.
 * Pure functions; any thread. Tests: tests/unit/test_alu.c.
 */
#include "verifier/domain/alu.h"
#include "verifier/domain/bounds.h"

typedef __int128 s128;
typedef unsigned __int128 u128;

/* The ranges of a register at one width. */
struct range {
	s64 smin, smax;
	u64 umin, umax;
	int bits; /* 32 or 64 */
};

static s64 range_smin(int bits)
{
	return bits == 32 ? INT32_MIN : INT64_MIN;
}

static s64 range_smax(int bits)
{
	return bits == 32 ? INT32_MAX : INT64_MAX;
}

static u64 range_umax(int bits)
{
	return bits == 32 ? UINT32_MAX : UINT64_MAX;
}

static void range_unbound_signed(struct range *r)
{
	r->smin = range_smin(r->bits);
	r->smax = range_smax(r->bits);
}

static void range_unbound_unsigned(struct range *r)
{
	r->umin = 0;
	r->umax = range_umax(r->bits);
}

static struct range range64(const struct bpf_reg_state *reg)
{
	return (struct range){reg->smin_value, reg->smax_value, reg->umin_value, reg->umax_value,
			      64};
}

static struct range range32(const struct bpf_reg_state *reg)
{
	return (struct range){reg->s32_min_value, reg->s32_max_value, reg->u32_min_value,
			      reg->u32_max_value, 32};
}

static void put_range64(struct bpf_reg_state *reg, const struct range *r)
{
	reg->smin_value = r->smin;
	reg->smax_value = r->smax;
	reg->umin_value = r->umin;
	reg->umax_value = r->umax;
}

static void put_range32(struct bpf_reg_state *reg, const struct range *r)
{
	reg->s32_min_value = r->smin;
	reg->s32_max_value = r->smax;
	reg->u32_min_value = r->umin;
	reg->u32_max_value = r->umax;
}

/* The exact signed result is in [lo, hi]; if an end does not fit, the result may have wrapped. */
static void range_set_signed(struct range *r, s128 lo, s128 hi)
{
	if (lo < range_smin(r->bits) || hi > range_smax(r->bits)) {
		range_unbound_signed(r);
	} else {
		r->smin = lo;
		r->smax = hi;
	}
}

/*
 * The exact unsigned result is in [lo, hi], which may lie below 0 or above the width. If both ends
 * wrap the same number of times, so does everything between them.
 */
static void range_set_unsigned(struct range *r, s128 lo, s128 hi)
{
	if (lo >> r->bits != hi >> r->bits) {
		range_unbound_unsigned(r);
	} else {
		r->umin = (u64)lo & range_umax(r->bits);
		r->umax = (u64)hi & range_umax(r->bits);
	}
}

static void range_add(struct range *d, const struct range *s)
{
	range_set_signed(d, (s128)d->smin + s->smin, (s128)d->smax + s->smax);
	range_set_unsigned(d, (s128)d->umin + s->umin, (s128)d->umax + s->umax);
}

static void range_sub(struct range *d, const struct range *s)
{
	range_set_signed(d, (s128)d->smin - s->smax, (s128)d->smax - s->smin);
	range_set_unsigned(d, (s128)d->umin - s->umax, (s128)d->umax - s->umin);
}

static void range_mul(struct range *d, const struct range *s)
{
	s128 ends[] = {(s128)d->smin * s->smin, (s128)d->smin * s->smax, (s128)d->smax * s->smin,
		       (s128)d->smax * s->smax};
	s128 lo = ends[0], hi = ends[0];
	u128 top = (u128)d->umax * s->umax;

	/* A product of ranges has its extremes at the corners. */
	for (int i = 1; i < 4; i++) {
		lo = min(lo, ends[i]);
		hi = max(hi, ends[i]);
	}
	range_set_signed(d, lo, hi);
	if (top > range_umax(d->bits)) {
		range_unbound_unsigned(d);
	} else {
		d->umin *= s->umin;
		d->umax = top;
	}
}

/* After a bit operation: a range without sign change is the same in both views. */
static void range_signed_from_unsigned(struct range *d)
{
	u64 sign = 1ULL << (d->bits - 1);

	if (!((d->umin ^ d->umax) & sign)) {
		d->smin = d->bits == 32 ? (s32)d->umin : (s64)d->umin;
		d->smax = d->bits == 32 ? (s32)d->umax : (s64)d->umax;
	} else {
		range_unbound_signed(d);
	}
}

/* `t` is the result's tnum at the same width. */
static void range_and(struct range *d, const struct range *s, struct tnum t)
{
	d->umin = t.value;
	d->umax = min(d->umax, s->umax);
	range_signed_from_unsigned(d);
}

static void range_or(struct range *d, const struct range *s, struct tnum t)
{
	d->umin = max(d->umin, s->umin);
	d->umax = t.value | t.mask;
	range_signed_from_unsigned(d);
}

static void range_xor(struct range *d, struct tnum t)
{
	d->umin = t.value;
	d->umax = t.value | t.mask;
	range_signed_from_unsigned(d);
}

/* ---- shifts by a known amount, smaller than the width */

static void range_lsh(struct range *d, u8 shift)
{
	/* Nothing may be shifted out. */
	if (d->umax > 1ULL << (d->bits - 1 - shift)) {
		range_unbound_unsigned(d);
	} else {
		d->umin <<= shift;
		d->umax <<= shift;
	}
	range_unbound_signed(d);
}

static void range_rsh(struct range *d, u8 shift)
{
	range_unbound_signed(d);
	d->umin >>= shift;
	d->umax >>= shift;
}

static void range_arsh(struct range *d, u8 shift)
{
	d->smin >>= shift;
	d->smax >>= shift;
	range_unbound_unsigned(d);
}

static void scalar_lsh(struct bpf_reg_state *dst, u8 shift)
{
	struct range r = range64(dst), low = range32(dst), was = low;

	range_lsh(&r, shift);
	/* x << 32 >> 32 is how code of ISA v1 and v2 sign-extends: keep what the low half knew. */
	if (shift == 32) {
		r.smin = (s64)((u64)was.smin << 32);
		r.smax = (s64)((u64)was.smax << 32);
	}
	put_range64(dst, &r);
	__mark_reg32_unbounded(dst);
	if (shift < 32) {
		range_lsh(&low, shift);
		put_range32(dst, &low);
	}
	dst->var_off = tnum_lshift(dst->var_off, shift);
}

/* To the right: bits of the upper half come down, so the low half starts from nothing. */
static void scalar_rsh(struct bpf_reg_state *dst, u8 op, u8 shift)
{
	struct range r = range64(dst);

	if (op == BPF_RSH) {
		range_rsh(&r, shift);
		dst->var_off = tnum_rshift(dst->var_off, shift);
	} else {
		range_arsh(&r, shift);
		dst->var_off = tnum_arshift(dst->var_off, shift, 64);
	}
	put_range64(dst, &r);
	__mark_reg32_unbounded(dst);
}

static void scalar32_shift(struct bpf_reg_state *dst, u8 op, u8 shift)
{
	struct tnum t = tnum_subreg(dst->var_off);
	struct range r = range32(dst);

	switch (op) {
	case BPF_LSH:
		range_lsh(&r, shift);
		t = tnum_lshift(t, shift);
		break;
	case BPF_RSH:
		range_rsh(&r, shift);
		t = tnum_rshift(t, shift);
		break;
	default:
		range_arsh(&r, shift);
		t = tnum_arshift(t, shift, 32);
		break;
	}
	dst->var_off = tnum_subreg(t);
	put_range32(dst, &r);
}

static void scalar_shift(struct bpf_reg_state *dst, u8 op, u8 shift, bool alu32)
{
	if (alu32)
		scalar32_shift(dst, op, shift);
	else if (op == BPF_LSH)
		scalar_lsh(dst, shift);
	else
		scalar_rsh(dst, op, shift);
}

static void scalar_byte_swap(struct bpf_reg_state *dst, const struct bpf_insn *insn)
{
	u8 size = insn->imm / 8;
	bool bswap = BPF_CLASS(insn->code) == BPF_ALU64;
	bool big = BPF_SRC(insn->code) == BPF_TO_BE;

	/* RFC 9669: to little endian on a little-endian machine only truncates. */
	if (bswap || big == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)) {
		dst->var_off = tnum_bswap(dst->var_off, size);
		__mark_reg_unbounded(dst);
	}
	if (size < 8)
		coerce_reg_to_size(dst, size);
	else
		reg_bounds_sync(dst);
}

/* The operations whose low half depends on the low halves of the operands only. */
static void scalar_two_widths(struct bpf_reg_state *dst, const struct bpf_reg_state *src, u8 op)
{
	struct range d[2] = {range64(dst), range32(dst)};
	struct range s[2] = {range64(src), range32(src)};
	struct tnum a = dst->var_off, b = src->var_off, t;

	switch (op) {
	case BPF_ADD:
		t = tnum_add(a, b);
		break;
	case BPF_SUB:
		t = tnum_sub(a, b);
		break;
	case BPF_MUL:
		t = tnum_mul(a, b);
		break;
	case BPF_AND:
		t = tnum_and(a, b);
		break;
	case BPF_OR:
		t = tnum_or(a, b);
		break;
	default:
		t = tnum_xor(a, b);
		break;
	}
	for (int i = 0; i < 2; i++) {
		struct tnum ti = i ? tnum_subreg(t) : t;

		switch (op) {
		case BPF_ADD:
			range_add(&d[i], &s[i]);
			break;
		case BPF_SUB:
			range_sub(&d[i], &s[i]);
			break;
		case BPF_MUL:
			range_mul(&d[i], &s[i]);
			break;
		case BPF_AND:
			range_and(&d[i], &s[i], ti);
			break;
		case BPF_OR:
			range_or(&d[i], &s[i], ti);
			break;
		default:
			range_xor(&d[i], ti);
			break;
		}
	}
	dst->var_off = t;
	put_range64(dst, &d[0]);
	put_range32(dst, &d[1]);
}

static void scalar_neg(struct bpf_reg_state *dst)
{
	struct bpf_reg_state value = *dst;

	__mark_reg_known(dst, 0);
	scalar_two_widths(dst, &value, BPF_SUB);
}

static bool tracked(u8 op)
{
	return op != BPF_DIV && op != BPF_MOD;
}

static bool is_shift(u8 op)
{
	return op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH;
}

void adjust_scalar_min_max_vals(const struct bpf_insn *insn, struct bpf_reg_state *dst,
				struct bpf_reg_state src)
{
	bool alu32 = BPF_CLASS(insn->code) == BPF_ALU;
	u8 op = BPF_OP(insn->code);

	if (op == BPF_END) {
		scalar_byte_swap(dst, insn);
		return;
	}
	if (is_shift(op)) {
		bool known = alu32 ? tnum_subreg_is_const(src.var_off) : tnum_is_const(src.var_off);

		/* The machine masks a larger amount; programs that need that are not tracked. */
		if (!known || src.umax_value >= (alu32 ? 32 : 64)) {
			__mark_reg_unknown(dst);
			return;
		}
		scalar_shift(dst, op, src.umax_value, alu32);
	} else if (op == BPF_NEG) {
		scalar_neg(dst);
	} else if (op == BPF_MOV) {
		*dst = src;
	} else if (tracked(op)) {
		scalar_two_widths(dst, &src, op);
	} else {
		__mark_reg_unknown(dst);
		return;
	}
	if (alu32)
		zext_32_to_64(dst);
	reg_bounds_sync(dst);
}
