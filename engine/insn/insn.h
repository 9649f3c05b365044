/*
 * insn.h - the instruction set, listed once
 *
 * BPF_OP_TABLE names every instruction of RFC 9669 (ISA v1 to v4, JMP32, the atomics, the legacy
 * packet loads) and the two internal instructions. The table is expanded into
 *   - enum bpf_op, what a decoded instruction is called,
 *   - the decoder bpf_insn_decode(), which is also the validity check: an encoding that no row
 *     describes, or whose unused fields are not zero, does not decode,
 *   - the interpreter's jump table (run/interp.c),
 *   - the disassembler's formats (insn/disasm.c),
 *   - the registers that an instruction reads and writes, bpf_insn_regs(),
 *   - the JITs' switches, which have no default, so that the compiler reports a missing row.
 *
 * A row is X(name, opcode, dst, src, off, imm, format), each field rule without its OPF_ prefix for
 * dst and src, with it for off and imm:
 *   name    suffix of BPF_OP_name
 *   opcode  the code byte
 *   dst,src REG where the field names a register, NONE where it must be zero, or the pseudo
 *           classes that bpf_insn_decode() accepts in it
 *   off     a number: the field must be exactly that; MEM a displacement, JMP a branch
 *   imm     a number: the field must be exactly that; ANY a value; JMP a branch
 *   format  its shape (enum bpf_op_format): how it is printed, and with the rule of src, which
 *           registers it reads and writes
 */
#ifndef UBPFFS_INSN_INSN_H
#define UBPFFS_INSN_INSN_H

#include "util/compat.h"

/* Field rules. The numbers are outside of what a field can hold (off: s16, imm: s32). */
#define OPF_ANY	     0x100000000LL
#define OPF_MEM	     0x200000000LL
#define OPF_JMP	     0x300000000LL
#define OPF_NONE     0
#define OPF_REG	     1
#define OPF_LD64     2 /* src of LD_IMM64: a pseudo class, BPF_PSEUDO_* */
#define OPF_CALLKIND 3 /* src of CALL: 0 helper, BPF_PSEUDO_CALL, BPF_PSEUDO_KFUNC_CALL */

/* The calling convention, a bit a register. */
#define CALLER_SAVED 0x3f /* R0 to R5 */
#define CALL_ARGS    0x3e /* R1 to R5 */

enum bpf_op_format {
	BPF_FMT_ALU, /* dst op= src|imm */
	BPF_FMT_MOV, /* dst = src|imm */
	BPF_FMT_MOVSX, /* dst = (sN)src */
	BPF_FMT_NEG,
	BPF_FMT_END, /* dst = be16 dst */
	BPF_FMT_BSWAP,
	BPF_FMT_LD_IMM64,
	BPF_FMT_LD_ABS,
	BPF_FMT_LD_IND,
	BPF_FMT_LDX,
	BPF_FMT_LDSX,
	BPF_FMT_ST,
	BPF_FMT_STX,
	BPF_FMT_ATOMIC, /* *(dst + off) op= src */
	BPF_FMT_FETCH, /* the same, and src becomes what was there */
	BPF_FMT_CMPXCHG, /* *(dst + off) becomes src if it is R0, which becomes what was there */
	BPF_FMT_JCOND,
	BPF_FMT_JA,
	BPF_FMT_JA32,
	BPF_FMT_CALL,
	BPF_FMT_EXIT,
	BPF_FMT_TAIL_CALL,
	BPF_FMT_NOSPEC,
};

/* One arithmetic operation in its four forms. */
#define BPF_ALU_FORMS(X, NAME, code, off, fmt)                                        \
	X(ALU64_##NAME##_K, BPF_ALU64 | (code) | BPF_K, REG, NONE, off, OPF_ANY, fmt) \
	X(ALU64_##NAME##_X, BPF_ALU64 | (code) | BPF_X, REG, REG, off, 0, fmt)        \
	X(ALU32_##NAME##_K, BPF_ALU | (code) | BPF_K, REG, NONE, off, OPF_ANY, fmt)   \
	X(ALU32_##NAME##_X, BPF_ALU | (code) | BPF_X, REG, REG, off, 0, fmt)

/* One condition in its four forms. */
#define BPF_JMP_FORMS(X, NAME, code)                                                        \
	X(JMP_##NAME##_K, BPF_JMP | (code) | BPF_K, REG, NONE, OPF_JMP, OPF_ANY, JCOND)     \
	X(JMP_##NAME##_X, BPF_JMP | (code) | BPF_X, REG, REG, OPF_JMP, 0, JCOND)            \
	X(JMP32_##NAME##_K, BPF_JMP32 | (code) | BPF_K, REG, NONE, OPF_JMP, OPF_ANY, JCOND) \
	X(JMP32_##NAME##_X, BPF_JMP32 | (code) | BPF_X, REG, REG, OPF_JMP, 0, JCOND)

/* One atomic operation on 64 and on 32 bits. The operation is in imm. */
#define BPF_ATOMIC_FORMS(X, NAME, op, fmt)                                            \
	X(ATOMIC64_##NAME, BPF_STX | BPF_ATOMIC | BPF_DW, REG, REG, OPF_MEM, op, fmt) \
	X(ATOMIC32_##NAME, BPF_STX | BPF_ATOMIC | BPF_W, REG, REG, OPF_MEM, op, fmt)

#define BPF_OP_TABLE(X)                                                         \
	/* arithmetic */                                                        \
	BPF_ALU_FORMS(X, ADD, BPF_ADD, 0, ALU)                                  \
	BPF_ALU_FORMS(X, SUB, BPF_SUB, 0, ALU)                                  \
	BPF_ALU_FORMS(X, MUL, BPF_MUL, 0, ALU)                                  \
	BPF_ALU_FORMS(X, DIV, BPF_DIV, 0, ALU)                                  \
	BPF_ALU_FORMS(X, SDIV, BPF_DIV, 1, ALU)                                 \
	BPF_ALU_FORMS(X, MOD, BPF_MOD, 0, ALU)                                  \
	BPF_ALU_FORMS(X, SMOD, BPF_MOD, 1, ALU)                                 \
	BPF_ALU_FORMS(X, OR, BPF_OR, 0, ALU)                                    \
	BPF_ALU_FORMS(X, AND, BPF_AND, 0, ALU)                                  \
	BPF_ALU_FORMS(X, XOR, BPF_XOR, 0, ALU)                                  \
	BPF_ALU_FORMS(X, LSH, BPF_LSH, 0, ALU)                                  \
	BPF_ALU_FORMS(X, RSH, BPF_RSH, 0, ALU)                                  \
	BPF_ALU_FORMS(X, ARSH, BPF_ARSH, 0, ALU)                                \
	BPF_ALU_FORMS(X, MOV, BPF_MOV, 0, MOV)                                  \
	X(ALU64_MOVSX8, BPF_ALU64 | BPF_MOV | BPF_X, REG, REG, 8, 0, MOVSX)     \
	X(ALU64_MOVSX16, BPF_ALU64 | BPF_MOV | BPF_X, REG, REG, 16, 0, MOVSX)   \
	X(ALU64_MOVSX32, BPF_ALU64 | BPF_MOV | BPF_X, REG, REG, 32, 0, MOVSX)   \
	X(ALU32_MOVSX8, BPF_ALU | BPF_MOV | BPF_X, REG, REG, 8, 0, MOVSX)       \
	X(ALU32_MOVSX16, BPF_ALU | BPF_MOV | BPF_X, REG, REG, 16, 0, MOVSX)     \
	X(ALU64_NEG, BPF_ALU64 | BPF_NEG, REG, NONE, 0, 0, NEG)                 \
	X(ALU32_NEG, BPF_ALU | BPF_NEG, REG, NONE, 0, 0, NEG)                   \
	X(END_LE16, BPF_ALU | BPF_END | BPF_TO_LE, REG, NONE, 0, 16, END)       \
	X(END_LE32, BPF_ALU | BPF_END | BPF_TO_LE, REG, NONE, 0, 32, END)       \
	X(END_LE64, BPF_ALU | BPF_END | BPF_TO_LE, REG, NONE, 0, 64, END)       \
	X(END_BE16, BPF_ALU | BPF_END | BPF_TO_BE, REG, NONE, 0, 16, END)       \
	X(END_BE32, BPF_ALU | BPF_END | BPF_TO_BE, REG, NONE, 0, 32, END)       \
	X(END_BE64, BPF_ALU | BPF_END | BPF_TO_BE, REG, NONE, 0, 64, END)       \
	X(BSWAP16, BPF_ALU64 | BPF_END | BPF_TO_LE, REG, NONE, 0, 16, BSWAP)    \
	X(BSWAP32, BPF_ALU64 | BPF_END | BPF_TO_LE, REG, NONE, 0, 32, BSWAP)    \
	X(BSWAP64, BPF_ALU64 | BPF_END | BPF_TO_LE, REG, NONE, 0, 64, BSWAP)    \
	/* loads and stores */                                                  \
	X(LD_IMM64, BPF_LD | BPF_IMM | BPF_DW, REG, LD64, 0, OPF_ANY, LD_IMM64) \
	X(LD_ABS_B, BPF_LD | BPF_ABS | BPF_B, NONE, NONE, 0, OPF_ANY, LD_ABS)   \
	X(LD_ABS_H, BPF_LD | BPF_ABS | BPF_H, NONE, NONE, 0, OPF_ANY, LD_ABS)   \
	X(LD_ABS_W, BPF_LD | BPF_ABS | BPF_W, NONE, NONE, 0, OPF_ANY, LD_ABS)   \
	X(LD_IND_B, BPF_LD | BPF_IND | BPF_B, NONE, REG, 0, OPF_ANY, LD_IND)    \
	X(LD_IND_H, BPF_LD | BPF_IND | BPF_H, NONE, REG, 0, OPF_ANY, LD_IND)    \
	X(LD_IND_W, BPF_LD | BPF_IND | BPF_W, NONE, REG, 0, OPF_ANY, LD_IND)    \
	X(LDX_B, BPF_LDX | BPF_MEM | BPF_B, REG, REG, OPF_MEM, 0, LDX)          \
	X(LDX_H, BPF_LDX | BPF_MEM | BPF_H, REG, REG, OPF_MEM, 0, LDX)          \
	X(LDX_W, BPF_LDX | BPF_MEM | BPF_W, REG, REG, OPF_MEM, 0, LDX)          \
	X(LDX_DW, BPF_LDX | BPF_MEM | BPF_DW, REG, REG, OPF_MEM, 0, LDX)        \
	X(LDSX_B, BPF_LDX | BPF_MEMSX | BPF_B, REG, REG, OPF_MEM, 0, LDSX)      \
	X(LDSX_H, BPF_LDX | BPF_MEMSX | BPF_H, REG, REG, OPF_MEM, 0, LDSX)      \
	X(LDSX_W, BPF_LDX | BPF_MEMSX | BPF_W, REG, REG, OPF_MEM, 0, LDSX)      \
	X(ST_B, BPF_ST | BPF_MEM | BPF_B, REG, NONE, OPF_MEM, OPF_ANY, ST)      \
	X(ST_H, BPF_ST | BPF_MEM | BPF_H, REG, NONE, OPF_MEM, OPF_ANY, ST)      \
	X(ST_W, BPF_ST | BPF_MEM | BPF_W, REG, NONE, OPF_MEM, OPF_ANY, ST)      \
	X(ST_DW, BPF_ST | BPF_MEM | BPF_DW, REG, NONE, OPF_MEM, OPF_ANY, ST)    \
	X(STX_B, BPF_STX | BPF_MEM | BPF_B, REG, REG, OPF_MEM, 0, STX)          \
	X(STX_H, BPF_STX | BPF_MEM | BPF_H, REG, REG, OPF_MEM, 0, STX)          \
	X(STX_W, BPF_STX | BPF_MEM | BPF_W, REG, REG, OPF_MEM, 0, STX)          \
	X(STX_DW, BPF_STX | BPF_MEM | BPF_DW, REG, REG, OPF_MEM, 0, STX)        \
	BPF_ATOMIC_FORMS(X, ADD, BPF_ADD, ATOMIC)                               \
	BPF_ATOMIC_FORMS(X, OR, BPF_OR, ATOMIC)                                 \
	BPF_ATOMIC_FORMS(X, AND, BPF_AND, ATOMIC)                               \
	BPF_ATOMIC_FORMS(X, XOR, BPF_XOR, ATOMIC)                               \
	BPF_ATOMIC_FORMS(X, FETCH_ADD, BPF_ADD | BPF_FETCH, FETCH)              \
	BPF_ATOMIC_FORMS(X, FETCH_OR, BPF_OR | BPF_FETCH, FETCH)                \
	BPF_ATOMIC_FORMS(X, FETCH_AND, BPF_AND | BPF_FETCH, FETCH)              \
	BPF_ATOMIC_FORMS(X, FETCH_XOR, BPF_XOR | BPF_FETCH, FETCH)              \
	BPF_ATOMIC_FORMS(X, XCHG, BPF_XCHG, FETCH)                              \
	BPF_ATOMIC_FORMS(X, CMPXCHG, BPF_CMPXCHG, CMPXCHG)                      \
	/* jumps */                                                             \
	BPF_JMP_FORMS(X, JEQ, BPF_JEQ)                                          \
	BPF_JMP_FORMS(X, JNE, BPF_JNE)                                          \
	BPF_JMP_FORMS(X, JGT, BPF_JGT)                                          \
	BPF_JMP_FORMS(X, JGE, BPF_JGE)                                          \
	BPF_JMP_FORMS(X, JLT, BPF_JLT)                                          \
	BPF_JMP_FORMS(X, JLE, BPF_JLE)                                          \
	BPF_JMP_FORMS(X, JSGT, BPF_JSGT)                                        \
	BPF_JMP_FORMS(X, JSGE, BPF_JSGE)                                        \
	BPF_JMP_FORMS(X, JSLT, BPF_JSLT)                                        \
	BPF_JMP_FORMS(X, JSLE, BPF_JSLE)                                        \
	BPF_JMP_FORMS(X, JSET, BPF_JSET)                                        \
	X(JA, BPF_JMP | BPF_JA, NONE, NONE, OPF_JMP, 0, JA)                     \
	X(JA32, BPF_JMP32 | BPF_JA, NONE, NONE, 0, OPF_JMP, JA32)               \
	X(CALL, BPF_JMP | BPF_CALL, NONE, CALLKIND, 0, OPF_ANY, CALL)           \
	X(EXIT, BPF_JMP | BPF_EXIT, NONE, NONE, 0, 0, EXIT)                     \
	X(TAIL_CALL, BPF_JMP | BPF_TAIL_CALL, NONE, NONE, 0, 0, TAIL_CALL)      \
	X(NOSPEC, BPF_ST | BPF_NOSPEC, NONE, NONE, 0, 0, NOSPEC)

enum bpf_op {
#define X(name, code, dst, src, off, imm, fmt) BPF_OP_##name,
	BPF_OP_TABLE(X)
#undef X
		BPF_OP_MAX,
};

struct bpf_op_info {
	const char *name;
	u8 code;
	u8 dst, src; /* OPF_NONE, OPF_REG, ... */
	s64 off, imm; /* an exact value, or OPF_ANY, OPF_MEM, OPF_JMP */
	enum bpf_op_format format;
};

/* One entry a row of the table, indexed by enum bpf_op. */
extern const struct bpf_op_info bpf_op_info[BPF_OP_MAX];

/*
 * bpf_insn_decode - which row of the table an instruction is
 *
 * Returns the enum bpf_op, or -EINVAL when no row has this code byte and these selectors, a
 * register number is above R10, or an unused field is not zero. The second half of LD_IMM64 (code
 * 0) is not an instruction by itself: use bpf_insn_is_imm64() and skip it; its own rules (code,
 * registers and off are zero) are checked by bpf_insn_valid_imm64(). BPF_OP_TAIL_CALL decodes;
 * whoever takes instructions from outside refuses it.
 */
int bpf_insn_decode(const struct bpf_insn *insn);

/* The same for what bpf_rewrite() made: register BPF_REG_AX is a register, too. */
int bpf_insn_decode_rewritten(const struct bpf_insn *insn);

/* The first row that has this code byte, whatever the other fields hold, or -EINVAL. */
int bpf_op_by_code(u8 code);

/*
 * bpf_insn_regs - which registers an instruction of row `op` reads, and which it writes, a bit each
 *
 * A call is taken to read all arguments, and to write all registers that it may change.
 */
void bpf_insn_regs(int op, const struct bpf_insn *insn, u16 *reads, u16 *writes);

static inline bool bpf_insn_is_imm64(const struct bpf_insn *insn)
{
	return insn->code == (BPF_LD | BPF_IMM | BPF_DW);
}

/* Made by the rewriter, and never accepted from outside. */
static inline bool bpf_insn_is_internal(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_TAIL_CALL) || insn->code == (BPF_ST | BPF_NOSPEC);
}

static inline bool bpf_insn_valid_imm64(const struct bpf_insn *second)
{
	return !second->code && !second->dst_reg && !second->src_reg && !second->off;
}

static inline u64 bpf_insn_imm64(const struct bpf_insn *insn)
{
	return (u64)(u32)insn[0].imm | (u64)(u32)insn[1].imm << 32;
}

static inline bool bpf_insn_is_pseudo_call(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == BPF_PSEUDO_CALL;
}

/* Its first half takes the address of a function of the program, imm away as in a call. */
static inline bool bpf_insn_is_pseudo_func(const struct bpf_insn *insn)
{
	return insn->code == (BPF_LD | BPF_IMM | BPF_DW) && insn->src_reg == BPF_PSEUDO_FUNC;
}

/* Bytes that a load or store of this size class moves: BPF_B 1, BPF_H 2, BPF_W 4, BPF_DW 8. */
static inline u32 bpf_size_to_bytes(u8 code)
{
	static const u8 bytes[] = {4, 2, 1, 8};

	return bytes[BPF_SIZE(code) >> 3];
}

/* The load that reads a field of a context from where it really is. */
#define BPF_LDX_INSN(size, dst, src, o)                        \
	((struct bpf_insn){.code = BPF_LDX | BPF_MEM | (size), \
			   .dst_reg = (dst),                   \
			   .src_reg = (src),                   \
			   .off = (s16)(o)})

#endif
