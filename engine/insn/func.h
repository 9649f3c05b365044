/*
 * func.h - helper functions: what they take, what they return, which code they are
 *
 * The verifier checks calls against these prototypes, the rewriter turns a helper's number into the
 * distance from __bpf_call_base, and the interpreter and the JIT call through that distance. Names
 * are the kernel's (include/linux/bpf.h).
 */
#ifndef UBPFFS_INSN_FUNC_H
#define UBPFFS_INSN_FUNC_H

#include "util/compat.h"

typedef u64 (*bpf_func_t)(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5);

/* For files that define helpers: a function that is one, and a register that is an address. */
#define BPF_HELPER(name) static u64 bpf_##name(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
#define PTR(r)		 ((void *)(uintptr_t)(r))

/* Flags on argument, return and register types. */
#define BPF_TYPE_FLAG(n)    (1u << ((n) + 8))
#define PTR_MAYBE_NULL	    BPF_TYPE_FLAG(0)
#define MEM_RDONLY	    BPF_TYPE_FLAG(1)
#define MEM_UNINIT	    BPF_TYPE_FLAG(2) /* the helper fills it: need not be initialised */
#define MEM_WRITE	    BPF_TYPE_FLAG(3)
#define MEM_RINGBUF	    BPF_TYPE_FLAG(4) /* a reserved record: must be submitted or discarded */
/* the helper takes the reference that this argument holds */
#define OBJ_RELEASE	    BPF_TYPE_FLAG(5)
#define DYNPTR_TYPE_LOCAL   BPF_TYPE_FLAG(6) /* which kind of dynptr: of a map value, */
#define DYNPTR_TYPE_RINGBUF BPF_TYPE_FLAG(7) /* of a record, to be submitted or discarded */
#define BPF_BASE_TYPE_MASK  0xffu
#define base_type(t)	    ((t)&BPF_BASE_TYPE_MASK)
#define type_flag(t)	    ((t) & ~BPF_BASE_TYPE_MASK)

enum bpf_arg_type {
	ARG_DONTCARE = 0,
	ARG_CONST_MAP_PTR,
	ARG_PTR_TO_MAP_KEY,
	ARG_PTR_TO_MAP_VALUE, /* map_value_size bytes */
	ARG_PTR_TO_MEM, /* size in the next argument, or arg_size */
	ARG_CONST_SIZE, /* bytes of the memory before it; not 0 */
	ARG_CONST_SIZE_OR_ZERO,
	ARG_PTR_TO_CTX,
	ARG_ANYTHING, /* any initialised value */
	ARG_PTR_TO_SPIN_LOCK, /* the struct bpf_spin_lock of a map value */
	ARG_CONST_ALLOC_SIZE_OR_ZERO,
	ARG_PTR_TO_RINGBUF_MEM,
	ARG_PTR_TO_LONG,
	ARG_PTR_TO_INT,
	ARG_PTR_TO_FUNC,
	ARG_PTR_TO_STACK,
	ARG_PTR_TO_CONST_STR,
	ARG_PTR_TO_DYNPTR, /* of any kind, or of the one that a flag says */
	ARG_PTR_TO_MEM_OR_NULL = ARG_PTR_TO_MEM | PTR_MAYBE_NULL,
	ARG_PTR_TO_UNINIT_MEM = ARG_PTR_TO_MEM | MEM_UNINIT,
};

enum bpf_return_type {
	RET_INTEGER,
	RET_VOID,
	RET_PTR_TO_MAP_VALUE,
	RET_PTR_TO_MEM,
	RET_PTR_TO_MAP_VALUE_OR_NULL = RET_PTR_TO_MAP_VALUE | PTR_MAYBE_NULL,
	RET_PTR_TO_MEM_OR_NULL = RET_PTR_TO_MEM | PTR_MAYBE_NULL,
	RET_PTR_TO_RINGBUF_MEM_OR_NULL = RET_PTR_TO_MEM | PTR_MAYBE_NULL | MEM_RINGBUF,
};

struct bpf_func_proto {
	const char *name; /* "bpf_map_lookup_elem" */
	enum bpf_func_id id;
	bpf_func_t func; /* NULL: Linux gives this type the helper, this build lacks it: -ENOTSUP */
	bool gpl_only;
	bool pkt_access; /* packet pointers may be passed as memory */
	bool changes_pkt_data; /* packet pointers are stale after the call */
	bool perfmon; /* Linux asks for CAP_PERFMON: it reads at addresses, or tells them */
	bool may_leave_uninit; /* its MEM_UNINIT memory stays as it was when it fails */
	enum bpf_return_type ret_type;
	enum bpf_arg_type arg_type[5];
	u32 arg_size[5]; /* ARG_PTR_TO_MEM without a size argument after it */
	u32 ret_size; /* RET_PTR_TO_MEM: bytes, 0: an argument says how many */
};

/* Where helper distances are measured from. Never called. */
u64 __bpf_call_base(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5);

#define BPF_CALL_IMM(f)	   ((s32)((char *)(f) - (char *)__bpf_call_base))
#define BPF_CALL_FUNC(imm) ((bpf_func_t)((char *)__bpf_call_base + (imm)))

/* "map_lookup_elem" for BPF_FUNC_map_lookup_elem, "unknown" beyond the table. */
const char *bpf_func_name(enum bpf_func_id id);

/*
 * One past the last helper of Linux: the list is closed, new functions of the kernel are kfuncs.
 * The last two are not in older headers.
 */
#define BPF_FUNC_MAX 212
#ifndef ___BPF_FUNC_MAPPER /* the macro of headers that have them */
#define BPF_FUNC_cgrp_storage_get    210
#define BPF_FUNC_cgrp_storage_delete 211
#endif

/*
 * Helpers of converted classic filters (classic/): outside of the UAPI's numbers, unknown to every
 * other program.
 */
enum {
	BPF_FUNC_CLASSIC_FIRST = 0x10000,
	BPF_FUNC_skb_get_pay_offset = BPF_FUNC_CLASSIC_FIRST,
	BPF_FUNC_skb_get_nlattr,
	BPF_FUNC_skb_get_nlattr_nest,
	BPF_FUNC_skb_get_hatype,
	BPF_FUNC_CLASSIC_MAX,
};

/*
 * bpf_func_find - look a helper up in what a program type has
 *
 * `have` are the prototypes of this build, `missing` the ids that Linux has beside them: for these
 * a prototype without a function is returned.
 */
const struct bpf_func_proto *bpf_func_find(enum bpf_func_id id,
					   const struct bpf_func_proto *const *have,
					   size_t have_cnt, const u8 *missing, size_t missing_cnt);

#endif
