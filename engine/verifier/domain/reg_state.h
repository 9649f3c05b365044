/*
 * reg_state.h - what the verifier knows of one register, or of one stack slot, at one point of one
 * path
 *
 * Names and meanings are the kernel's (include/linux/bpf_verifier.h). Frames and whole states are
 * in state/state.h.
 */
#ifndef UBPFFS_VERIFIER_REG_STATE_H
#define UBPFFS_VERIFIER_REG_STATE_H

#include "insn/reg.h"
#include "verifier/domain/tnum.h"

/* Flags in bpf_reg_state.id of a scalar that differs from its family's value by `off`. */
#define BPF_ADD_CONST	(1u << 31)
#define BPF_ADD_CONST32 (1u << 30) /* with BPF_ADD_CONST: by 32-bit arithmetic, upper half zero */
#define BPF_REG_ID(id)	((id) & ~(BPF_ADD_CONST | BPF_ADD_CONST32))

struct bpf_reg_state {
	u32 type; /* enum bpf_reg_type and flags */
	s32 off; /* fixed part of a pointer's offset */
	union {
		int range; /* packet pointers: bytes proved to lie before data_end */
		struct {
			struct bpf_map *map_ptr; /* CONST_PTR_TO_MAP, PTR_TO_MAP_VALUE */
			u32 map_uid;
		};
		struct {
			u32 mem_size; /* PTR_TO_MEM */
			u32 dynptr_id; /* of a slice: the dynptr's id */
		};
		struct {
			u32 type; /* enum bpf_dynptr_type */
			bool first_slot;
		} dynptr; /* slots of type STACK_DYNPTR, CONST_PTR_TO_DYNPTR */
		u32 subprogno; /* PTR_TO_FUNC */
	};
	/*
	 * Scalars: the value. Pointers: the variable part of the offset. All bounds hold at once.
	 */
	struct tnum var_off;
	s64 smin_value, smax_value;
	u64 umin_value, umax_value;
	s32 s32_min_value, s32_max_value;
	u32 u32_min_value, u32_max_value;
	/*
	 * Same id: same value (scalars), or the same variable part (pointers). With BPF_ADD_CONST a
	 * scalar is the value of that id plus `off`.
	 */
	u32 id;
	u32 ref_obj_id; /* the reference (reference.c) that this is a copy of, or lies in */
	u32 frameno; /* PTR_TO_STACK: whose stack */
	u32 live; /* enum bpf_reg_liveness, for pruning */
	s32 subreg_def;
	bool precise; /* pruning must compare the exact bounds */
	/*
	 * The bounds are from a comparison, or memory has kept the value meanwhile: a machine that
	 * runs ahead may have another one. Bounds from calculating alone hold also there.
	 */
	bool believed;
	struct bpf_reg_state *parent;
};

/* In bpf_reg_state.range: the pointer was compared with data_end and lies at it, or beyond. */
enum {
	AT_PKT_END = -1,
	BEYOND_PKT_END = -2,
};

enum bpf_stack_slot_type {
	STACK_INVALID, /* nothing was stored here */
	STACK_SPILL, /* a register, see spilled_ptr */
	STACK_MISC, /* bytes of unknown value */
	STACK_ZERO,
	STACK_DYNPTR, /* half of one (dynptr.c), see spilled_ptr */
};

enum bpf_dynptr_type {
	BPF_DYNPTR_TYPE_INVALID,
	BPF_DYNPTR_TYPE_LOCAL, /* of a map value */
	BPF_DYNPTR_TYPE_RINGBUF, /* of a record */
};

struct bpf_stack_state { /* 8 bytes of stack; byte i of the slot is slot_type[i] */
	struct bpf_reg_state spilled_ptr;
	u8 slot_type[8];
};

static inline bool type_is_pkt_pointer(u32 type)
{
	type = base_type(type);
	return type == PTR_TO_PACKET || type == PTR_TO_PACKET_META;
}

static inline bool is_spilled_reg(const struct bpf_stack_state *slot)
{
	return slot->slot_type[7] == STACK_SPILL;
}

static inline bool is_dynptr_slot(const struct bpf_stack_state *slot)
{
	return slot->slot_type[0] == STACK_DYNPTR; /* never of a part of it */
}

static inline bool is_spilled_scalar_reg(const struct bpf_stack_state *slot)
{
	return slot->slot_type[7] == STACK_SPILL && slot->spilled_ptr.type == SCALAR_VALUE;
}

static inline bool is_spilled_scalar_reg64(const struct bpf_stack_state *slot)
{
	return slot->slot_type[0] == STACK_SPILL && slot->spilled_ptr.type == SCALAR_VALUE;
}

#endif
