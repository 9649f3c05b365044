/*
 * reg_state.h - what the verifier knows of one register, or of one stack slot, at one point of one path
 *
 * Names and meanings are the kernel's (include/linux/bpf_verifier.h). Frames and whole states are in env.h.
 */
#ifndef UBPFFS_VERIFIER_REG_STATE_H
#define UBPFFS_VERIFIER_REG_STATE_H

#include "core/log.h"
#include "core/prog.h"
#include "core/reg.h"
#include "verifier/domain/tnum.h"
#include "verifier/verifier.h"

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
	/* Scalars: the value. Pointers: the variable part of the offset. All bounds hold at once. */
	struct tnum var_off;
	s64 smin_value, smax_value;
	u64 umin_value, umax_value;
	s32 s32_min_value, s32_max_value;
	u32 u32_min_value, u32_max_value;
	/*
	 * Same id: same value (scalars), or the same variable part (pointers). With BPF_ADD_CONST a scalar
	 * is the value of that id plus `off`.
	 */
	u32 id;
	u32 ref_obj_id; /* the reference (reference.c) that this is a copy of, or lies in */
	u32 frameno; /* PTR_TO_STACK: whose stack */
	u32 live; /* enum bpf_reg_liveness, for pruning */
	s32 subreg_def;
	bool precise; /* pruning must compare the exact bounds */
	struct bpf_reg_state *parent;
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

/*
 * ---- bounds.c: keeping the five views of a scalar consistent. Pure functions of a register.
 */
void __mark_reg_known(struct bpf_reg_state *reg, u64 imm); /* keeps type */
void __mark_reg32_known(struct bpf_reg_state *reg, u64 imm);
void __mark_reg_const_zero(struct bpf_reg_state *reg); /* SCALAR_VALUE 0 */
void __mark_reg_unknown(struct bpf_reg_state *reg); /* SCALAR_VALUE, anything */
void __mark_reg_unbounded(struct bpf_reg_state *reg);
void __mark_reg32_unbounded(struct bpf_reg_state *reg);
void reg_bounds_sync(struct bpf_reg_state *reg); /* deduce each view from the others */
bool reg_bounds_sane(const struct bpf_reg_state *reg); /* no view is empty */
void zext_32_to_64(struct bpf_reg_state *reg); /* after a 32-bit operation */
void coerce_reg_to_size(struct bpf_reg_state *reg, int size); /* zero-extend from size bytes */
void coerce_reg_to_size_sx(struct bpf_reg_state *reg, int size); /* r = (sN)r */
void coerce_subreg_to_size_sx(struct bpf_reg_state *reg, int size); /* w = (sN)w, upper half 0 */

/*
 * ---- alu.c: dst = dst op src on scalars, 64 or 32 bits wide as the opcode says (all of ALU, ALU64, END,
 * NEG, signed division). `src` holds the operand also for immediates and is a copy. What a precise
 * result is unknown for becomes unknown: never an error. Division and modulo by a possible zero follow
 * RFC 9669 (0, and the dividend).
 */
void adjust_scalar_min_max_vals(const struct bpf_insn *insn, struct bpf_reg_state *dst,
				struct bpf_reg_state src);

/*
 * ---- jump.c: what a conditional jump says about two scalars
 */
/* 1: always taken, 0: never, -1: not known. */
int is_scalar_branch_taken(const struct bpf_reg_state *reg1, const struct bpf_reg_state *reg2,
			   u8 opcode, bool is_jmp32);
/* Refine the copies for the branch taken (true_*) and not taken (false_*). 64-bit or, with is_jmp32, 32-bit
 * comparison. reg2 copies hold the constant for immediates. */
void reg_set_min_max(struct bpf_reg_state *true_reg1, struct bpf_reg_state *true_reg2,
		     struct bpf_reg_state *false_reg1, struct bpf_reg_state *false_reg2, u8 opcode,
		     bool is_jmp32);

/*
 * ---- reg_text.c: registers in the kernel's format
 */
/*
 * "scalar(smin=0,smax=umax=255,var_off=(0x0; 0xff))", "fp-8", "ctx()", "map_value(map=m,ks=4,vs=8)" ...
 * frameno: the frame that is shown; a stack pointer of another one says whose it is ("fp[1]-8").
 */
void print_reg_state(struct bpf_log *log, const struct bpf_reg_state *reg, u32 frameno);
/* "scalar", "map_value_or_null", ...: valid until this thread's next call. */
const char *reg_type_str(u32 type);

#endif
