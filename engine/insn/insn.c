/*
 * insn.c - from an encoded instruction to its row of BPF_OP_TABLE
 *
 * A code byte has one row or a few (variants that differ in off or imm: division and its signed
 * form, mov and movsx, byte swaps by width, the atomics). op_first[] gives the first row of a code
 * byte and op_next[] chains the others in table order; both are filled from the table once, before
 * main().
 */
#include "insn/insn.h"

#define REG	 OPF_REG
#define NONE	 OPF_NONE
#define LD64	 OPF_LD64
#define CALLKIND OPF_CALLKIND

const struct bpf_op_info bpf_op_info[BPF_OP_MAX] = {
#define X(opname, opcode, dst_rule, src_rule, off_rule, imm_rule, fmt) \
	[BPF_OP_##opname] = {                                          \
		.name = #opname,                                       \
		.code = (opcode),                                      \
		.dst = (dst_rule),                                     \
		.src = (src_rule),                                     \
		.off = (off_rule),                                     \
		.imm = (imm_rule),                                     \
		.format = BPF_FMT_##fmt,                               \
	},
	BPF_OP_TABLE(X)
#undef X
};

#define OP_NONE 0xffff

static u16 op_first[256];
static u16 op_next[BPF_OP_MAX];

__attribute__((constructor(101))) static void op_chains_init(void)
{
	int code, op;

	for (code = 0; code < 256; code++)
		op_first[code] = OP_NONE;
	for (op = BPF_OP_MAX - 1; op >= 0; op--) {
		op_next[op] = op_first[bpf_op_info[op].code];
		op_first[bpf_op_info[op].code] = op;
	}
}

static bool selector_ok(u8 rule, u8 field, u8 max_reg)
{
	switch (rule) {
	case OPF_NONE:
		return field == 0;
	case OPF_REG:
		return field <= max_reg;
	case OPF_LD64:
		return field <= BPF_PSEUDO_MAP_IDX_VALUE;
	case OPF_CALLKIND:
		return field == 0 || field == BPF_PSEUDO_CALL || field == BPF_PSEUDO_KFUNC_CALL;
	}
	return false;
}

/* A rule outside of the field's range admits every value. */
static bool value_ok(s64 rule, s32 field)
{
	return rule >= OPF_ANY || rule == field;
}

static int decode(const struct bpf_insn *insn, u8 max_reg)
{
	u16 op;

	for (op = op_first[insn->code]; op != OP_NONE; op = op_next[op]) {
		const struct bpf_op_info *info = &bpf_op_info[op];

		if (value_ok(info->off, insn->off) && value_ok(info->imm, insn->imm) &&
		    selector_ok(info->dst, insn->dst_reg, max_reg) &&
		    selector_ok(info->src, insn->src_reg, max_reg))
			return op;
	}
	return -EINVAL;
}

int bpf_insn_decode(const struct bpf_insn *insn)
{
	return decode(insn, BPF_REG_10);
}

int bpf_insn_decode_rewritten(const struct bpf_insn *insn)
{
	return decode(insn, BPF_REG_AX);
}

int bpf_op_by_code(u8 code)
{
	return op_first[code] == OP_NONE ? -EINVAL : op_first[code];
}

/* What the registers of a format are, beside the constants of the calling convention. */
enum {
	DST = 1 << 0,
	SRC = 1 << 1, /* where the row names a register there */
	R0 = 1 << 2,
	R6 = 1 << 3, /* the context of a packet load */
	ARGS = 1 << 4,
	CALLER = 1 << 5,
};

static const struct {
	u8 reads, writes;
} format_regs[] = {
	[BPF_FMT_ALU] = {DST | SRC, DST},
	[BPF_FMT_MOV] = {SRC, DST},
	[BPF_FMT_MOVSX] = {SRC, DST},
	[BPF_FMT_NEG] = {DST, DST},
	[BPF_FMT_END] = {DST, DST},
	[BPF_FMT_BSWAP] = {DST, DST},
	[BPF_FMT_LD_IMM64] = {0, DST},
	[BPF_FMT_LD_ABS] = {R6, CALLER},
	[BPF_FMT_LD_IND] = {R6 | SRC, CALLER},
	[BPF_FMT_LDX] = {SRC, DST},
	[BPF_FMT_LDSX] = {SRC, DST},
	[BPF_FMT_ST] = {DST, 0},
	[BPF_FMT_STX] = {DST | SRC, 0},
	[BPF_FMT_ATOMIC] = {DST | SRC, 0},
	[BPF_FMT_FETCH] = {DST | SRC, SRC},
	[BPF_FMT_CMPXCHG] = {DST | SRC | R0, R0},
	[BPF_FMT_JCOND] = {DST | SRC, 0},
	[BPF_FMT_JA] = {0, 0},
	[BPF_FMT_JA32] = {0, 0},
	[BPF_FMT_CALL] = {ARGS, CALLER},
	[BPF_FMT_EXIT] = {R0, 0},
	[BPF_FMT_TAIL_CALL] = {ARGS, CALLER},
	[BPF_FMT_NOSPEC] = {0, 0},
};

static u16 regs_of(u8 which, const struct bpf_op_info *info, const struct bpf_insn *insn)
{
	u16 regs = 0;

	if (which & DST)
		regs |= 1u << insn->dst_reg;
	if (which & SRC && info->src == OPF_REG)
		regs |= 1u << insn->src_reg;
	if (which & R0)
		regs |= 1u << BPF_REG_0;
	if (which & R6)
		regs |= 1u << BPF_REG_6;
	if (which & ARGS)
		regs |= CALL_ARGS;
	if (which & CALLER)
		regs |= CALLER_SAVED;
	return regs;
}

void bpf_insn_regs(int op, const struct bpf_insn *insn, u16 *reads, u16 *writes)
{
	const struct bpf_op_info *info = &bpf_op_info[op];

	*reads = regs_of(format_regs[info->format].reads, info, insn);
	*writes = regs_of(format_regs[info->format].writes, info, insn);
}
