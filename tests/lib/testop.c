/*
 * testop.c - the operand tables, the frame around an instruction, and the reference
 *
 * Stack of the frame, from R10: -8 the packet's address, -16 a, -24 b, -32 taken, -48 two words of
 * memory that loads, stores and atomics work on, -128 and below the registers on their way out.
 */
#include <stdio.h>
#include "tests/lib/testop.h"
#include "uapi/bpf_insn.h"

#define SENTINEL(reg) (0x5151000000000000ULL + 0x0001000100010001ULL * (u64)((reg) + 1))

static const u64 values[] = {
	0,
	1,
	2,
	7,
	31,
	32,
	33,
	63,
	64,
	0x7f,
	0x80,
	0xff,
	0x7fff,
	0x8000,
	0xffff,
	0x7fffffff,
	0x80000000,
	0xffffffff,
	0x100000000,
	0x1ffffffff,
	0x7fffffffffffffff,
	0x8000000000000000,
	0x8000000000000001,
	0xffffffff80000000,
	0xffffffff7fffffff,
	0xfffffffffffffffe,
	0xffffffffffffffff,
	0x0123456789abcdef,
	0xdeadbeefcafebabe,
};

static const s32 imms[] = {
	0,    1,      2,      3,       -1,	   -2,	      7,	   8,	       16,  31,
	32,   63,     64,     127,     128,	   -128,      -129,	   255,	       256, 1000,
	4096, 0x7fff, 0x8000, 0x10000, 0x7fffffff, INT32_MIN, -0x7fffffff, 0x12345678,
};

static const u64 some_pairs[][2] = {
	{0x0123456789abcdef, 13},
	{0xdeadbeefcafebabe, 0xfffffffffffffff9},
	{0x8000000000000000, 0xffffffffffffffff},
	{0x00000000ffffffff, 0x00000000ffffffff},
	{5, 0},
};

static u64 all_pairs[ARRAY_SIZE(values) * ARRAY_SIZE(values)][2];
static u64 all_firsts[ARRAY_SIZE(values)][2]; /* where b plays no part */

__attribute__((constructor)) static void all_pairs_init(void)
{
	for (u32 i = 0; i < ARRAY_SIZE(all_pairs); i++) {
		all_pairs[i][0] = values[i / ARRAY_SIZE(values)];
		all_pairs[i][1] = values[i % ARRAY_SIZE(values)];
	}
	for (u32 i = 0; i < ARRAY_SIZE(values); i++)
		all_firsts[i][0] = values[i];
}

/* ---- what kind of instruction */

static u8 class_of(const struct bpf_insn *insn)
{
	return BPF_CLASS(insn->code);
}

static bool is_alu(const struct bpf_insn *insn)
{
	return class_of(insn) == BPF_ALU || class_of(insn) == BPF_ALU64;
}

static bool is_jump(const struct bpf_insn *insn)
{
	return class_of(insn) == BPF_JMP || class_of(insn) == BPF_JMP32;
}

static bool is_atomic(const struct bpf_insn *insn)
{
	return class_of(insn) == BPF_STX && BPF_MODE(insn->code) == BPF_ATOMIC;
}

/* The register that holds the address, or -1. */
static int address_reg(const struct bpf_insn *insn)
{
	switch (class_of(insn)) {
	case BPF_LDX:
		return insn->src_reg;
	case BPF_ST:
	case BPF_STX:
		return insn->dst_reg;
	}
	return -1;
}

static bool reads_src(const struct bpf_insn *insn)
{
	if (is_jump(insn))
		return BPF_SRC(insn->code) == BPF_X;
	if (is_alu(insn))
		return BPF_SRC(insn->code) == BPF_X && BPF_OP(insn->code) != BPF_END;
	return class_of(insn) == BPF_STX && insn->imm != BPF_CMPXCHG;
}

/* ---- the program */

u32 testop_build(const struct testop *op, enum testop_frame frame, struct bpf_insn *buf)
{
	const struct bpf_insn *insn = &op->insn;
	int addr = address_reg(insn);
	struct bpf_insn *p = buf, *too_short = NULL;

#define PUT(...) (*p++ = (struct bpf_insn)__VA_ARGS__)
#define PUT_IMM64(REG, VALUE)                                       \
	do {                                                        \
		struct bpf_insn two[] = {BPF_LD_IMM64(REG, VALUE)}; \
		*p++ = two[0];                                      \
		*p++ = two[1];                                      \
	} while (0)
	if (frame == TESTOP_TC) {
		PUT(BPF_LDX_MEM(BPF_W, BPF_REG_2, BPF_REG_1, offsetof(struct __sk_buff, data)));
		PUT(BPF_LDX_MEM(BPF_W, BPF_REG_3, BPF_REG_1, offsetof(struct __sk_buff, data_end)));
		PUT(BPF_MOV64_REG(BPF_REG_4, BPF_REG_2));
		PUT(BPF_ALU64_IMM(BPF_ADD, BPF_REG_4, sizeof(struct testop_packet)));
		too_short = p;
		PUT(BPF_JMP_REG(BPF_JGT, BPF_REG_4, BPF_REG_3, 0));
		PUT(BPF_MOV64_REG(BPF_REG_1, BPF_REG_2));
	}
	PUT(BPF_STX_MEM(BPF_DW, BPF_REG_10, BPF_REG_1, -8));
	PUT(BPF_LDX_MEM(BPF_DW, BPF_REG_2, BPF_REG_1, offsetof(struct testop_packet, a)));
	PUT(BPF_LDX_MEM(BPF_DW, BPF_REG_3, BPF_REG_1, offsetof(struct testop_packet, b)));
	PUT(BPF_STX_MEM(BPF_DW, BPF_REG_10, BPF_REG_2, -16));
	PUT(BPF_STX_MEM(BPF_DW, BPF_REG_10, BPF_REG_3, -24));
	PUT(BPF_ST_MEM(BPF_DW, BPF_REG_10, -32, 0));
	PUT(BPF_STX_MEM(BPF_DW, BPF_REG_10, BPF_REG_2, -48));
	PUT(BPF_STX_MEM(BPF_DW, BPF_REG_10, BPF_REG_3, -40));
	for (int reg = 0; reg < 10; reg++)
		PUT_IMM64(reg, SENTINEL(reg));
	if (is_alu(insn) || is_jump(insn))
		PUT(BPF_LDX_MEM(BPF_DW, insn->dst_reg, BPF_REG_10, -16));
	if (is_atomic(insn) && insn->imm == BPF_CMPXCHG)
		PUT(BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_10, -24));
	if (reads_src(insn))
		PUT(BPF_LDX_MEM(BPF_DW, insn->src_reg, BPF_REG_10, -24));
	if (addr >= 0 && addr != BPF_REG_10) {
		PUT(BPF_MOV64_REG(addr, BPF_REG_10));
		PUT(BPF_ALU64_IMM(BPF_ADD, addr, -48 - insn->off));
	}

	*p++ = *insn;
	if (is_jump(insn)) {
		p[-1].off = 1;
		PUT(BPF_JMP_A(1));
		PUT(BPF_ST_MEM(BPF_DW, BPF_REG_10, -32, 1));
	}

	if (addr >= 0 && addr != BPF_REG_10 &&
	    !(class_of(insn) == BPF_LDX && insn->dst_reg == insn->src_reg))
		PUT(BPF_MOV64_IMM(addr, 0));
	for (int reg = 0; reg < 10; reg++)
		PUT(BPF_STX_MEM(BPF_DW, BPF_REG_10, reg, -128 - 8 * reg));
	PUT(BPF_LDX_MEM(BPF_DW, BPF_REG_1, BPF_REG_10, -8));
	for (int i = 0; i < 13; i++) {
		static const int tail[] = {-32, -48, -40};

		PUT(BPF_LDX_MEM(BPF_DW, BPF_REG_2, BPF_REG_10,
				i < 10 ? -128 - 8 * i : tail[i - 10]));
		PUT(BPF_STX_MEM(BPF_DW, BPF_REG_1, BPF_REG_2,
				(int)offsetof(struct testop_packet, out) + 8 * i));
	}
	if (too_short)
		too_short->off = p - too_short - 1;
	PUT(BPF_MOV64_IMM(BPF_REG_0, 0));
	PUT(BPF_EXIT_INSN());
	return p - buf;
}

/* ---- the reference: widths are made by masking and by 128-bit arithmetic */

static __int128 sign_extend(u64 x, int bits)
{
	__int128 v = bits == 64 ? x : x & ((1ULL << bits) - 1);

	return v >= (__int128)1 << (bits - 1) ? v - ((__int128)1 << bits) : v;
}

static u64 zero_extend(__int128 x, int bits)
{
	return bits == 64 ? (u64)x : (u64)x & ((1ULL << bits) - 1);
}

static u64 swap_bytes(u64 x, int bytes)
{
	u64 out = 0;

	for (int i = 0; i < bytes; i++)
		out = out << 8 | ((x >> 8 * i) & 0xff);
	return out;
}

static u64 divide(__int128 a, __int128 b, bool modulo)
{
	if (modulo)
		return b ? (u64)(a % b) : (u64)a;
	return b ? (u64)(a / b) : 0;
}

u64 testop_alu(const struct bpf_insn *insn, u64 a, u64 b)
{
	int bits = class_of(insn) == BPF_ALU64 ? 64 : 32, op = BPF_OP(insn->code);
	u64 shift = b & (u64)(bits - 1), ua = zero_extend(a, bits), ub = zero_extend(b, bits), res;

	if (op == BPF_END) {
		bool swap = class_of(insn) == BPF_ALU64 || BPF_SRC(insn->code) == BPF_TO_BE;

		return swap ? swap_bytes(a, insn->imm / 8) : zero_extend(a, insn->imm);
	}
	switch (op) {
	case BPF_ADD:
		res = ua + ub;
		break;
	case BPF_SUB:
		res = ua - ub;
		break;
	case BPF_MUL:
		res = (u64)((unsigned __int128)ua * ub);
		break;
	case BPF_DIV:
	case BPF_MOD:
		res = insn->off ? divide(sign_extend(a, bits), sign_extend(b, bits), op == BPF_MOD)
				: divide(ua, ub, op == BPF_MOD);
		break;
	case BPF_OR:
		res = ua | ub;
		break;
	case BPF_AND:
		res = ua & ub;
		break;
	case BPF_XOR:
		res = ua ^ ub;
		break;
	case BPF_LSH:
		res = (u64)((unsigned __int128)ua << shift);
		break;
	case BPF_RSH:
		res = ua >> shift;
		break;
	case BPF_ARSH:
		res = (u64)(sign_extend(a, bits) >> shift);
		break;
	case BPF_NEG:
		res = 0 - ua;
		break;
	default: /* BPF_MOV */
		res = insn->off ? (u64)sign_extend(b, insn->off) : ub;
	}
	return zero_extend(res, bits);
}

bool testop_jump(const struct bpf_insn *insn, u64 a, u64 b)
{
	int bits = class_of(insn) == BPF_JMP ? 64 : 32;
	u64 ua = zero_extend(a, bits), ub = zero_extend(b, bits);
	__int128 sa = sign_extend(a, bits), sb = sign_extend(b, bits);

	switch (BPF_OP(insn->code)) {
	case BPF_JEQ:
		return ua == ub;
	case BPF_JNE:
		return ua != ub;
	case BPF_JGT:
		return ua > ub;
	case BPF_JGE:
		return ua >= ub;
	case BPF_JLT:
		return ua < ub;
	case BPF_JLE:
		return ua <= ub;
	case BPF_JSGT:
		return sa > sb;
	case BPF_JSGE:
		return sa >= sb;
	case BPF_JSLT:
		return sa < sb;
	case BPF_JSLE:
		return sa <= sb;
	}
	return (ua & ub) != 0; /* BPF_JSET */
}

/* Little-endian memory, of which the low `bytes` bytes take part. */
static void eval_memory(const struct bpf_insn *insn, u64 b, struct testop_out *out)
{
	int bits = 8 * (int)bpf_size_to_bytes(insn->code);
	u64 old = zero_extend(out->mem[0], bits), new;

	if (class_of(insn) == BPF_LDX) {
		out->regs[insn->dst_reg] =
			BPF_MODE(insn->code) == BPF_MEMSX ? (u64)sign_extend(old, bits) : old;
		return;
	}
	if (class_of(insn) == BPF_ST)
		b = (u64)(s64)insn->imm;
	new = b;
	if (is_atomic(insn)) {
		switch (insn->imm & ~BPF_FETCH) {
		case BPF_ADD:
			new = old + b;
			break;
		case BPF_OR:
			new = old | b;
			break;
		case BPF_AND:
			new = old &b;
			break;
		case BPF_XOR:
			new = old ^ b;
			break;
		}
		if (insn->imm == BPF_CMPXCHG) {
			u64 src = out->regs[insn->src_reg];

			new = old == zero_extend(out->regs[0], bits) ? src : old;
			out->regs[0] = old;
		} else if (insn->imm & BPF_FETCH) {
			out->regs[insn->src_reg] = old;
		}
	}
	out->mem[0] = (out->mem[0] & ~zero_extend(~(__int128)0, bits)) | zero_extend(new, bits);
}

void testop_expect(const struct testop *op, u64 a, u64 b, struct testop_out *out)
{
	const struct bpf_insn *insn = &op->insn;
	int addr = address_reg(insn);

	for (int reg = 0; reg < 10; reg++)
		out->regs[reg] = SENTINEL(reg);
	out->taken = 0;
	out->mem[0] = a;
	out->mem[1] = b;
	if (is_alu(insn) || is_jump(insn))
		out->regs[insn->dst_reg] = a;
	if (is_atomic(insn) && insn->imm == BPF_CMPXCHG)
		out->regs[0] = b;
	if (reads_src(insn)) {
		out->regs[insn->src_reg] = b;
		if (insn->dst_reg == insn->src_reg)
			a = b;
	} else if (is_alu(insn) || is_jump(insn)) {
		b = (u64)(s64)insn->imm;
	}
	if (is_alu(insn))
		out->regs[insn->dst_reg] = testop_alu(insn, a, b);
	else if (is_jump(insn))
		out->taken = testop_jump(insn, a, b);
	else
		eval_memory(insn, b, out);
	if (addr >= 0 && addr != BPF_REG_10 &&
	    !(class_of(insn) == BPF_LDX && insn->dst_reg == insn->src_reg))
		out->regs[addr] = 0;
}

/* ---- which operations there are: made from the opcode table */

struct each {
	void (*fn)(const struct testop *op, void *priv);
	void *priv;
	u32 count;
	unsigned int kinds;
};

static bool refused_by_verifier(const struct bpf_insn *insn)
{
	u32 bits = class_of(insn) == BPF_ALU64 ? 64 : 32;

	if (!is_alu(insn) || BPF_SRC(insn->code) == BPF_X)
		return false;
	switch (BPF_OP(insn->code)) {
	case BPF_DIV:
	case BPF_MOD:
		return insn->imm == 0;
	case BPF_LSH:
	case BPF_RSH:
	case BPF_ARSH:
		return (u32)insn->imm >= bits;
	}
	return false;
}

static void give(struct each *e, struct bpf_insn insn, bool all)
{
	bool two = reads_src(&insn) || is_atomic(&insn);
	struct testop op = {
		.insn = insn,
		.pairs = some_pairs,
		.pair_cnt = ARRAY_SIZE(some_pairs),
		.raw_only = refused_by_verifier(&insn),
	};

	if (all) {
		op.pairs = two ? (const u64(*)[2])all_pairs : (const u64(*)[2])all_firsts;
		op.pair_cnt = two ? ARRAY_SIZE(all_pairs) : ARRAY_SIZE(all_firsts);
	}
	e->count++;
	e->fn(&op, e->priv);
}

/* An address in a register that is also a stored value would be a pointer in memory. */
static bool registers_make_sense(const struct bpf_insn *insn)
{
	if (class_of(insn) == BPF_STX && insn->dst_reg == insn->src_reg)
		return false;
	if (is_atomic(insn) && insn->imm == BPF_CMPXCHG && insn->dst_reg == BPF_REG_0)
		return false;
	return true;
}

static void each_register(struct each *e, struct bpf_insn insn, const struct bpf_op_info *info)
{
	bool mem = info->off == OPF_MEM, ldx = class_of(&insn) == BPF_LDX;

	for (int dst = 0; dst <= (mem && !ldx ? 10 : 9); dst++) {
		for (int src = 0; src <= (info->src == OPF_REG ? (ldx ? 10 : 9) : 0); src++) {
			insn.dst_reg = dst;
			insn.src_reg = src;
			if (mem)
				insn.off = address_reg(&insn) == BPF_REG_10 ? -48 : 24;
			if (registers_make_sense(&insn))
				give(e, insn, false);
		}
	}
}

static void each_operand(struct each *e, struct bpf_insn insn, const struct bpf_op_info *info)
{
	static const s16 offs[] = {0, 8, -8, 127, -128, 128, -129, 4096, 32767, -32768};

	insn.dst_reg = BPF_REG_3;
	insn.src_reg = info->src == OPF_REG ? BPF_REG_7 : 0;
	if (info->off == OPF_MEM) {
		for (u32 i = 0; i < ARRAY_SIZE(offs); i++) {
			insn.off = offs[i];
			give(e, insn, i == 0);
		}
		insn.off = 0;
	}
	if (info->imm != OPF_ANY) {
		if (info->off != OPF_MEM)
			give(e, insn, true);
		return;
	}
	for (u32 i = 0; i < ARRAY_SIZE(imms); i++) {
		insn.imm = imms[i];
		give(e, insn, true);
	}
}

static void each_row(struct each *e, const struct bpf_op_info *info)
{
	struct bpf_insn insn = {
		.code = info->code,
		.off = info->off >= OPF_ANY ? 0 : (s16)info->off,
		.imm = info->imm >= OPF_ANY ? 3 : (s32)info->imm,
	};

	if (e->kinds & TESTOP_OPERANDS)
		each_operand(e, insn, info);
	if (e->kinds & TESTOP_REGISTERS)
		each_register(e, insn, info);
}

u32 testop_each(unsigned int kinds, void (*fn)(const struct testop *op, void *priv), void *priv)
{
	struct each e = {fn, priv, 0, kinds};

	for (int op = 0; op < BPF_OP_MAX; op++) {
		switch (bpf_op_info[op].format) {
		case BPF_FMT_ALU:
		case BPF_FMT_MOV:
		case BPF_FMT_MOVSX:
		case BPF_FMT_NEG:
		case BPF_FMT_END:
		case BPF_FMT_BSWAP:
		case BPF_FMT_LDX:
		case BPF_FMT_LDSX:
		case BPF_FMT_ST:
		case BPF_FMT_STX:
		case BPF_FMT_ATOMIC:
		case BPF_FMT_FETCH:
		case BPF_FMT_CMPXCHG:
		case BPF_FMT_JCOND:
			each_row(&e, &bpf_op_info[op]);
			break;
		default: /* whole programs: testprog.c */
			break;
		}
	}
	return e.count;
}

const char *testop_name(const struct testop *op)
{
	static __thread char text[96];
	int row = bpf_insn_decode(&op->insn);

	snprintf(text, sizeof(text), "%s r%d r%d off=%d imm=%d",
		 row >= 0 ? bpf_op_info[row].name : "?", op->insn.dst_reg, op->insn.src_reg,
		 op->insn.off, op->insn.imm);
	return text;
}
