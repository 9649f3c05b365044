/*
 * dynptr.c - dynptrs on the program's stack: made, used and given back by helpers, touched by nobody else
 *
 * A struct bpf_dynptr takes two slots of a frame, both of type STACK_DYNPTR or neither. What is known of it stands in
 * spilled_ptr of both: its kind, its number (id) and, of a kind that must be given back, its reference. The first
 * slot is the one at the lower address. A program cannot read the bytes; writing to one of them destroys the dynptr, or is
 * refused while a reference depends on it.
 *
 * bpf_dynptr_data() gives a slice: memory of a known size that carries the dynptr's number (dynptr_id) and its
 * reference. When the dynptr is destroyed or given back, its slices in all registers and slots become numbers.
 *
 * A global function gets a pointer to a dynptr of its caller as CONST_PTR_TO_DYNPTR: it may use it, and nothing else.
 */
#include "verifier/env.h"

#define DYNPTR_NR_SLOTS 2

static const char *dynptr_type_str(enum bpf_dynptr_type type)
{
	switch (type) {
	case BPF_DYNPTR_TYPE_LOCAL:
		return "local";
	case BPF_DYNPTR_TYPE_RINGBUF:
		return "ringbuf";
	default:
		return "<invalid>";
	}
}

static enum bpf_dynptr_type arg_to_dynptr_type(u32 arg_type)
{
	return arg_type & DYNPTR_TYPE_LOCAL	? BPF_DYNPTR_TYPE_LOCAL
	       : arg_type & DYNPTR_TYPE_RINGBUF ? BPF_DYNPTR_TYPE_RINGBUF
						: BPF_DYNPTR_TYPE_INVALID;
}

static bool dynptr_type_refcounted(enum bpf_dynptr_type type)
{
	return type == BPF_DYNPTR_TYPE_RINGBUF;
}

void mark_dynptr_reg(struct bpf_reg_state *reg, enum bpf_dynptr_type type, bool first_slot, u32 id)
{
	memset(reg, 0, sizeof(*reg));
	__mark_reg_known(reg, 0);
	reg->type = CONST_PTR_TO_DYNPTR;
	reg->id = id;
	reg->dynptr.type = type;
	reg->dynptr.first_slot = first_slot;
}

/* The first slot of the dynptr that a stack pointer means, -EINVAL, or -ERANGE: nothing was there yet. */
static int dynptr_get_spi(struct bpf_verifier_env *env, const struct bpf_reg_state *reg)
{
	int off, spi;

	if (!tnum_is_const(reg->var_off)) {
		verbose(env, "dynptr has to be at a constant offset\n");
		return -EINVAL;
	}
	off = reg->off + (int)reg->var_off.value;
	spi = (-off - 1) / 8;
	if (off % 8 || spi + 1 < DYNPTR_NR_SLOTS) {
		verbose(env, "cannot pass in dynptr at an offset=%d\n", off);
		return -EINVAL;
	}
	return spi < (int)func_of(env, reg)->nslots ? spi : -ERANGE;
}

/* What is known of the dynptr behind a register that process_dynptr_func() took. */
static const struct bpf_reg_state *dynptr_of(struct bpf_verifier_env *env,
					     const struct bpf_reg_state *reg)
{
	int spi;

	if (reg->type == CONST_PTR_TO_DYNPTR)
		return reg;
	spi = dynptr_get_spi(env, reg);
	return spi < 0 ? NULL : &func_of(env, reg)->stack[spi].spilled_ptr;
}

static void invalidate_dynptr(struct bpf_func_state *func, u32 spi)
{
	memset(&func->stack[spi - 1], 0, DYNPTR_NR_SLOTS * sizeof(func->stack[0]));
}

static void invalidate_slice(struct bpf_reg_state *reg, u32 dynptr_id)
{
	if ((reg->type & ~PTR_MAYBE_NULL) == PTR_TO_MEM && reg->dynptr_id == dynptr_id)
		__mark_reg_unknown(reg);
}

/* Slot spi is about to be written. */
int destroy_if_dynptr_stack_slot(struct bpf_verifier_env *env, struct bpf_func_state *func, u32 spi)
{
	u32 id;

	if (!is_dynptr_slot(&func->stack[spi]))
		return 0;
	if (!func->stack[spi].spilled_ptr.dynptr.first_slot)
		spi++;
	if (dynptr_type_refcounted(func->stack[spi].spilled_ptr.dynptr.type)) {
		verbose(env, "cannot overwrite referenced dynptr\n");
		return -EINVAL;
	}
	mark_stack_slot_scratched(env, spi);
	mark_stack_slot_scratched(env, spi - 1);
	id = func->stack[spi].spilled_ptr.id;
	invalidate_dynptr(func, spi);
	for_each_reg_in_state(env->cur_state, reg, invalidate_slice(reg, id));
	return 0;
}

/* The helper called at insn_idx makes a dynptr of two slots that were just written. */
static int mark_stack_slots_dynptr(struct bpf_verifier_env *env, const struct bpf_reg_state *reg,
				   enum bpf_dynptr_type type, int insn_idx)
{
	struct bpf_func_state *func = func_of(env, reg);
	int spi = dynptr_get_spi(env, reg), ref = 0;
	u32 id;

	if (spi < 0)
		return spi;
	id = ++env->id_gen;
	if (dynptr_type_refcounted(type)) {
		ref = acquire_reference(env, insn_idx);
		if (ref < 0)
			return ref;
	}
	for (int i = 0; i < DYNPTR_NR_SLOTS; i++) {
		struct bpf_stack_state *slot = &func->stack[spi - i];

		memset(slot->slot_type, STACK_DYNPTR, sizeof(slot->slot_type));
		mark_dynptr_reg(&slot->spilled_ptr, type, !i, id);
		slot->spilled_ptr.ref_obj_id = (u32)ref;
	}
	return 0;
}

static int make_dynptr(struct bpf_verifier_env *env, u32 regno, int insn_idx, u32 arg_type)
{
	const struct bpf_reg_state *reg = &cur_regs(env)[regno];
	int spi = reg->type == PTR_TO_STACK ? dynptr_get_spi(env, reg) : -EINVAL, err;

	/* What never was written is no fault: the writes below see to the bounds. */
	if (spi < 0 && spi != -ERANGE) {
		verbose(env, "Dynptr has to be an uninitialized dynptr\n");
		return -EINVAL;
	}
	for (int i = 0; i < DYNPTR_NR_SLOTS; i++) {
		err = check_mem_access(env, insn_idx, regno, 8 * i, BPF_DW, BPF_WRITE, -1, false,
				       false);
		if (err)
			return err;
	}
	return mark_stack_slots_dynptr(env, reg, arg_to_dynptr_type(arg_type), insn_idx);
}

static bool is_dynptr_reg_valid_init(struct bpf_verifier_env *env, const struct bpf_reg_state *reg)
{
	const struct bpf_func_state *func;
	int spi;

	if (reg->type == CONST_PTR_TO_DYNPTR)
		return true;
	spi = dynptr_get_spi(env, reg);
	if (spi < 0)
		return false;
	func = func_of(env, reg);
	return is_dynptr_slot(&func->stack[spi]) && func->stack[spi].spilled_ptr.dynptr.first_slot;
}

static int use_dynptr(struct bpf_verifier_env *env, u32 regno, u32 arg_type)
{
	const struct bpf_reg_state *reg = &cur_regs(env)[regno];
	enum bpf_dynptr_type wanted = arg_to_dynptr_type(arg_type);
	int spi;

	if (reg->type == CONST_PTR_TO_DYNPTR && !(arg_type & MEM_RDONLY)) {
		verbose(env, "cannot pass pointer to const bpf_dynptr, the helper mutates it\n");
		return -EINVAL;
	}
	if (!is_dynptr_reg_valid_init(env, reg)) {
		verbose(env, "Expected an initialized dynptr as arg #%u\n", regno - 1);
		return -EINVAL;
	}
	if (wanted != BPF_DYNPTR_TYPE_INVALID && dynptr_of(env, reg)->dynptr.type != wanted) {
		verbose(env, "Expected a dynptr of type %s as arg #%u\n", dynptr_type_str(wanted),
			regno - 1);
		return -EINVAL;
	}
	if (reg->type == CONST_PTR_TO_DYNPTR)
		return 0;
	spi = dynptr_get_spi(env, reg);
	for (int i = 0; i < DYNPTR_NR_SLOTS; i++) {
		mark_stack_slot_scratched(env, spi - i);
		mark_stack_read(env->cur_state, reg->frameno, spi - i);
	}
	return 0;
}

/* Argument regno is a dynptr: one that the helper at insn_idx makes (MEM_UNINIT), or one that is there. */
int process_dynptr_func(struct bpf_verifier_env *env, u32 regno, int insn_idx, u32 arg_type)
{
	const struct bpf_reg_state *reg = &cur_regs(env)[regno];

	if (reg->type != PTR_TO_STACK && reg->type != CONST_PTR_TO_DYNPTR) {
		verbose(env, "arg#%u expected pointer to stack or const struct bpf_dynptr\n",
			regno - 1);
		return -EINVAL;
	}
	if (arg_type & MEM_UNINIT)
		return make_dynptr(env, regno, insn_idx, arg_type);
	return use_dynptr(env, regno, arg_type);
}

/* Is the argument something that can be given back? */
int check_dynptr_release(struct bpf_verifier_env *env, u32 regno)
{
	const struct bpf_reg_state *reg = &cur_regs(env)[regno];
	int spi;

	if (reg->type != PTR_TO_STACK) {
		verbose(env, "cannot release unowned const bpf_dynptr\n");
		return -EINVAL;
	}
	spi = dynptr_get_spi(env, reg);
	if (spi < 0 || !func_of(env, reg)->stack[spi].spilled_ptr.ref_obj_id) {
		verbose(env, "arg %u is an unacquired reference\n", regno);
		return -EINVAL;
	}
	return 0;
}

/* It is given back: with the reference go its slices. */
int unmark_stack_slots_dynptr(struct bpf_verifier_env *env, u32 regno)
{
	const struct bpf_reg_state *reg = &cur_regs(env)[regno];
	struct bpf_func_state *func = func_of(env, reg);
	int spi = dynptr_get_spi(env, reg);
	u32 ref;

	if (spi < 0)
		return spi;
	ref = func->stack[spi].spilled_ptr.ref_obj_id;
	invalidate_dynptr(func, spi);
	return release_reference(env, ref);
}

/* R0 of bpf_dynptr_data() will be a slice of the dynptr in R1. */
int note_dynptr_slice(struct bpf_verifier_env *env, struct bpf_call_arg_meta *meta)
{
	const struct bpf_reg_state *dynptr = dynptr_of(env, &cur_regs(env)[BPF_REG_1]);

	if (!dynptr)
		return -EFAULT;
	meta->dynptr_id = dynptr->id;
	meta->ref_obj_id = dynptr->ref_obj_id;
	return 0;
}

/* A dynptr outlives the call that makes it: only of memory that outlives the program's run. */
int check_dynptr_from_mem(struct bpf_verifier_env *env)
{
	u32 type = cur_regs(env)[BPF_REG_1].type;

	if (type == PTR_TO_MAP_VALUE)
		return 0;
	verbose(env, "Unsupported reg type %s for bpf_dynptr_from_mem data\n", reg_type_str(type));
	return -EACCES;
}

/* Does a helper's uninitialised memory of `size` bytes at fp+off overlap one? It may be an argument, too. */
int check_no_dynptr(struct bpf_verifier_env *env, const struct bpf_func_state *func, int off,
		    int size)
{
	for (int i = off; i < off + size; i++) {
		if (!is_dynptr_slot(&func->stack[(u32)(-i - 1) / 8]))
			continue;
		verbose(env, "potential write to dynptr at off=%d disallowed\n", i);
		return -EACCES;
	}
	return 0;
}

/* Linux has the mark of the first slot in the place of a dynptr_id, and so prints it as one. */
void print_dynptr(struct bpf_verifier_env *env, const struct bpf_reg_state *reg, u32 spi)
{
	bpf_log_printf(env->log, " fp%d=dynptr_%s(", -(int)(spi + 1) * 8,
		       dynptr_type_str(reg->dynptr.type));
	bpf_log_printf(env->log, "id=%u", reg->id);
	if (reg->ref_obj_id)
		bpf_log_printf(env->log, ",ref_id=%u", reg->ref_obj_id);
	bpf_log_printf(env->log, ",dynptr_id=%u)", reg->dynptr.first_slot);
}
