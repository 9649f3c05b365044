/*
 * arith.c - ALU instructions: on scalars by alu.c, on pointers here
 *
 * A pointer may have a scalar added or taken away; its bounds are those of the variable part of the
 * offset. All other arithmetic with pointers is refused, or makes a scalar of which nothing is
 * known; in a strict program it is refused.
 *
 * Strict programs also stay inside of the object with each sum, and the machine does not add an
 * offset whose bounds are only believed before it knows that they are right: what follows may then
 * be run ahead. (Linux masks all offsets, and refuses what it cannot mask.)
 */
#include "verifier/checks/arith.h"
#include "verifier/checks/mem.h"
#include "verifier/domain/alu.h"
#include "verifier/domain/bounds.h"
#include "verifier/history/path.h"
#include "verifier/history/precise.h"
#include "verifier/state/print.h"
#include "verifier/state/refuse.h"
#include "verifier/state/regs.h"

static const char *const alu_string[16] = {
	[BPF_ADD >> 4] = "+=",	  [BPF_SUB >> 4] = "-=",     [BPF_MUL >> 4] = "*=",
	[BPF_DIV >> 4] = "/=",	  [BPF_OR >> 4] = "|=",	     [BPF_AND >> 4] = "&=",
	[BPF_LSH >> 4] = "<<=",	  [BPF_RSH >> 4] = ">>=",    [BPF_NEG >> 4] = "neg",
	[BPF_MOD >> 4] = "%=",	  [BPF_XOR >> 4] = "^=",     [BPF_MOV >> 4] = "=",
	[BPF_ARSH >> 4] = "s>>=", [BPF_END >> 4] = "endian",
};

/* Offsets stay small enough that no sum of them overflows 32 bits. */
static int check_reg_sane_offset(struct bpf_verifier_env *env, const struct bpf_reg_state *reg,
				 u32 type)
{
	bool known = tnum_is_const(reg->var_off);
	s64 val = reg->var_off.value, smin = reg->smin_value;

	if (known && (val >= BPF_MAX_VAR_OFF || val <= -BPF_MAX_VAR_OFF))
		return refuse(env, PTR_MATH_CONST, .type = type, .num = {val});
	if (reg->off >= BPF_MAX_VAR_OFF || reg->off <= -BPF_MAX_VAR_OFF)
		return refuse(env, PTR_OFFSET, .type = type, .num = {reg->off});
	if (smin == INT64_MIN)
		return refuse(env, PTR_MATH_UNBOUNDED, .type = type);
	if (smin >= BPF_MAX_VAR_OFF || smin <= -BPF_MAX_VAR_OFF)
		return refuse(env, PTR_OUT_OF_BOUNDS, .type = type, .num = {smin});
	return 0;
}

static int check_ptr_operand(struct bpf_verifier_env *env, const struct bpf_insn *insn,
			     const struct bpf_reg_state *ptr, const struct bpf_reg_state *off)
{
	if (ptr->type & PTR_MAYBE_NULL)
		return refuse(env, PTR_MATH_OR_NULL, .reg = insn->dst_reg, .type = ptr->type);
	switch (base_type(ptr->type)) {
	case PTR_TO_CTX:
	case PTR_TO_MAP_VALUE:
	case PTR_TO_MAP_KEY:
	case PTR_TO_STACK:
	case PTR_TO_PACKET_META:
	case PTR_TO_PACKET:
	case PTR_TO_MEM:
	case PTR_TO_FUNC:
	case CONST_PTR_TO_DYNPTR:
		return 0;
	case CONST_PTR_TO_MAP:
		if (BPF_OP(insn->code) == BPF_ADD && tnum_equals_const(off->var_off, 0))
			return 0;
	}
	return refuse(env, PTR_MATH_ON, .reg = insn->dst_reg, .type = ptr->type);
}

static bool fits_off(s64 off)
{
	return off == (s64)(s32)off;
}

/* A part that may differ from run to run is added: a new base for packet ranges. */
static void renew_packet_base(struct bpf_verifier_env *env, struct bpf_reg_state *dst, bool keep)
{
	if (!type_is_pkt_pointer(dst->type))
		return;
	dst->id = ++env->id_gen;
	if (!keep)
		dst->range = 0;
}

static void ptr_add(struct bpf_verifier_env *env, struct bpf_reg_state *dst,
		    const struct bpf_reg_state *ptr, const struct bpf_reg_state *off)
{
	struct bpf_reg_state res = *ptr;

	if (tnum_is_const(off->var_off) && fits_off(ptr->off + off->smin_value)) {
		res.off = ptr->off + off->smin_value;
		*dst = res;
		__mark_reg32_unbounded(dst);
		return;
	}
	if (__builtin_add_overflow(ptr->smin_value, off->smin_value, &res.smin_value) ||
	    __builtin_add_overflow(ptr->smax_value, off->smax_value, &res.smax_value)) {
		res.smin_value = INT64_MIN;
		res.smax_value = INT64_MAX;
	}
	if (__builtin_add_overflow(ptr->umin_value, off->umin_value, &res.umin_value) ||
	    __builtin_add_overflow(ptr->umax_value, off->umax_value, &res.umax_value)) {
		res.umin_value = 0;
		res.umax_value = UINT64_MAX;
	}
	res.var_off = tnum_add(ptr->var_off, off->var_off);
	__mark_reg32_unbounded(&res);
	renew_packet_base(env, &res, false);
	*dst = res;
}

static void ptr_sub(struct bpf_verifier_env *env, struct bpf_reg_state *dst,
		    const struct bpf_reg_state *ptr, const struct bpf_reg_state *off)
{
	struct bpf_reg_state res = *ptr;

	if (tnum_is_const(off->var_off) && fits_off(ptr->off - off->smin_value)) {
		res.off = ptr->off - off->smin_value;
		*dst = res;
		__mark_reg32_unbounded(dst);
		return;
	}
	if (__builtin_sub_overflow(ptr->smin_value, off->smax_value, &res.smin_value) ||
	    __builtin_sub_overflow(ptr->smax_value, off->smin_value, &res.smax_value)) {
		res.smin_value = INT64_MIN;
		res.smax_value = INT64_MAX;
	}
	if (ptr->umin_value < off->umax_value) {
		res.umin_value = 0;
		res.umax_value = UINT64_MAX;
	} else {
		res.umin_value = ptr->umin_value - off->umax_value;
		res.umax_value = ptr->umax_value - off->umin_value;
	}
	res.var_off = tnum_sub(ptr->var_off, off->var_off);
	__mark_reg32_unbounded(&res);
	/* Less than before: what was in range is. */
	renew_packet_base(env, &res, off->smin_value >= 0);
	*dst = res;
}

/* Where the sum points, in a strict program. */
static int check_strict_sum(struct bpf_verifier_env *env, const struct bpf_insn *insn,
			    bool believed)
{
	const struct bpf_reg_state *dst = &cur_regs(env)[insn->dst_reg];
	s64 off = dst->off + (s64)dst->var_off.value;

	if (!env->strict)
		return 0;
	env->aux[env->insn_idx].nospec |= believed;
	if (dst->type == PTR_TO_STACK) {
		if (!tnum_is_const(dst->var_off))
			return refuse(env, PTR_STACK_VAR, .reg = insn->dst_reg, .num = {off},
				      .name = {tnum_text(dst->var_off)});
		if (off >= 0 || off < -MAX_BPF_STACK)
			return refuse(env, PTR_STACK_RANGE, .reg = insn->dst_reg, .num = {off});
	} else if (dst->type == PTR_TO_MAP_VALUE &&
		   check_map_value_range(env, insn->dst_reg, dst->off, 1)) {
		return refuse(env, PTR_MAP_RANGE, .reg = insn->dst_reg);
	}
	return 0;
}

/* dst = pointer op scalar; `ptr` is dst itself, or, for scalar += pointer, the other operand. */
static int adjust_ptr_min_max_vals(struct bpf_verifier_env *env, const struct bpf_insn *insn,
				   const struct bpf_reg_state *ptr, const struct bpf_reg_state *off)
{
	struct bpf_reg_state *dst = &cur_regs(env)[insn->dst_reg];
	u32 type = ptr->type;
	u8 op = BPF_OP(insn->code);
	bool believed = off->believed;
	int err;

	if (!reg_bounds_sane(off)) { /* derived from a branch that is never taken */
		mark_reg_unknown(cur_regs(env), insn->dst_reg);
		return 0;
	}
	if (BPF_CLASS(insn->code) != BPF_ALU64) {
		if (op == BPF_SUB && !env->strict) {
			mark_reg_unknown(cur_regs(env), insn->dst_reg);
			return 0;
		}
		return refuse(env, PTR_MATH_32, .reg = insn->dst_reg);
	}
	err = check_ptr_operand(env, insn, ptr, off);
	if (err)
		return err;
	err = check_reg_sane_offset(env, off, type);
	if (!err)
		err = check_reg_sane_offset(env, ptr, type);
	if (err)
		return err;
	switch (op) {
	case BPF_ADD:
		ptr_add(env, dst, ptr, off);
		break;
	case BPF_SUB:
		if (dst == off)
			return refuse(env, PTR_SUB_FROM_SCALAR, .reg = insn->dst_reg);
		if (type == PTR_TO_STACK)
			return refuse(env, PTR_SUB_STACK, .reg = insn->dst_reg);
		ptr_sub(env, dst, ptr, off);
		break;
	case BPF_AND:
	case BPF_OR:
	case BPF_XOR:
		return refuse(env, PTR_BITWISE, .reg = insn->dst_reg,
			      .name = {alu_string[op >> 4]});
	default:
		return refuse(env, PTR_MATH_OP, .reg = insn->dst_reg,
			      .name = {alu_string[op >> 4]});
	}
	err = check_reg_sane_offset(env, dst, type);
	if (err)
		return err;
	reg_bounds_sync(dst);
	return check_strict_sum(env, insn, believed);
}

/*
 * After scalar += K the register is its old family's value plus K; any other change ends the
 * kinship. With 32-bit arithmetic that holds of values below 2^32 only: `small` says that the
 * register had such a one.
 */
static void keep_link(const struct bpf_insn *insn, struct bpf_reg_state *dst,
		      const struct bpf_reg_state *src, bool small)
{
	bool is32 = BPF_CLASS(insn->code) == BPF_ALU;
	s64 val = is32 ? (s32)src->var_off.value : (s64)src->var_off.value;
	u8 op = BPF_OP(insn->code);

	if (op == BPF_SUB && val != INT64_MIN)
		val = -val;
	if ((op != BPF_ADD && op != BPF_SUB) || !dst->id || !tnum_is_const(src->var_off) ||
	    dst->id & BPF_ADD_CONST || val != (s32)val || (is32 && !small)) {
		clear_scalar_id(dst);
		return;
	}
	dst->id |= BPF_ADD_CONST | (is32 ? BPF_ADD_CONST32 : 0);
	dst->off = val;
}

/*
 * `x & constant` and `x | constant` of an x that is -1 or 0 is how compilers choose without a
 * branch (x = y s>> 63). The walk goes on with each of the two values by itself.
 */
static int maybe_fork_scalars(struct bpf_verifier_env *env, const struct bpf_insn *insn,
			      struct bpf_reg_state *dst)
{
	bool alu32 = dst->smin_value != -1 || dst->smax_value != 0;
	struct bpf_verifier_state *other;
	struct bpf_reg_state *zero;

	if (alu32 && (dst->s32_min_value != -1 || dst->s32_max_value != 0))
		return 0;
	other = push_stack(env, env->insn_idx, env->insn_idx);
	if (!other)
		return env->stack_size > BPF_COMPLEXITY_LIMIT_JMP_SEQ ? -E2BIG : -ENOMEM;
	zero = &other->frame[other->curframe]->regs[insn->dst_reg];
	if (alu32) {
		__mark_reg32_known(zero, 0);
		__mark_reg32_known(dst, -1);
	} else {
		__mark_reg_known(zero, 0);
		__mark_reg_known(dst, -1);
	}
	return 0;
}

/* How long a part of the packet is, says no address. (Linux refuses it nevertheless.) */
static bool is_packet_length(const struct bpf_reg_state *dst, const struct bpf_reg_state *src)
{
	return (dst->type == PTR_TO_PACKET || dst->type == PTR_TO_PACKET_END) &&
	       (src->type == PTR_TO_PACKET || src->type == PTR_TO_PACKET_END);
}

static int adjust_two_pointers(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	const struct bpf_reg_state *regs = cur_regs(env);

	if (BPF_OP(insn->code) == BPF_SUB &&
	    (!env->strict || is_packet_length(&regs[insn->dst_reg], &regs[insn->src_reg]))) {
		mark_reg_unknown(cur_regs(env), insn->dst_reg);
		return 0;
	}
	return refuse(env, PTR_OP_PTR, .reg = insn->dst_reg,
		      .name = {alu_string[BPF_OP(insn->code) >> 4]});
}

/* The result has these bounds whatever dst is: `x &= 63`. */
static bool bounds_anyway(const struct bpf_insn *insn, const struct bpf_reg_state *dst,
			  const struct bpf_reg_state *src)
{
	struct bpf_reg_state known = *dst, any = {.type = SCALAR_VALUE};

	if (BPF_OP(insn->code) != BPF_AND || src->believed || !tnum_is_const(src->var_off))
		return false;
	__mark_reg_unknown(&any);
	adjust_scalar_min_max_vals(insn, &known, *src);
	adjust_scalar_min_max_vals(insn, &any, *src);
	return any.umin_value == known.umin_value && any.umax_value == known.umax_value &&
	       any.smin_value == known.smin_value && any.smax_value == known.smax_value &&
	       any.var_off.value == known.var_off.value && any.var_off.mask == known.var_off.mask;
}

static int adjust_reg_min_max_vals(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	struct bpf_reg_state *regs = cur_regs(env), *dst = &regs[insn->dst_reg], src, old;
	bool dst_is_ptr = dst->type != SCALAR_VALUE, from_reg = BPF_SRC(insn->code) == BPF_X;
	bool small, believed;
	u32 id;
	s32 off;
	int err;

	if (from_reg) {
		src = regs[insn->src_reg];
	} else {
		memset(&src, 0, sizeof(src));
		src.type = SCALAR_VALUE;
		__mark_reg_known(&src, (s64)insn->imm);
	}
	if (src.type != SCALAR_VALUE) {
		if (dst_is_ptr)
			return adjust_two_pointers(env, insn);
		err = mark_chain_precision(env, insn->dst_reg);
		if (err)
			return err;
		if (BPF_OP(insn->code) == BPF_SUB)
			return adjust_ptr_min_max_vals(env, insn, &src, dst);
		old = *dst;
		return adjust_ptr_min_max_vals(env, insn, &src, &old);
	}
	if (dst_is_ptr) {
		err = from_reg ? mark_chain_precision(env, insn->src_reg) : 0;
		old = *dst;
		return err ? err : adjust_ptr_min_max_vals(env, insn, &old, &src);
	}
	if (from_reg && dst->precise) {
		err = mark_chain_precision(env, insn->src_reg);
		if (err)
			return err;
	}
	if ((BPF_OP(insn->code) == BPF_AND || BPF_OP(insn->code) == BPF_OR) &&
	    tnum_is_const(src.var_off)) {
		err = maybe_fork_scalars(env, insn, dst);
		if (err)
			return err;
	}
	small = dst->umax_value <= UINT32_MAX;
	id = dst->id;
	off = dst->off;
	believed = (dst->believed || src.believed) && !bounds_anyway(insn, dst, &src);
	adjust_scalar_min_max_vals(insn, dst, src);
	dst->believed = believed;
	dst->id = id;
	dst->off = off;
	keep_link(insn, dst, &src, small);
	return 0;
}

/* ---- moves */

static int mov_reg64(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	struct bpf_reg_state *regs = cur_regs(env);
	struct bpf_reg_state *src = &regs[insn->src_reg], *dst = &regs[insn->dst_reg];
	bool no_sext;

	if (!insn->off) {
		assign_scalar_id_before_mov(env, src);
		*dst = *src;
		return 0;
	}
	if (is_pointer_value(env, insn->src_reg))
		return refuse(env, PTR_SEXT, .reg = insn->src_reg);
	if (src->type != SCALAR_VALUE) {
		mark_reg_unknown(regs, insn->dst_reg);
		return 0;
	}
	no_sext = reg_fits(src, insn->off / 8, true);
	if (no_sext)
		assign_scalar_id_before_mov(env, src);
	*dst = *src;
	if (!no_sext)
		clear_scalar_id(dst);
	coerce_reg_to_size_sx(dst, insn->off >> 3);
	return 0;
}

static int mov_reg32(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	struct bpf_reg_state *regs = cur_regs(env);
	struct bpf_reg_state *src = &regs[insn->src_reg], *dst = &regs[insn->dst_reg];
	bool same;

	if (is_pointer_value(env, insn->src_reg))
		return refuse(env, PTR_PARTIAL, .reg = insn->src_reg);
	if (src->type != SCALAR_VALUE) {
		mark_reg_unknown(regs, insn->dst_reg);
	} else {
		same = insn->off ? reg_fits(src, insn->off / 8, true) : reg_fits(src, 4, false);
		if (same)
			assign_scalar_id_before_mov(env, src);
		*dst = *src;
		if (!same)
			clear_scalar_id(dst);
		if (insn->off)
			coerce_subreg_to_size_sx(dst, insn->off >> 3);
	}
	zext_32_to_64(dst);
	reg_bounds_sync(dst);
	return 0;
}

static int check_mov(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	struct bpf_reg_state *regs = cur_regs(env);
	bool is64 = BPF_CLASS(insn->code) == BPF_ALU64;
	int err;

	if (BPF_SRC(insn->code) == BPF_X) {
		err = check_reg_arg(env, insn->src_reg, SRC_OP);
		if (err)
			return err;
	}
	err = check_reg_arg(env, insn->dst_reg, DST_OP_NO_MARK);
	if (err)
		return err;
	if (BPF_SRC(insn->code) == BPF_X)
		return is64 ? mov_reg64(env, insn) : mov_reg32(env, insn);
	mark_reg_unknown(regs, insn->dst_reg);
	__mark_reg_known(&regs[insn->dst_reg], is64 ? (u64)(s64)insn->imm : (u32)insn->imm);
	return 0;
}

static int check_unary(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	struct bpf_reg_state *dst = &cur_regs(env)[insn->dst_reg];
	int err = check_reg_arg(env, insn->dst_reg, SRC_OP);

	if (err)
		return err;
	if (is_pointer_value(env, insn->dst_reg))
		return refuse(env, PTR_ARITH, .reg = insn->dst_reg);
	if (dst->type != SCALAR_VALUE)
		return check_reg_arg(env, insn->dst_reg, DST_OP);
	err = check_reg_arg(env, insn->dst_reg, DST_OP_NO_MARK);
	if (err)
		return err;
	adjust_scalar_min_max_vals(insn, dst, *dst);
	/*
	 * le64 here (be64 on the other machines) changes nothing: the value stays what its copies
	 * are.
	 */
	if (BPF_OP(insn->code) != BPF_END || insn->imm != 64 ||
	    BPF_CLASS(insn->code) == BPF_ALU64 ||
	    (BPF_SRC(insn->code) == BPF_TO_BE) == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__))
		clear_scalar_id(dst);
	return 0;
}

static int check_binary(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	u8 op = BPF_OP(insn->code);
	int size = BPF_CLASS(insn->code) == BPF_ALU64 ? 64 : 32, err;
	bool is_k = BPF_SRC(insn->code) == BPF_K;

	if (!is_k) {
		err = check_reg_arg(env, insn->src_reg, SRC_OP);
		if (err)
			return err;
	}
	err = check_reg_arg(env, insn->dst_reg, SRC_OP);
	if (err)
		return err;
	if ((op == BPF_MOD || op == BPF_DIV) && is_k && !insn->imm)
		return refuse(env, DIV_BY_ZERO);
	if ((op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH) && is_k &&
	    (insn->imm < 0 || insn->imm >= size))
		return refuse(env, SHIFT, .num = {insn->imm});
	err = check_reg_arg(env, insn->dst_reg, DST_OP_NO_MARK);
	return err ? err : adjust_reg_min_max_vals(env, insn);
}

int check_alu_op(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	int err;

	switch (BPF_OP(insn->code)) {
	case BPF_END:
	case BPF_NEG:
		err = check_unary(env, insn);
		break;
	case BPF_MOV:
		err = check_mov(env, insn);
		break;
	default:
		err = check_binary(env, insn);
	}
	return err ? err : check_bounds_sane(env, &cur_regs(env)[insn->dst_reg], "alu");
}
