/*
 * stack.c - loads from and stores to the program's stack
 *
 * A slot is 8 bytes, fp-8*(i+1) is slot i, and slot_type[] counts downwards: byte fp+off is
 * slot_type[(-off - 1) % 8] of its slot, so that slot_type[7] is the slot's lowest address. A
 * register that is stored at the lowest address of a slot keeps all that is known of it
 * (STACK_SPILL, from slot_type[7] downwards); anything else leaves bytes of unknown value
 * (STACK_MISC) or zeros (STACK_ZERO).
 *
 * Bytes that nothing was stored to (STACK_INVALID) may be read, as in Linux: they are unknown. What
 * lies in that memory is nobody's business, so such a program is marked zero_stack and its frames
 * start as zeros.
 *
 * In a strict program they may not be read, as in Linux: the machine may read past a store that it
 * has not done yet. So it waits behind one that makes an address of what was something else, or
 * bytes of what was an address, and behind the zeros that a frame then starts with; numbers that
 * come back from the stack are believed, no more. (Linux waits also where a number was stored to
 * bytes that were not written, or over a number.)
 */
#include "verifier/checks/call_meta.h"
#include "verifier/held/dynptr.h"
#include "verifier/checks/stack.h"
#include "verifier/domain/bounds.h"
#include "verifier/history/marks.h"
#include "verifier/history/path.h"
#include "verifier/history/precise.h"
#include "verifier/state/print.h"
#include "verifier/state/refuse.h"
#include "verifier/state/regs.h"

static u32 spi_of(int off)
{
	return (u32)(-off - 1) / 8;
}

static u8 *byte_of(struct bpf_func_state *func, int off)
{
	return &func->stack[spi_of(off)].slot_type[(-off - 1) % 8];
}

static const char *access_text(enum bpf_access_type type)
{
	return type == BPF_READ ? " read from" : " write to";
}

int check_stack_access_within_bounds(struct bpf_verifier_env *env, u32 regno, int off,
				     int access_size, enum bpf_access_type type)
{
	const struct bpf_reg_state *reg = &cur_regs(env)[regno];
	s64 min_off, max_off, lowest = -MAX_BPF_STACK;
	int err;

	if (env->strict && type == BPF_READ) /* what is below was not written */
		lowest = -8 * (s64)func_of(env, reg)->nslots;

	if (tnum_is_const(reg->var_off)) {
		min_off = (s64)reg->var_off.value + off;
		max_off = min_off + access_size;
	} else {
		if (reg->smax_value >= BPF_MAX_VAR_OFF || reg->smin_value <= -BPF_MAX_VAR_OFF)
			return refuse(env, STACK_UNBOUNDED, .reg = regno,
				      .name = {access_text(type)});
		min_off = reg->smin_value + off;
		max_off = reg->smax_value + off + access_size;
	}
	if (min_off < lowest || min_off >= 0)
		err = -EACCES;
	else if (max_off > 0)
		err = -EINVAL;
	else
		return grow_stack_state(env, func_of(env, reg), -min_off);
	if (tnum_is_const(reg->var_off)) {
		refuse(env, STACK_OFF, .reg = regno, .num = {min_off, access_size},
		       .name = {access_text(type)});
	} else {
		refuse(env, STACK_VAR_OFF, .reg = regno, .num = {off, access_size},
		       .name = {access_text(type), tnum_text(reg->var_off)});
	}
	return err;
}

static void note_uninit_read(struct bpf_verifier_env *env, struct bpf_func_state *func, int off)
{
	if (*byte_of(func, off) == STACK_INVALID)
		env->out->zero_stack = true;
}

/* May its byte be read as a number? */
static bool is_readable(const struct bpf_verifier_env *env, struct bpf_func_state *func, int off)
{
	switch (*byte_of(func, off)) {
	case STACK_INVALID:
		return !env->strict;
	case STACK_SPILL:
		return !env->strict || is_spilled_scalar_reg(&func->stack[spi_of(off)]);
	case STACK_DYNPTR:
		return false;
	default:
		return true;
	}
}

/* ---- stores */

static void misc_byte(u8 *type)
{
	if (*type != STACK_INVALID)
		*type = STACK_MISC;
}

static void scrub_slot(struct bpf_stack_state *slot)
{
	for (u32 i = 0; i < 8; i++)
		misc_byte(&slot->slot_type[i]);
	slot->spilled_ptr.type = NOT_INIT;
}

/* The bytes beside a narrow spill: what was part of something bigger is unknown now. */
static void save_register_state(struct bpf_stack_state *slot, const struct bpf_reg_state *reg,
				int size)
{
	int i;

	slot->spilled_ptr = *reg;
	for (i = 8; i > 8 - size; i--)
		slot->slot_type[i - 1] = STACK_SPILL;
	for (; i; i--)
		if (slot->slot_type[i - 1] != STACK_ZERO && slot->slot_type[i - 1] != STACK_INVALID)
			slot->slot_type[i - 1] = STACK_MISC;
}

static bool is_spillable(u32 type)
{
	return type != NOT_INIT && type != SCALAR_VALUE && type != CONST_PTR_TO_DYNPTR;
}

/* An ordinary store of data: bytes of unknown value, or zeros. */
static int write_bytes(struct bpf_verifier_env *env, struct bpf_func_state *func, int off, int size,
		       int value_regno, bool zero)
{
	struct bpf_stack_state *slot = &func->stack[spi_of(off)];
	int err;

	slot->spilled_ptr.type = NOT_INIT;
	if (is_spilled_reg(slot))
		scrub_slot(slot);
	if (zero && value_regno >= 0) {
		/* The zeros stand for the register from here on. */
		err = mark_chain_precision(env, value_regno);
		if (err)
			return err;
	}
	for (int i = 0; i < size; i++)
		*byte_of(func, off + i) = zero ? STACK_ZERO : STACK_MISC;
	return 0;
}

/* Would a load behind the store take an address for a number, or the other way round? */
static bool is_bypass_harmful(struct bpf_func_state *func, int off, int size,
			      const struct bpf_reg_state *reg)
{
	if (reg && is_spillable(reg->type))
		return true;
	for (int i = off; i < off + size; i++)
		if (*byte_of(func, i) == STACK_DYNPTR ||
		    (*byte_of(func, i) == STACK_SPILL &&
		     !is_spilled_scalar_reg(&func->stack[spi_of(i)])))
			return true;
	return false;
}

static int check_stack_write_fixed_off(struct bpf_verifier_env *env, struct bpf_func_state *func,
				       int off, int size, int value_regno, int insn_idx)
{
	struct bpf_func_state *cur = cur_func(env);
	const struct bpf_insn *insn = &env->insns[insn_idx];
	struct bpf_reg_state *reg = value_regno >= 0 ? &cur->regs[value_regno] : NULL;
	u32 spi = spi_of(off);
	struct bpf_stack_state *slot = &func->stack[spi];
	bool is_st_imm = !reg && BPF_CLASS(insn->code) == BPF_ST;
	int err;

	if (env->strict && size != 8 && is_spilled_reg(slot) && !is_spilled_scalar_reg(slot))
		return refuse(env, SPILL_CORRUPT);
	err = destroy_if_dynptr_stack_slot(env, func, spi);
	if (err)
		return err;
	env->out->fence_stack |= env->strict;
	if (env->strict && is_bypass_harmful(func, off, size, reg))
		env->aux[insn_idx].nospec_result = true;
	mark_stack_slot_scratched(env, spi);
	if (size == 8)
		mark_stack_written(env->cur_state, func->frameno, spi);
	if (reg && !(off % 8) && reg->type == SCALAR_VALUE) {
		bool fits = reg_fits(reg, size, false);

		if (fits)
			assign_scalar_id_before_mov(env, reg);
		save_register_state(slot, reg, size);
		if (!fits)
			clear_scalar_id(&slot->spilled_ptr);
	} else if (is_st_imm && !(off % 8)) {
		struct bpf_reg_state *tmp = &env->fake_reg[0];

		memset(tmp, 0, sizeof(*tmp));
		__mark_reg_known(tmp, insn->imm);
		tmp->type = SCALAR_VALUE;
		save_register_state(slot, tmp, size);
	} else if (reg && is_spillable(reg->type)) {
		if (size != 8) {
			verbose_linfo(env, insn_idx, "; ");
			return refuse(env, SPILL_SIZE);
		}
		if (func != cur && reg->type == PTR_TO_STACK)
			return refuse(env, SPILL_STACK_PTR);
		save_register_state(slot, reg, size);
	} else {
		bool zero = reg ? register_is_null(reg) : is_st_imm && !insn->imm;

		return write_bytes(env, func, off, size, value_regno, zero);
	}
	return push_jmp_history(env, env->cur_state, INSN_F_STACK_ACCESS, func->frameno, spi, NULL);
}

/* Somewhere in the range: nothing in it can be relied on any more, apart from zeros over zeros. */
static int check_stack_write_var_off(struct bpf_verifier_env *env, struct bpf_func_state *func,
				     const struct bpf_reg_state *ptr, int off, int size,
				     int value_regno, int insn_idx)
{
	const struct bpf_insn *insn = &env->insns[insn_idx];
	int min_off = ptr->smin_value + off, max_off = ptr->smax_value + off + size;
	bool zero, zero_used = false;

	if (value_regno >= 0)
		zero = register_is_null(&cur_regs(env)[value_regno]);
	else
		zero = BPF_CLASS(insn->code) == BPF_ST && !insn->imm;
	for (int i = min_off; i < max_off; i++) {
		int err = destroy_if_dynptr_stack_slot(env, func, spi_of(i));

		if (err)
			return err;
	}
	for (int i = min_off; i < max_off; i++) {
		struct bpf_stack_state *slot = &func->stack[spi_of(i)];
		u8 *type = byte_of(func, i);

		mark_stack_slot_scratched(env, spi_of(i));
		if (zero && *type == STACK_SPILL && is_spilled_scalar_reg(slot) &&
		    tnum_equals_const(slot->spilled_ptr.var_off, 0)) {
			zero_used = true;
			continue;
		}
		if (zero && *type == STACK_ZERO) {
			zero_used = true;
			continue;
		}
		if (is_spilled_reg(slot))
			scrub_slot(slot);
		/* All of the range counts as written, and only a part of it is. */
		note_uninit_read(env, func, i);
		*type = STACK_MISC;
	}
	if (zero_used && value_regno >= 0)
		return mark_chain_precision(env, value_regno);
	return 0;
}

int check_stack_write(struct bpf_verifier_env *env, u32 ptr_regno, int off, int size,
		      int value_regno, int insn_idx)
{
	const struct bpf_reg_state *reg = &cur_regs(env)[ptr_regno];
	struct bpf_func_state *func = func_of(env, reg);

	if (tnum_is_const(reg->var_off))
		return check_stack_write_fixed_off(env, func, off + (int)reg->var_off.value, size,
						   value_regno, insn_idx);
	return check_stack_write_var_off(env, func, reg, off, size, value_regno, insn_idx);
}

/* ---- loads */

/* Bytes [min_off, max_off) are read into a register: all of them zeros, or who knows. */
static void mark_reg_stack_read(struct bpf_verifier_env *env, struct bpf_func_state *func,
				int min_off, int max_off, int dst_regno)
{
	struct bpf_reg_state *regs = cur_regs(env);
	int zeros = 0;

	for (int i = min_off; i < max_off; i++) {
		mark_stack_slot_scratched(env, spi_of(i));
		if (*byte_of(func, i) != STACK_ZERO)
			break;
		zeros++;
	}
	mark_reg_unknown(regs, dst_regno);
	if (zeros == max_off - min_off) {
		__mark_reg_const_zero(&regs[dst_regno]);
		regs[dst_regno].believed = true;
	}
}

static int spill_size(const struct bpf_stack_state *slot)
{
	int size = 0;

	for (int i = 7; i >= 0 && slot->slot_type[i] == STACK_SPILL; i--)
		size++;
	return size;
}

/*
 * Part of a spilled scalar, or more than it: into a register. Sets *tracked if it is a fill of the
 * spill.
 */
static void fill_part(struct bpf_verifier_env *env, struct bpf_func_state *func, int off, int size,
		      int dst_regno, bool *tracked)
{
	struct bpf_stack_state *slot = &func->stack[spi_of(off)];
	struct bpf_reg_state *reg = &slot->spilled_ptr, *dst = &cur_regs(env)[dst_regno];
	int spilled = spill_size(slot), spill_cnt = 0, zero_cnt = 0;

	if (size <= spilled && !(off % 8)) {
		if (size == 4 && spilled == 4 && reg_fits(reg, 4, false))
			assign_scalar_id_before_mov(env, reg);
		/*
		 * check_mem_access() cuts it to the size of the load, and its link if that changes
		 * it.
		 */
		*dst = *reg;
		return;
	}
	for (int i = 0; i < size; i++) {
		spill_cnt += *byte_of(func, off + i) == STACK_SPILL;
		zero_cnt += *byte_of(func, off + i) == STACK_ZERO;
	}
	mark_reg_unknown(cur_regs(env), dst_regno);
	if (spill_cnt == size && tnum_equals_const(reg->var_off, 0)) {
		__mark_reg_const_zero(dst);
		return;
	}
	*tracked = false;
	if (zero_cnt == size)
		__mark_reg_const_zero(dst);
}

static int check_stack_read_fixed_off(struct bpf_verifier_env *env, struct bpf_func_state *func,
				      int off, int size, int dst_regno)
{
	u32 spi = spi_of(off);
	struct bpf_stack_state *slot = &func->stack[spi];
	bool tracked = true;

	mark_stack_slot_scratched(env, spi);
	mark_stack_read(env->cur_state, func->frameno, spi);
	for (int i = off; i < off + size; i++) {
		if (!is_readable(env, func, i) && *byte_of(func, i) != STACK_SPILL)
			return refuse(env, STACK_READ, .num = {off, i - off, size});
		note_uninit_read(env, func, i);
	}
	if (!is_spilled_reg(slot)) {
		if (dst_regno >= 0)
			mark_reg_stack_read(env, func, off, off + size, dst_regno);
		return 0;
	}
	if (size != 8 || spill_size(slot) != 8) {
		if (slot->spilled_ptr.type != SCALAR_VALUE)
			return refuse(env, FILL_SIZE);
		if (dst_regno < 0)
			return 0;
		fill_part(env, func, off, size, dst_regno, &tracked);
		cur_regs(env)[dst_regno].believed = true;
	} else if (dst_regno >= 0) {
		cur_regs(env)[dst_regno] = slot->spilled_ptr;
		cur_regs(env)[dst_regno].believed = true;
	} else if (env->strict && slot->spilled_ptr.type != SCALAR_VALUE) {
		return refuse(env, ADDR_ON_STACK, .num = {off});
	}
	if (!tracked)
		return 0;
	return push_jmp_history(env, env->cur_state, INSN_F_STACK_ACCESS, func->frameno, spi, NULL);
}

static int check_stack_read_var_off(struct bpf_verifier_env *env, u32 ptr_regno, int off, int size,
				    int dst_regno)
{
	const struct bpf_reg_state *reg = &cur_regs(env)[ptr_regno];
	int min_off = reg->smin_value + off, max_off = reg->smax_value + off + size;
	int err;

	err = check_stack_range_initialized(env, ptr_regno, off, size, false, BPF_READ, NULL);
	if (err)
		return err;
	mark_reg_stack_read(env, func_of(env, reg), min_off, max_off, dst_regno);
	return 0;
}

int check_stack_read(struct bpf_verifier_env *env, u32 ptr_regno, int off, int size, int dst_regno)
{
	const struct bpf_reg_state *reg = &cur_regs(env)[ptr_regno];

	if (tnum_is_const(reg->var_off))
		return check_stack_read_fixed_off(env, func_of(env, reg),
						  off + (int)reg->var_off.value, size, dst_regno);
	if (dst_regno < 0)
		return refuse(env, STACK_VAR_OFF_HELPER, .num = {off, size},
			      .name = {tnum_text(reg->var_off)});
	return check_stack_read_var_off(env, ptr_regno, off, size, dst_regno);
}

/* ---- memory that a helper, or a load with a variable offset, goes over */

static void visit_byte(struct bpf_verifier_env *env, struct bpf_func_state *func, int off,
		       bool clobber)
{
	struct bpf_stack_state *slot = &func->stack[spi_of(off)];

	mark_stack_read(env->cur_state, func->frameno, spi_of(off));
	note_uninit_read(env, func, off);
	if (!clobber)
		return;
	if (is_spilled_reg(slot))
		scrub_slot(slot);
	*byte_of(func, off) = STACK_MISC;
}

static int refuse_bytes(struct bpf_verifier_env *env, u32 regno, int min_off, int i, int size)
{
	struct tnum var_off = cur_regs(env)[regno].var_off;

	if (tnum_is_const(var_off))
		return refuse(env, STACK_READ_REG, .reg = regno, .num = {min_off, i, size});
	return refuse(env, STACK_READ_VAR, .reg = regno, .num = {i, size},
		      .name = {tnum_text(var_off)});
}

/*
 * [off, off + access_size) from a stack pointer is read, and with BPF_WRITE may be written. With
 * meta->raw_mode the callee fills it at a fixed place: the caller marks it afterwards.
 */
int check_stack_range_initialized(struct bpf_verifier_env *env, u32 regno, int off, int access_size,
				  bool zero_size_allowed, enum bpf_access_type type,
				  struct bpf_call_arg_meta *meta)
{
	const struct bpf_reg_state *reg = &cur_regs(env)[regno];
	int min_off, max_off, err;

	if (!access_size && !zero_size_allowed)
		return refuse(env, ZERO_SIZED_READ);
	err = check_stack_access_within_bounds(env, regno, off, access_size, type);
	if (err)
		return err;
	if (tnum_is_const(reg->var_off)) {
		min_off = max_off = (int)reg->var_off.value + off;
	} else {
		min_off = reg->smin_value + off;
		max_off = reg->smax_value + off;
		meta = NULL;
		if (env->strict)
			return refuse(env, STACK_VAR_STRICT, .reg = regno,
				      .name = {tnum_text(reg->var_off)});
	}
	if (meta && meta->raw_mode) {
		err = check_no_dynptr(env, func_of(env, reg), min_off, access_size);
		if (err)
			return err;
		for (int i = 0; meta->may_leave_uninit && i < access_size; i++)
			note_uninit_read(env, func_of(env, reg), min_off + i);
		meta->access_size = access_size;
		meta->regno = regno;
		return 0;
	}
	for (int i = min_off; i < max_off + access_size; i++) {
		if (!is_readable(env, func_of(env, reg), i))
			return refuse_bytes(env, regno, min_off, i - min_off, access_size);
		visit_byte(env, func_of(env, reg), i, type == BPF_WRITE);
	}
	return 0;
}

int get_constant_map_key(struct bpf_verifier_env *env, const struct bpf_reg_state *key,
			 u32 key_size, s64 *value)
{
	struct bpf_func_state *func;
	struct bpf_stack_state *slot;
	u32 zeros = 0, spilled = 0;
	int off, first;

	if (key->type != PTR_TO_STACK || !tnum_is_const(key->var_off) || !key_size || key_size > 8)
		return -EOPNOTSUPP;
	func = func_of(env, key);
	off = key->off + (int)key->var_off.value;
	slot = &func->stack[spi_of(off)];
	first = (-off - 1) % 8;
	for (int i = first; i >= 0 && slot->slot_type[i] == STACK_ZERO; i--)
		zeros++;
	if (zeros >= key_size) {
		*value = 0;
		return 0;
	}
	if (!is_spilled_scalar_reg(slot) || first != 7)
		return -EOPNOTSUPP;
	for (int i = 7; i >= 0 && slot->slot_type[i] == STACK_SPILL; i--)
		spilled++;
	if (spilled != key_size || !tnum_is_const(slot->spilled_ptr.var_off))
		return -EOPNOTSUPP;
	bt_reset(&env->bt);
	env->bt.frame = env->cur_state->curframe;
	env->bt.stack_masks[func->frameno] |= 1ULL << spi_of(off);
	if (mark_chain_precision_batch(env, env->cur_state))
		return -EOPNOTSUPP;
	*value = slot->spilled_ptr.var_off.value;
	if (key_size < 8)
		*value &= (1ULL << (8 * key_size)) - 1;
	return 0;
}
