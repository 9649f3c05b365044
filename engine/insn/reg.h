/*
 * reg.h - the kinds of values that a register can hold (enum bpf_reg_type)
 *
 * Shared by the verifier, the program types (what a context field yields) and the rewriter. The
 * flags PTR_MAYBE_NULL and MEM_RDONLY of insn/func.h combine with these.
 */
#ifndef UBPFFS_INSN_REG_H
#define UBPFFS_INSN_REG_H

#include "insn/func.h"

enum bpf_reg_type {
	NOT_INIT = 0,
	SCALAR_VALUE,
	PTR_TO_CTX,
	CONST_PTR_TO_MAP,
	PTR_TO_MAP_VALUE,
	PTR_TO_MAP_KEY,
	PTR_TO_STACK,
	PTR_TO_PACKET_META,
	PTR_TO_PACKET,
	PTR_TO_PACKET_END,
	PTR_TO_MEM,
	PTR_TO_BUF,
	PTR_TO_FUNC,
	CONST_PTR_TO_DYNPTR,
	__BPF_REG_TYPE_MAX,

	PTR_TO_MAP_VALUE_OR_NULL = PTR_MAYBE_NULL | PTR_TO_MAP_VALUE,
};

#endif
