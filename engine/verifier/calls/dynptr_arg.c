/*
 * dynptr_arg.c - dynptrs as arguments of helpers and of global functions (their slots: dynptr.c)
 *
 * A global function gets a pointer to a dynptr of its caller as CONST_PTR_TO_DYNPTR: it may use it,
 * and nothing else.
 */
#include "verifier/checks/call_meta.h"
#include "verifier/held/dynptr.h"
#include "verifier/calls/dynptr_arg.h"
#include "verifier/checks/mem.h"
#include "verifier/history/marks.h"
#include "verifier/state/print.h"
#include "verifier/state/refuse.h"

static enum bpf_dynptr_type arg_to_dynptr_type(u32 arg_type)
{
	return arg_type & DYNPTR_TYPE_LOCAL	? BPF_DYNPTR_TYPE_LOCAL
	       : arg_type & DYNPTR_TYPE_RINGBUF ? BPF_DYNPTR_TYPE_RINGBUF
						: BPF_DYNPTR_TYPE_INVALID;
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

static int make_dynptr(struct bpf_verifier_env *env, u32 regno, int insn_idx, u32 arg_type)
{
	const struct bpf_reg_state *reg = &cur_regs(env)[regno];
	int spi = reg->type == PTR_TO_STACK ? dynptr_get_spi(env, reg) : -EINVAL, err;

	/* What never was written is no fault: the writes below see to the bounds. */
	if (spi < 0 && spi != -ERANGE)
		return refuse(env, DYNPTR_NOT_NEW);
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

	if (reg->type == CONST_PTR_TO_DYNPTR && !(arg_type & MEM_RDONLY))
		return refuse(env, DYNPTR_CONST);
	if (!is_dynptr_reg_valid_init(env, reg))
		return refuse(env, DYNPTR_NOT_INIT, .num = {regno - 1});
	if (wanted != BPF_DYNPTR_TYPE_INVALID && dynptr_of(env, reg)->dynptr.type != wanted)
		return refuse(env, DYNPTR_TYPE, .num = {regno - 1},
			      .name = {dynptr_type_str(wanted)});
	if (reg->type == CONST_PTR_TO_DYNPTR)
		return 0;
	spi = dynptr_get_spi(env, reg);
	for (int i = 0; i < DYNPTR_NR_SLOTS; i++) {
		mark_stack_slot_scratched(env, spi - i);
		mark_stack_read(env->cur_state, reg->frameno, spi - i);
	}
	return 0;
}

/*
 * Argument regno is a dynptr: one that the helper at insn_idx makes (MEM_UNINIT), or one that is
 * there.
 */
int process_dynptr_func(struct bpf_verifier_env *env, u32 regno, int insn_idx, u32 arg_type)
{
	const struct bpf_reg_state *reg = &cur_regs(env)[regno];

	if (reg->type != PTR_TO_STACK && reg->type != CONST_PTR_TO_DYNPTR)
		return refuse(env, DYNPTR_ARG, .num = {regno - 1});
	if (arg_type & MEM_UNINIT)
		return make_dynptr(env, regno, insn_idx, arg_type);
	return use_dynptr(env, regno, arg_type);
}

/* Is the argument something that can be given back? */
int check_dynptr_release(struct bpf_verifier_env *env, u32 regno)
{
	const struct bpf_reg_state *reg = &cur_regs(env)[regno];
	int spi;

	if (reg->type != PTR_TO_STACK)
		return refuse(env, DYNPTR_RELEASE_CONST);
	spi = dynptr_get_spi(env, reg);
	if (spi < 0 || !func_of(env, reg)->stack[spi].spilled_ptr.ref_obj_id)
		return refuse(env, DYNPTR_NOT_ACQUIRED, .num = {regno});
	return 0;
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
	return refuse(env, DYNPTR_FROM_MEM, .type = type);
}
