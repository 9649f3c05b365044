/*
 * dynptr.c - the stack slots of dynptrs: made, destroyed, given back, touched by nobody else
 *
 * A struct bpf_dynptr takes two slots of a frame, both of type STACK_DYNPTR or neither. What is
 * known of it stands in spilled_ptr of both: its kind, its number (id) and, of a kind that must be
 * given back, its reference. The first slot is the one at the lower address. A program cannot read
 * the bytes; writing to one of them destroys the dynptr, or is refused while a reference depends on
 * it.
 *
 * bpf_dynptr_data() gives a slice: memory of a known size that carries the dynptr's number
 * (dynptr_id) and its reference. When the dynptr is destroyed or given back, its slices in all
 * registers and slots become numbers.
 */
#include "verifier/held/dynptr.h"
#include "verifier/held/reference.h"
#include "verifier/domain/bounds.h"
#include "verifier/state/print.h"
#include "verifier/state/refuse.h"
#include "verifier/state/regs.h"

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

int dynptr_get_spi(struct bpf_verifier_env *env, const struct bpf_reg_state *reg)
{
	int off, spi;

	if (!tnum_is_const(reg->var_off))
		return refuse(env, DYNPTR_VAR_OFF);
	off = reg->off + (int)reg->var_off.value;
	spi = (-off - 1) / 8;
	if (off % 8 || spi + 1 < DYNPTR_NR_SLOTS)
		return refuse(env, DYNPTR_OFF, .num = {off});
	return spi < (int)func_of(env, reg)->nslots ? spi : -ERANGE;
}

static void invalidate_dynptr(struct bpf_func_state *func, u32 spi)
{
	memset(&func->stack[spi - 1], 0, DYNPTR_NR_SLOTS * sizeof(func->stack[0]));
}

static void invalidate_slice(const struct bpf_verifier_env *env, struct bpf_reg_state *reg,
			     u32 dynptr_id)
{
	if ((reg->type & ~PTR_MAYBE_NULL) == PTR_TO_MEM && reg->dynptr_id == dynptr_id)
		mark_reg_invalid(env, reg);
}

/* Slot spi is about to be written. */
int destroy_if_dynptr_stack_slot(struct bpf_verifier_env *env, struct bpf_func_state *func, u32 spi)
{
	u32 id;

	if (!is_dynptr_slot(&func->stack[spi]))
		return 0;
	if (!func->stack[spi].spilled_ptr.dynptr.first_slot)
		spi++;
	if (dynptr_type_refcounted(func->stack[spi].spilled_ptr.dynptr.type))
		return refuse(env, DYNPTR_OVERWRITE);
	mark_stack_slot_scratched(env, spi);
	mark_stack_slot_scratched(env, spi - 1);
	id = func->stack[spi].spilled_ptr.id;
	invalidate_dynptr(func, spi);
	for_each_reg_in_state(env->cur_state, reg, invalidate_slice(env, reg, id));
	return 0;
}

/* The helper called at insn_idx makes a dynptr of two slots that were just written. */
int mark_stack_slots_dynptr(struct bpf_verifier_env *env, const struct bpf_reg_state *reg,
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

/*
 * Does a helper's uninitialised memory of `size` bytes at fp+off overlap one? It may be an
 * argument, too.
 */
int check_no_dynptr(struct bpf_verifier_env *env, const struct bpf_func_state *func, int off,
		    int size)
{
	for (int i = off; i < off + size; i++) {
		if (!is_dynptr_slot(&func->stack[(u32)(-i - 1) / 8]))
			continue;
		return refuse(env, DYNPTR_WRITE, .num = {i});
	}
	return 0;
}
