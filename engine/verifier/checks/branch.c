/*
 * branch.c - conditional jumps: is one way impossible, and what each way tells
 *
 * Scalars: jump.c decides and refines; what is learnt of one register holds for all with the same
 * id (linked registers). Pointers: a comparison with 0 settles whether a nullable result is NULL,
 * in all its copies; a comparison of a packet pointer with data_end proves how many bytes lie
 * before it.
 *
 * A strict program may not compare pointers otherwise. The machine may take the wrong way of a jump
 * for a while: it is walked, too, where the jump is decided, and where it proved how long the
 * packet is there is a barrier. (Linux has none there.)
 */
#include "verifier/checks/branch.h"
#include "verifier/held/lock.h"
#include "verifier/held/reference.h"
#include "verifier/domain/alu.h"
#include "verifier/domain/bounds.h"
#include "verifier/domain/jump.h"
#include "verifier/history/path.h"
#include "verifier/history/precise.h"
#include "verifier/state/print.h"
#include "verifier/state/refuse.h"
#include "verifier/state/regs.h"

#define MAX_PACKET_OFF 0xffff

/* ---- linked registers */

static void collect_one(struct bpf_reg_state *reg, u32 id, struct linked_regs *linked, u32 frameno,
			u32 idx, bool is_reg)
{
	if (reg->type != SCALAR_VALUE || BPF_REG_ID(reg->id) != id)
		return;
	if (linked->cnt == LINKED_REGS_MAX) { /* it goes its own way from here on */
		clear_scalar_id(reg);
		return;
	}
	for (u32 i = 0; i < linked->cnt; i++) {
		const struct linked_reg *l = &linked->entries[i];

		if (l->frameno == frameno && l->idx == idx && l->is_reg == is_reg)
			return;
	}
	linked->entries[linked->cnt++] = (struct linked_reg){frameno, idx, is_reg};
}

static void collect_linked_regs(struct bpf_verifier_env *env, u32 id, struct linked_regs *linked)
{
	struct bpf_verifier_state *st = env->cur_state;

	id = BPF_REG_ID(id);
	for (int f = st->curframe; f >= 0; f--) {
		struct bpf_func_state *func = st->frame[f];
		u16 live = env->flow[frame_insn_idx(st, f)].live_regs;

		for (u32 i = 0; i < BPF_REG_FP; i++)
			if (live & 1u << i)
				collect_one(&func->regs[i], id, linked, f, i, true);
		for (u32 i = 0; i < func->nslots; i++)
			if (is_spilled_reg(&func->stack[i]))
				collect_one(&func->stack[i].spilled_ptr, id, linked, f, i, false);
	}
}

static void add_const(struct bpf_reg_state *reg, s64 delta, bool is32)
{
	struct bpf_insn add = {.code = (is32 ? BPF_ALU : BPF_ALU64) | BPF_ADD | BPF_K};
	struct bpf_reg_state src = {.type = SCALAR_VALUE};

	__mark_reg_known(&src, is32 ? (u32)delta : (u64)delta);
	adjust_scalar_min_max_vals(&add, reg, src);
}

/*
 * Value of a member of the family from that of another. Where 32-bit arithmetic is in the family,
 * its base is below 2^32 (keep_link()).
 */
static void derive(struct bpf_reg_state *reg, const struct bpf_reg_state *known)
{
	u32 id = reg->id, kinds = (known->id | reg->id) & BPF_ADD_CONST32;
	s32 off = reg->id & BPF_ADD_CONST ? reg->off : 0;
	s32 known_off = known->id & BPF_ADD_CONST ? known->off : 0;

	*reg = *known;
	if (!kinds || (id & known->id & BPF_ADD_CONST32)) {
		add_const(reg, (s64)off - known_off, kinds);
	} else { /* by way of the base */
		add_const(reg, -(s64)known_off, known->id & BPF_ADD_CONST32);
		add_const(reg, off, id & BPF_ADD_CONST32);
	}
	reg->id = id;
	reg->off = off;
}

static void sync_linked_regs(struct bpf_verifier_state *st, const struct bpf_reg_state *known,
			     const struct linked_regs *linked)
{
	for (u32 i = 0; i < linked->cnt; i++) {
		const struct linked_reg *l = &linked->entries[i];
		struct bpf_func_state *func = st->frame[l->frameno];
		struct bpf_reg_state *reg = l->is_reg ? &func->regs[l->idx]
						      : &func->stack[l->idx].spilled_ptr;

		if (reg->type != SCALAR_VALUE || reg == known ||
		    BPF_REG_ID(reg->id) != BPF_REG_ID(known->id))
			continue;
		if ((!(reg->id & BPF_ADD_CONST) && !(known->id & BPF_ADD_CONST)) ||
		    (reg->id == known->id && reg->off == known->off))
			*reg = *known;
		else
			derive(reg, known);
	}
}

/* ---- nullable pointers */

static void mark_ptr_or_null_reg(struct bpf_reg_state *reg, u32 id, bool is_null)
{
	if (!(reg->type & PTR_MAYBE_NULL) || reg->id != id)
		return;
	if (is_null) {
		const struct bpf_reg_state ptr = *reg;

		memset(reg, 0, sizeof(*reg));
		__mark_reg_known(reg, 0);
		reg->type = SCALAR_VALUE;
		reg->map_ptr = ptr.map_ptr; /* what it pointed to: see widen_reg() */
		reg->map_uid = ptr.map_uid;
		return;
	}
	mark_ptr_not_null(reg);
	if (!reg_may_point_to_spin_lock(reg)) /* else it says which element's lock */
		reg->id = 0;
}

static void mark_ptr_or_null_regs(struct bpf_verifier_state *st, u32 regno, bool is_null)
{
	const struct bpf_reg_state *ptr = &st->frame[st->curframe]->regs[regno];
	u32 id = ptr->id;

	if (is_null && ptr->ref_obj_id && ptr->ref_obj_id == id)
		forget_reference(st, id);
	for_each_reg_in_state(st, reg, mark_ptr_or_null_reg(reg, id, is_null));
}

/* ---- packet pointers */

static bool is_pkt_or_end(const struct bpf_reg_state *reg)
{
	return type_is_pkt_pointer(reg->type) || reg->type == PTR_TO_PACKET_END;
}

static bool is_init_pkt(const struct bpf_reg_state *reg)
{
	return reg->type == PTR_TO_PACKET && !reg->off && tnum_equals_const(reg->var_off, 0);
}

/* ptr (its fixed part) is not above the end; with `open` it is below it. */
static void find_good_pkt_pointers(struct bpf_verifier_state *st, const struct bpf_reg_state *ptr,
				   bool open)
{
	u32 id = ptr->id, type = ptr->type;
	int range = ptr->off + (open ? 1 : 0);

	if (ptr->off < 0 || (!ptr->off && open))
		return;
	if (ptr->umax_value > MAX_PACKET_OFF || ptr->umax_value + ptr->off > MAX_PACKET_OFF)
		return; /* the sum may have wrapped around */
	for_each_reg_in_state(st, reg,
			      if (reg->type == type && reg->id == id)
				      reg->range = max(reg->range, range));
}

static void mark_pkt_end(struct bpf_verifier_state *st, u32 regno, bool open)
{
	struct bpf_reg_state *reg = &st->frame[st->curframe]->regs[regno];

	if (reg->type == PTR_TO_PACKET)
		reg->range = open ? BEYOND_PKT_END : AT_PKT_END;
}

static bool pkt_against_end(const struct bpf_reg_state *pkt, const struct bpf_reg_state *end)
{
	return (pkt->type == PTR_TO_PACKET && end->type == PTR_TO_PACKET_END) ||
	       (pkt->type == PTR_TO_PACKET_META && is_init_pkt(end));
}

static u8 flip_opcode(u8 opcode)
{
	switch (opcode) {
	case BPF_JGT:
		return BPF_JLT;
	case BPF_JLT:
		return BPF_JGT;
	case BPF_JGE:
		return BPF_JLE;
	case BPF_JLE:
		return BPF_JGE;
	default:
		return opcode;
	}
}

/*
 * Read as "pkt op end": in which branch pkt lies before the end, and whether strictly. False: it is
 * no such comparison.
 */
static bool match_pkt_pointers(struct bpf_verifier_env *env, const struct bpf_insn *insn,
			       struct bpf_verifier_state *this_branch,
			       struct bpf_verifier_state *other_branch)
{
	struct bpf_reg_state *regs = this_branch->frame[this_branch->curframe]->regs;
	u32 pkt = insn->dst_reg, end = insn->src_reg;
	u8 op = BPF_OP(insn->code);
	struct bpf_reg_state ptr;
	int good;

	if (BPF_SRC(insn->code) != BPF_X || BPF_CLASS(insn->code) == BPF_JMP32)
		return false;
	if (!pkt_against_end(&regs[pkt], &regs[end])) {
		pkt = insn->src_reg;
		end = insn->dst_reg;
		op = flip_opcode(op);
		if (!pkt_against_end(&regs[pkt], &regs[end]))
			return false;
	}
	ptr = regs[pkt];
	switch (op) {
	case BPF_JGT:
		find_good_pkt_pointers(this_branch, &ptr, false);
		mark_pkt_end(other_branch, pkt, true);
		break;
	case BPF_JLT:
		find_good_pkt_pointers(other_branch, &ptr, true);
		mark_pkt_end(this_branch, pkt, false);
		break;
	case BPF_JGE:
		find_good_pkt_pointers(this_branch, &ptr, true);
		mark_pkt_end(other_branch, pkt, false);
		break;
	case BPF_JLE:
		find_good_pkt_pointers(other_branch, &ptr, false);
		mark_pkt_end(this_branch, pkt, true);
		break;
	default:
		return false;
	}
	good = env->insn_idx + 1 + (op == BPF_JLT || op == BPF_JLE ? insn->off : 0);
	env->aux[good].nospec |= env->strict;
	return true;
}

/* ---- is it decided already? */

static int is_pkt_ptr_branch_taken(const struct bpf_reg_state *dst, const struct bpf_reg_state *src,
				   u8 op)
{
	const struct bpf_reg_state *pkt = dst;

	if (dst->type == PTR_TO_PACKET_END) {
		pkt = src;
		op = flip_opcode(op);
	} else if (src->type != PTR_TO_PACKET_END) {
		return -1;
	}
	if (pkt->type != PTR_TO_PACKET || pkt->range >= 0)
		return -1;
	switch (op) {
	case BPF_JLE:
	case BPF_JGT:
		return pkt->range == BEYOND_PKT_END ? op == BPF_JGT : -1;
	case BPF_JLT:
	case BPF_JGE:
		return op == BPF_JGE;
	default:
		return -1;
	}
}

/* Kinds of pointers that are never NULL, whatever offset they have by now. */
static bool reg_not_null(const struct bpf_reg_state *reg)
{
	if (reg->type & PTR_MAYBE_NULL)
		return false;
	switch (base_type(reg->type)) {
	case CONST_PTR_TO_MAP:
	case PTR_TO_MAP_VALUE:
	case PTR_TO_MAP_KEY:
	case PTR_TO_MEM:
		return true;
	default:
		return false;
	}
}

static int is_branch_taken(const struct bpf_reg_state *dst, const struct bpf_reg_state *src, u8 op,
			   bool is_jmp32)
{
	if (is_pkt_or_end(dst) && is_pkt_or_end(src) && !is_jmp32)
		return is_pkt_ptr_branch_taken(dst, src, op);
	if (dst->type == SCALAR_VALUE && src->type == SCALAR_VALUE)
		return is_scalar_branch_taken(dst, src, op, is_jmp32);
	if (is_jmp32 || !register_is_null(src) || !reg_not_null(dst))
		return -1;
	return op == BPF_JEQ ? 0 : op == BPF_JNE ? 1 : -1;
}

/* ---- the instruction */

static int check_operands(struct bpf_verifier_env *env, const struct bpf_insn *insn,
			  struct bpf_reg_state **src)
{
	struct bpf_reg_state *regs = cur_regs(env);
	u16 flags = 0;
	int err;

	err = check_reg_arg(env, insn->dst_reg, SRC_OP);
	if (err)
		return err;
	if (BPF_SRC(insn->code) == BPF_X) {
		err = check_reg_arg(env, insn->src_reg, SRC_OP);
		if (err)
			return err;
		*src = &regs[insn->src_reg];
		if (is_pointer_value(env, insn->src_reg) &&
		    !(is_pkt_or_end(&regs[insn->dst_reg]) && is_pkt_or_end(*src)))
			return refuse(env, PTR_COMPARE, .reg = insn->src_reg);
		if ((*src)->type == PTR_TO_STACK)
			flags |= INSN_F_SRC_REG_STACK;
	} else {
		*src = &env->fake_reg[0];
		memset(*src, 0, sizeof(**src));
		__mark_reg_known(*src, (s64)insn->imm);
		(*src)->type = SCALAR_VALUE;
	}
	if (regs[insn->dst_reg].type == PTR_TO_STACK)
		flags |= INSN_F_DST_REG_STACK;
	return flags ? push_jmp_history(env, env->cur_state, flags, 0, 0, NULL) : 0;
}

/*
 * The way that the program never goes, but perhaps the machine, with whatever is compared. It is
 * walked first: it soon meets what is known, or a barrier, while those of a loop's turns would all
 * wait for the loop to end.
 */
static int guess_wrong(struct bpf_verifier_env *env, const struct bpf_insn *insn, bool taken,
		       int *insn_idx)
{
	struct bpf_reg_state *regs = cur_regs(env);

	if (!push_stack(env, *insn_idx + (taken ? insn->off : 0) + 1, *insn_idx))
		return env->stack_size > BPF_COMPLEXITY_LIMIT_JMP_SEQ ? -E2BIG : -ENOMEM;
	env->cur_state->speculative = true;
	if (insn->dst_reg != BPF_REG_FP)
		mark_reg_unknown(regs, insn->dst_reg);
	if (BPF_SRC(insn->code) == BPF_X && insn->src_reg != BPF_REG_FP)
		mark_reg_unknown(regs, insn->src_reg);
	if (!taken)
		*insn_idx += insn->off;
	return 0;
}

static int follow_one(struct bpf_verifier_env *env, const struct bpf_insn *insn,
		      const struct bpf_reg_state *src, bool taken, int *insn_idx)
{
	int err = mark_chain_precision(env, insn->dst_reg);

	if (!err && BPF_SRC(insn->code) == BPF_X && src->type == SCALAR_VALUE)
		err = mark_chain_precision(env, insn->src_reg);
	if (err)
		return err;
	if (env->log_level & BPF_LOG_LEVEL)
		print_insn_state(env, env->cur_state, env->cur_state->curframe);
	if (env->strict)
		return guess_wrong(env, insn, taken, insn_idx);
	if (taken)
		*insn_idx += insn->off;
	return 0;
}

/* What the comparison tells of two scalars, and of all that are linked to them. */
static int learn_scalars(struct bpf_verifier_env *env, const struct bpf_insn *insn,
			 struct bpf_verifier_state *other, struct bpf_reg_state *src,
			 const struct linked_regs *linked)
{
	struct bpf_verifier_state *this_branch = env->cur_state;
	struct bpf_reg_state *regs = cur_regs(env), *dst = &regs[insn->dst_reg];
	struct bpf_reg_state *oregs = other->frame[other->curframe]->regs;
	struct bpf_reg_state *odst = &oregs[insn->dst_reg], *osrc;
	bool from_reg = BPF_SRC(insn->code) == BPF_X;
	int err;

	if (dst->type != SCALAR_VALUE || src->type != SCALAR_VALUE)
		return 0;
	env->fake_reg[1] = *src;
	osrc = from_reg ? &oregs[insn->src_reg] : &env->fake_reg[1];
	reg_set_min_max(odst, osrc, dst, src, BPF_OP(insn->code),
			BPF_CLASS(insn->code) == BPF_JMP32);
	err = check_bounds_sane(env, odst, "true_reg1");
	if (!err)
		err = check_bounds_sane(env, osrc, "true_reg2");
	if (!err)
		err = check_bounds_sane(env, dst, "false_reg1");
	if (!err)
		err = check_bounds_sane(env, src, "false_reg2");
	if (err)
		return err;
	odst->believed = osrc->believed = dst->believed = src->believed = true;
	if (from_reg && src->id) {
		sync_linked_regs(this_branch, src, linked);
		sync_linked_regs(other, osrc, linked);
	}
	if (dst->id) {
		sync_linked_regs(this_branch, dst, linked);
		sync_linked_regs(other, odst, linked);
	}
	return 0;
}

/* A nullable pointer that equals one that is not NULL is not NULL. */
static void learn_equal_pointers(struct bpf_verifier_env *env, const struct bpf_insn *insn,
				 struct bpf_verifier_state *other)
{
	struct bpf_reg_state *regs = cur_regs(env), *eq;
	struct bpf_reg_state *dst = &regs[insn->dst_reg], *src = &regs[insn->src_reg];
	u32 op = BPF_OP(insn->code), regno;

	if (BPF_SRC(insn->code) != BPF_X || BPF_CLASS(insn->code) == BPF_JMP32 ||
	    (op != BPF_JEQ && op != BPF_JNE) || dst->type == SCALAR_VALUE ||
	    src->type == SCALAR_VALUE || !((dst->type ^ src->type) & PTR_MAYBE_NULL))
		return;
	regno = dst->type & PTR_MAYBE_NULL ? insn->dst_reg : insn->src_reg;
	/* Other kinds than these may have become NULL by arithmetic. */
	if (!reg_not_null(dst) && !reg_not_null(src))
		return;
	eq = op == BPF_JEQ ? other->frame[other->curframe]->regs : regs;
	mark_ptr_not_null(&eq[regno]);
}

int check_cond_jmp_op(struct bpf_verifier_env *env, const struct bpf_insn *insn, int *insn_idx)
{
	struct bpf_verifier_state *this_branch = env->cur_state, *other;
	struct bpf_reg_state *dst = &cur_regs(env)[insn->dst_reg], *src;
	struct linked_regs linked = {0};
	u8 op = BPF_OP(insn->code);
	bool is_jmp32 = BPF_CLASS(insn->code) == BPF_JMP32;
	int taken, err;

	err = check_operands(env, insn, &src);
	if (err)
		return err;
	taken = is_branch_taken(dst, src, op, is_jmp32);
	if (taken >= 0)
		return follow_one(env, insn, src, taken, insn_idx);

	/* Both ways share this entry of the history. */
	if (BPF_SRC(insn->code) == BPF_X && src->type == SCALAR_VALUE && src->id)
		collect_linked_regs(env, src->id, &linked);
	if (dst->type == SCALAR_VALUE && dst->id)
		collect_linked_regs(env, dst->id, &linked);
	if (linked.cnt > 1) {
		err = push_jmp_history(env, this_branch, 0, 0, 0, &linked);
		if (err)
			return err;
	}
	other = push_stack(env, *insn_idx + insn->off + 1, *insn_idx);
	if (!other)
		return env->stack_size > BPF_COMPLEXITY_LIMIT_JMP_SEQ ? -E2BIG : -ENOMEM;
	err = learn_scalars(env, insn, other, src, &linked);
	if (err)
		return err;
	learn_equal_pointers(env, insn, other);
	if (!is_jmp32 && BPF_SRC(insn->code) == BPF_K && !insn->imm &&
	    (op == BPF_JEQ || op == BPF_JNE) && dst->type & PTR_MAYBE_NULL) {
		mark_ptr_or_null_regs(this_branch, insn->dst_reg, op == BPF_JNE);
		mark_ptr_or_null_regs(other, insn->dst_reg, op == BPF_JEQ);
	} else if (!match_pkt_pointers(env, insn, this_branch, other) &&
		   is_pointer_value(env, insn->dst_reg)) {
		return refuse(env, PTR_COMPARE, .reg = insn->dst_reg);
	}
	if (env->log_level & BPF_LOG_LEVEL)
		print_insn_state(env, this_branch, this_branch->curframe);
	return 0;
}
