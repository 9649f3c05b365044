/*
 * bpf_insn.h - one initialiser an instruction, to write programs as C arrays
 *
 *	struct bpf_insn prog[] = {
 *		BPF_MOV64_IMM(BPF_REG_0, 0),
 *		BPF_JMP_IMM(BPF_JNE, BPF_REG_1, 0, 1),
 *		BPF_MOV64_IMM(BPF_REG_0, 1),
 *		BPF_EXIT_INSN(),
 *	};
 *
 * The names are the ones that the kernel's samples and tests use. Each expands to one struct
 * bpf_insn, but for the BPF_LD_IMM64 family, which is two (it takes two places in the array and in
 * jump distances). Registers are BPF_REG_0 ... BPF_REG_10, sizes BPF_B, BPF_H, BPF_W, BPF_DW,
 * distances count instructions from the next one. Usable from C and C++.
 */
#ifndef UBPFFS_BPF_INSN_H
#define UBPFFS_BPF_INSN_H

#include <linux/bpf.h>

/* What a 6.1 header lacks of ISA v4. */
#ifndef BPF_MEMSX
#define BPF_MEMSX 0x80
#endif
#ifndef BPF_LOAD_ACQ
#define BPF_LOAD_ACQ  0x100
#define BPF_STORE_REL 0x110
#endif
#ifndef BPF_ATOMIC
#define BPF_ATOMIC 0xc0
#endif

/* Any instruction, field by field. */
#define BPF_RAW_INSN(CODE, DST, SRC, OFF, IMM)   \
	((struct bpf_insn){.code = (__u8)(CODE), \
			   .dst_reg = (DST),     \
			   .src_reg = (SRC),     \
			   .off = (__s16)(OFF),  \
			   .imm = (__s32)(IMM)})

/* ---- arithmetic: dst = dst OP src|imm. 64 bits, or 32 with the upper half zeroed. */
#define BPF_ALU64_REG_OFF(OP, DST, SRC, OFF) \
	BPF_RAW_INSN(BPF_ALU64 | BPF_OP(OP) | BPF_X, DST, SRC, OFF, 0)
#define BPF_ALU64_REG(OP, DST, SRC) BPF_ALU64_REG_OFF(OP, DST, SRC, 0)
#define BPF_ALU64_IMM_OFF(OP, DST, IMM, OFF) \
	BPF_RAW_INSN(BPF_ALU64 | BPF_OP(OP) | BPF_K, DST, 0, OFF, IMM)
#define BPF_ALU64_IMM(OP, DST, IMM) BPF_ALU64_IMM_OFF(OP, DST, IMM, 0)
#define BPF_ALU32_REG_OFF(OP, DST, SRC, OFF) \
	BPF_RAW_INSN(BPF_ALU | BPF_OP(OP) | BPF_X, DST, SRC, OFF, 0)
#define BPF_ALU32_REG(OP, DST, SRC) BPF_ALU32_REG_OFF(OP, DST, SRC, 0)
#define BPF_ALU32_IMM_OFF(OP, DST, IMM, OFF) \
	BPF_RAW_INSN(BPF_ALU | BPF_OP(OP) | BPF_K, DST, 0, OFF, IMM)
#define BPF_ALU32_IMM(OP, DST, IMM) BPF_ALU32_IMM_OFF(OP, DST, IMM, 0)

/* Signed division and modulo are the unsigned ones with off = 1. */
#define BPF_SDIV64_REG(DST, SRC) BPF_ALU64_REG_OFF(BPF_DIV, DST, SRC, 1)
#define BPF_SDIV64_IMM(DST, IMM) BPF_ALU64_IMM_OFF(BPF_DIV, DST, IMM, 1)
#define BPF_SMOD64_REG(DST, SRC) BPF_ALU64_REG_OFF(BPF_MOD, DST, SRC, 1)
#define BPF_SMOD64_IMM(DST, IMM) BPF_ALU64_IMM_OFF(BPF_MOD, DST, IMM, 1)
#define BPF_SDIV32_REG(DST, SRC) BPF_ALU32_REG_OFF(BPF_DIV, DST, SRC, 1)
#define BPF_SDIV32_IMM(DST, IMM) BPF_ALU32_IMM_OFF(BPF_DIV, DST, IMM, 1)
#define BPF_SMOD32_REG(DST, SRC) BPF_ALU32_REG_OFF(BPF_MOD, DST, SRC, 1)
#define BPF_SMOD32_IMM(DST, IMM) BPF_ALU32_IMM_OFF(BPF_MOD, DST, IMM, 1)

#define BPF_NEG64(DST)		BPF_RAW_INSN(BPF_ALU64 | BPF_NEG, DST, 0, 0, 0)
#define BPF_NEG32(DST)		BPF_RAW_INSN(BPF_ALU | BPF_NEG, DST, 0, 0, 0)
#define BPF_MOV64_REG(DST, SRC) BPF_ALU64_REG(BPF_MOV, DST, SRC)
#define BPF_MOV64_IMM(DST, IMM) BPF_ALU64_IMM(BPF_MOV, DST, IMM)
#define BPF_MOV32_REG(DST, SRC) BPF_ALU32_REG(BPF_MOV, DST, SRC)
#define BPF_MOV32_IMM(DST, IMM) BPF_ALU32_IMM(BPF_MOV, DST, IMM)

/* Move with sign extension from BITS (8, 16, 32) bits. */
#define BPF_MOVSX64_REG(DST, SRC, BITS) BPF_ALU64_REG_OFF(BPF_MOV, DST, SRC, BITS)
#define BPF_MOVSX32_REG(DST, SRC, BITS) BPF_ALU32_REG_OFF(BPF_MOV, DST, SRC, BITS)
#define BPF_MOVSX(DST, SRC, BITS)	BPF_MOVSX64_REG(DST, SRC, BITS)

/* Byte order: TYPE is BPF_TO_LE or BPF_TO_BE, BITS 16, 32 or 64. BPF_BSWAP always swaps. */
#define BPF_ENDIAN(TYPE, DST, BITS) BPF_RAW_INSN(BPF_ALU | BPF_END | BPF_SRC(TYPE), DST, 0, 0, BITS)
#define BPF_BSWAP(DST, BITS)	    BPF_RAW_INSN(BPF_ALU64 | BPF_END | BPF_TO_LE, DST, 0, 0, BITS)

/* ---- 64-bit constants and what they may name */
#define BPF_LD_IMM64_RAW(DST, SRC, IMM)                                            \
	BPF_RAW_INSN(BPF_LD | BPF_DW | BPF_IMM, DST, SRC, 0, (__u32)(__u64)(IMM)), \
		BPF_RAW_INSN(0, 0, 0, 0, (__u32)((__u64)(IMM) >> 32))
#define BPF_LD_IMM64_RAW_FULL(DST, SRC, OFF1, OFF2, IMM1, IMM2)        \
	BPF_RAW_INSN(BPF_LD | BPF_DW | BPF_IMM, DST, SRC, OFF1, IMM1), \
		BPF_RAW_INSN(0, 0, 0, OFF2, IMM2)
#define BPF_LD_IMM64(DST, IMM)	BPF_LD_IMM64_RAW(DST, 0, IMM)
#define BPF_LD_MAP_FD(DST, FD)	BPF_LD_IMM64_RAW_FULL(DST, BPF_PSEUDO_MAP_FD, 0, 0, FD, 0)
#define BPF_LD_MAP_IDX(DST, IX) BPF_LD_IMM64_RAW_FULL(DST, BPF_PSEUDO_MAP_IDX, 0, 0, IX, 0)
#define BPF_LD_MAP_VALUE(DST, FD, OFF) \
	BPF_LD_IMM64_RAW_FULL(DST, BPF_PSEUDO_MAP_VALUE, 0, 0, FD, OFF)
#define BPF_LD_MAP_IDX_VALUE(DST, IX, OFF) \
	BPF_LD_IMM64_RAW_FULL(DST, BPF_PSEUDO_MAP_IDX_VALUE, 0, 0, IX, OFF)

/* ---- memory */
#define BPF_LDX_MEM(SIZE, DST, SRC, OFF) \
	BPF_RAW_INSN(BPF_LDX | BPF_SIZE(SIZE) | BPF_MEM, DST, SRC, OFF, 0)
#define BPF_LDX_MEMSX(SIZE, DST, SRC, OFF) \
	BPF_RAW_INSN(BPF_LDX | BPF_SIZE(SIZE) | BPF_MEMSX, DST, SRC, OFF, 0)
#define BPF_STX_MEM(SIZE, DST, SRC, OFF) \
	BPF_RAW_INSN(BPF_STX | BPF_SIZE(SIZE) | BPF_MEM, DST, SRC, OFF, 0)
#define BPF_ST_MEM(SIZE, DST, OFF, IMM) \
	BPF_RAW_INSN(BPF_ST | BPF_SIZE(SIZE) | BPF_MEM, DST, 0, OFF, IMM)

/*
 * OP is BPF_ADD, BPF_AND, BPF_OR, BPF_XOR, each also with | BPF_FETCH (the old value comes back in
 * SRC), BPF_XCHG, or BPF_CMPXCHG (compares with R0, old value in R0). SIZE is BPF_W or BPF_DW.
 */
#define BPF_ATOMIC_OP(SIZE, OP, DST, SRC, OFF) \
	BPF_RAW_INSN(BPF_STX | BPF_SIZE(SIZE) | BPF_ATOMIC, DST, SRC, OFF, OP)

/* Packet loads of the classic kind: R6 is the context, the result goes to R0 in host order. */
#define BPF_LD_ABS(SIZE, IMM)	   BPF_RAW_INSN(BPF_LD | BPF_SIZE(SIZE) | BPF_ABS, 0, 0, 0, IMM)
#define BPF_LD_IND(SIZE, SRC, IMM) BPF_RAW_INSN(BPF_LD | BPF_SIZE(SIZE) | BPF_IND, 0, SRC, 0, IMM)

/* ---- jumps and calls */
#define BPF_JMP_REG(OP, DST, SRC, OFF) BPF_RAW_INSN(BPF_JMP | BPF_OP(OP) | BPF_X, DST, SRC, OFF, 0)
#define BPF_JMP_IMM(OP, DST, IMM, OFF) BPF_RAW_INSN(BPF_JMP | BPF_OP(OP) | BPF_K, DST, 0, OFF, IMM)
#define BPF_JMP32_REG(OP, DST, SRC, OFF) \
	BPF_RAW_INSN(BPF_JMP32 | BPF_OP(OP) | BPF_X, DST, SRC, OFF, 0)
#define BPF_JMP32_IMM(OP, DST, IMM, OFF) \
	BPF_RAW_INSN(BPF_JMP32 | BPF_OP(OP) | BPF_K, DST, 0, OFF, IMM)
#define BPF_JMP_A(OFF)	     BPF_RAW_INSN(BPF_JMP | BPF_JA, 0, 0, OFF, 0)
#define BPF_JMP32_A(IMM)     BPF_RAW_INSN(BPF_JMP32 | BPF_JA, 0, 0, 0, IMM) /* gotol */
/* A helper by its id: BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem). A subprogram by its distance. */
#define BPF_EMIT_CALL(ID)    BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, ID)
#define BPF_CALL_REL(TARGET) BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, TARGET)
#define BPF_EXIT_INSN()	     BPF_RAW_INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

#endif
