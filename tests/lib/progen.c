/*
 * progen.c - statements that keep an invariant, strung together
 *
 * Between two statements of the main program: R6 is the context, R7 the packet with PROGEN_PACKET
 * bytes checked, R8 a value of the array, R0 to R5 and R9 are scalars, the 64 bytes of stack below
 * R10 - 64 are initialised (RISKY: all 512). Bytes R10-64 to R10-1 are scratch of single
 * statements. In a subprogram only the scalars R0 to R5 and its stack exist.
 */
#include "tests/lib/progen_gen.h"

#define SKB_DATA     76
#define SKB_DATA_END 80
#define MAX_SUBPROGS 3

u64 progen_random(u64 *state)
{
	u64 x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1dULL;
}

s32 progen_imm(struct gen *g)
{
	static const s32 imms[] = {0,	1,    2,    -1,	  7,	  8,	      15,	 16,
				   31,	32,   63,   64,	  127,	  128,	      255,	 -8,
				   256, -128, 1000, 4095, 0x7fff, 0x7fffffff, INT32_MIN, 0xffff};

	return rnd(g, 4) ? imms[rnd(g, ARRAY_SIZE(imms))] : (s32)progen_random(&g->rng);
}

static void emit_imm64(struct gen *g, int reg, u64 value)
{
	const struct bpf_insn two[] = {BPF_LD_IMM64(reg, value)};

	emit(g, two[0]);
	emit(g, two[1]);
}

void progen_map(struct gen *g, int reg, int map)
{
	const struct bpf_insn two[] = {BPF_LD_MAP_IDX(reg, map)};

	emit(g, two[0]);
	emit(g, two[1]);
}

int progen_scalar(struct gen *g)
{
	int reg = (int)rnd(g, g->main && !g->r9_taken ? 7 : 6);

	return reg == 6 ? BPF_REG_9 : reg;
}

/* ---- arithmetic */

static void alu(struct gen *g)
{
	static const u8 ops[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_MOD,  BPF_OR,
				 BPF_AND, BPF_XOR, BPF_LSH, BPF_RSH, BPF_ARSH, BPF_MOV};
	u8 op = ops[rnd(g, ARRAY_SIZE(ops))], class = rnd(g, 2) ? BPF_ALU64 : BPF_ALU;
	bool divides = op == BPF_DIV || op == BPF_MOD;
	bool shifts = op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH;
	s16 off = divides ? (s16)rnd(g, 2) : 0;
	s32 imm = progen_imm(g);

	if (rnd(g, 2)) {
		if (op == BPF_MOV && rnd(g, 2))
			off = (s16)(8 << rnd(g, class == BPF_ALU64 ? 3 : 2));
		emit(g,
		     BPF_RAW_INSN(class | op | BPF_X, progen_scalar(g), progen_scalar(g), off, 0));
		return;
	}
	if (divides && !imm)
		imm = 3;
	if (shifts)
		imm &= class == BPF_ALU64 ? 63 : 31;
	emit(g, BPF_RAW_INSN(class | op | BPF_K, progen_scalar(g), 0, off, imm));
}

static void unary(struct gen *g)
{
	int reg = progen_scalar(g), bits = 16 << rnd(g, 3);

	switch (rnd(g, 5)) {
	case 0:
		emit(g, BPF_NEG64(reg));
		break;
	case 1:
		emit(g, BPF_NEG32(reg));
		break;
	case 2:
		emit(g, BPF_ENDIAN(BPF_TO_LE, reg, bits));
		break;
	case 3:
		emit(g, BPF_ENDIAN(BPF_TO_BE, reg, bits));
		break;
	default:
		emit(g, BPF_BSWAP(reg, bits));
	}
}

static void constant(struct gen *g)
{
	emit_imm64(g, progen_scalar(g), progen_random(&g->rng) >> rnd(g, 64));
}

/* ---- memory at constant offsets */

void progen_access(struct gen *g, int base, int off, int len, bool atomic_too)
{
	u32 log2 = rnd(g, 4), size = 1u << log2;
	int at = off + (int)(rnd(g, (u32)len / size) * size), reg = progen_scalar(g);
	static const s32 atomics[] = {BPF_ADD,
				      BPF_OR,
				      BPF_AND,
				      BPF_XOR,
				      BPF_ADD | BPF_FETCH,
				      BPF_OR | BPF_FETCH,
				      BPF_AND | BPF_FETCH,
				      BPF_XOR | BPF_FETCH,
				      BPF_XCHG,
				      BPF_CMPXCHG};

	switch (rnd(g, atomic_too && log2 >= 2 ? 5 : 4)) {
	case 0:
		emit(g, BPF_LDX_MEM(size_code(log2), reg, base, at));
		break;
	case 1:
		if (log2 < 3)
			emit(g, BPF_LDX_MEMSX(size_code(log2), reg, base, at));
		else
			emit(g, BPF_LDX_MEM(BPF_DW, reg, base, at));
		break;
	case 2:
		emit(g, BPF_STX_MEM(size_code(log2), base, reg, at));
		break;
	case 3:
		emit(g, BPF_ST_MEM(size_code(log2), base, at, progen_imm(g)));
		break;
	default:
		emit(g, BPF_ATOMIC_OP(size_code(log2), atomics[rnd(g, ARRAY_SIZE(atomics))], base,
				      reg, at));
	}
}

static void memory(struct gen *g)
{
	switch (g->main ? rnd(g, 3) : 0) {
	case 0:
		progen_access(g, BPF_REG_10, -128, 64, true);
		break;
	case 1:
		progen_access(g, BPF_REG_7, 16, PROGEN_PACKET - 16, false);
		break;
	default:
		progen_access(g, BPF_REG_8, 0, 64, true);
	}
}

/* ---- memory at variable offsets: R1 is bounded, then added to a pointer in R2 */

void progen_bound(struct gen *g, int reg, u32 limit)
{
	switch (rnd(g, 4)) {
	case 0:
		emit(g, BPF_ALU64_IMM(BPF_AND, reg, (s32)limit - 1));
		break;
	case 1:
		emit(g, BPF_ALU64_IMM(BPF_MOD, reg, (s32)limit));
		break;
	case 2: /* mov32 so that the upper half is known to be 0 */
		emit(g, BPF_MOV32_REG(reg, reg));
		emit(g, BPF_JMP_IMM(BPF_JLT, reg, (s32)limit, 1));
		emit(g, BPF_MOV64_IMM(reg, (s32)rnd(g, limit)));
		break;
	default:
		emit(g, BPF_JMP_IMM(BPF_JSLT, reg, 0, 1));
		emit(g, BPF_JMP_IMM(BPF_JSLE, reg, (s32)limit - 1, 1));
		emit(g, BPF_MOV64_IMM(reg, 0));
	}
}

/* What range analysis has to get right: anything may or may not bound the register. */
static void maybe_bound(struct gen *g, int reg, u32 *exits, u32 *exit_cnt)
{
	static const u8 conds[] = {BPF_JEQ,  BPF_JNE,  BPF_JGT,	 BPF_JGE,  BPF_JLT, BPF_JLE,
				   BPF_JSGT, BPF_JSGE, BPF_JSLT, BPF_JSLE, BPF_JSET};
	static const u8 ops[] = {BPF_ADD, BPF_SUB, BPF_MUL,  BPF_AND, BPF_OR,  BPF_XOR,
				 BPF_LSH, BPF_RSH, BPF_ARSH, BPF_DIV, BPF_MOD, BPF_MOV};

	for (u32 i = 1 + rnd(g, 4); i && *exit_cnt < 8; i--) {
		u8 class = rnd(g, 2) ? BPF_ALU64 : BPF_ALU, op = ops[rnd(g, ARRAY_SIZE(ops))];
		u8 jmp = rnd(g, 2) ? BPF_JMP : BPF_JMP32, cond = conds[rnd(g, ARRAY_SIZE(conds))];
		s32 imm = rnd(g, 3) ? (s32)rnd(g, 130) - 40 : progen_imm(g);
		int other = (int)(3 + rnd(g, 3));

		switch (rnd(g, 5)) {
		case 0:
			if (op == BPF_MOV) {
				emit(g, BPF_RAW_INSN(class | BPF_MOV | BPF_X, reg, reg,
						     8 << rnd(g, 2), 0));
				break;
			}
			if ((op == BPF_DIV || op == BPF_MOD) && !imm)
				imm = 64;
			if (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH)
				imm &= class == BPF_ALU64 ? 63 : 31;
			emit(g, BPF_RAW_INSN(class | op | BPF_K, reg, 0,
					     op == BPF_DIV || op == BPF_MOD ? rnd(g, 2) : 0, imm));
			break;
		case 1:
			emit(g, BPF_RAW_INSN(class | (op == BPF_MOV ? BPF_ADD : op) | BPF_X, reg,
					     other, 0, 0));
			break;
		case 2:
			exits[(*exit_cnt)++] =
				emit_jump(g, BPF_RAW_INSN(jmp | cond | BPF_X, reg, other, 0, 0));
			break;
		default:
			exits[(*exit_cnt)++] =
				emit_jump(g, BPF_RAW_INSN(jmp | cond | BPF_K, reg, 0, 0, imm));
		}
	}
}

void progen_use(struct gen *g, int ptr, int off, u32 log2)
{
	int reg = progen_scalar(g);

	if (reg == ptr)
		reg = BPF_REG_3;
	switch (rnd(g, 3)) {
	case 0:
		emit(g, BPF_LDX_MEM(size_code(log2), reg, ptr, off));
		break;
	case 1:
		emit(g, BPF_STX_MEM(size_code(log2), ptr, reg, off));
		break;
	default:
		emit(g, BPF_ST_MEM(size_code(log2), ptr, off, progen_imm(g)));
	}
}

static void variable_offset(struct gen *g)
{
	u32 exits[8], exit_cnt = 0, log2 = rnd(g, 4), where = rnd(g, 3), exit_end = 0;
	u32 limit = g->risky ? 16u << rnd(g, 4) : 64 - (1u << log2) + 1;

	if (!g->main)
		return;
	emit(g, BPF_MOV64_REG(BPF_REG_1, progen_scalar(g)));
	if (g->risky)
		maybe_bound(g, BPF_REG_1, exits, &exit_cnt);
	if (!g->risky || rnd(g, 2))
		progen_bound(g, BPF_REG_1, where == 2 || !g->risky ? min(limit, 32u) : limit);
	if (g->risky && rnd(g, 2))
		maybe_bound(g, BPF_REG_1, exits, &exit_cnt);
	if (where == 0) { /* the array's value */
		emit(g, BPF_MOV64_REG(BPF_REG_2, BPF_REG_8));
		emit(g, BPF_ALU64_REG(BPF_ADD, BPF_REG_2, BPF_REG_1));
		progen_use(g, BPF_REG_2, g->risky ? (int)rnd(g, 24) - 8 : 0, log2);
	} else if (where == 1) { /* the stack; always aligned bytes: nothing is spilled there */
		emit(g, BPF_MOV64_REG(BPF_REG_2, BPF_REG_10));
		emit(g, BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, -128));
		emit(g, BPF_ALU64_REG(BPF_ADD, BPF_REG_2, BPF_REG_1));
		progen_use(g, BPF_REG_2, g->risky ? (int)rnd(g, 24) - 8 : 0, g->risky ? log2 : 0);
	} else { /* the packet: checked against its end again */
		emit(g, BPF_MOV64_REG(BPF_REG_2, BPF_REG_7));
		emit(g, BPF_ALU64_REG(BPF_ADD, BPF_REG_2, BPF_REG_1));
		emit(g, BPF_LDX_MEM(BPF_W, BPF_REG_3, BPF_REG_6, SKB_DATA_END));
		emit(g, BPF_MOV64_REG(BPF_REG_4, BPF_REG_2));
		emit(g, BPF_ALU64_IMM(BPF_ADD, BPF_REG_4,
				      g->risky ? (s32)rnd(g, 12) : (s32)(16 + (1 << log2))));
		exit_end = emit_jump(g, BPF_JMP_REG(BPF_JGT, BPF_REG_4, BPF_REG_3, 0));
		emit(g, BPF_MOV64_IMM(BPF_REG_3, 9));
		emit(g, BPF_MOV64_IMM(BPF_REG_4, 9));
		progen_use(g, BPF_REG_2, g->risky ? (int)rnd(g, 8) : 16, log2);
		aim(g, exit_end);
		emit(g, BPF_MOV64_IMM(BPF_REG_3, 5));
		emit(g, BPF_MOV64_IMM(BPF_REG_4, 5));
	}
	for (u32 i = 0; i < exit_cnt; i++)
		aim(g, exits[i]);
	emit(g, BPF_MOV64_IMM(BPF_REG_1, 1));
	emit(g, BPF_MOV64_IMM(BPF_REG_2, 2));
}

/*
 * ---- accesses that just fit, or just do not: R1 is brought to [lo, hi] exactly, and moved about
 */

/* R1 in [0, n]: falls through with it, or jumps (recorded in exits). */
static void clamp(struct gen *g, u32 n, u32 *exits, u32 *exit_cnt)
{
	u8 jmp = rnd(g, 2) ? BPF_JMP : BPF_JMP32;
	struct bpf_insn out;

	if (jmp == BPF_JMP32 && rnd(g, 2))
		emit(g, BPF_MOV32_REG(BPF_REG_1, BPF_REG_1));
	if (rnd(g, 2))
		emit(g, BPF_MOV64_IMM(BPF_REG_3, (s32)n));
	else
		emit_imm64(g, BPF_REG_3, n);
	switch (rnd(g, 10)) {
	case 0:
		out = BPF_RAW_INSN(jmp | BPF_JGT | BPF_K, BPF_REG_1, 0, 0, (s32)n);
		break;
	case 1:
		out = BPF_RAW_INSN(jmp | BPF_JGE | BPF_K, BPF_REG_1, 0, 0, (s32)n + 1);
		break;
	case 2:
		out = BPF_RAW_INSN(jmp | BPF_JGT | BPF_X, BPF_REG_1, BPF_REG_3, 0, 0);
		break;
	case 3:
		out = BPF_RAW_INSN(jmp | BPF_JLT | BPF_X, BPF_REG_3, BPF_REG_1, 0, 0);
		break;
	case 4: /* the way in is the taken branch */
		emit(g, BPF_RAW_INSN(jmp | BPF_JLE | BPF_K, BPF_REG_1, 0, 1, (s32)n));
		out = BPF_JMP_A(0);
		break;
	case 5:
		emit(g, BPF_RAW_INSN(jmp | BPF_JGE | BPF_X, BPF_REG_3, BPF_REG_1, 1, 0));
		out = BPF_JMP_A(0);
		break;
	case 6:
		exits[(*exit_cnt)++] =
			emit_jump(g, BPF_RAW_INSN(jmp | BPF_JSLT | BPF_K, BPF_REG_1, 0, 0, 0));
		out = BPF_RAW_INSN(jmp | BPF_JSGT | BPF_K, BPF_REG_1, 0, 0, (s32)n);
		break;
	case 7:
		exits[(*exit_cnt)++] = emit_jump(
			g, BPF_RAW_INSN(jmp | BPF_JSGT | BPF_X, BPF_REG_1, BPF_REG_3, 0, 0));
		out = BPF_RAW_INSN(jmp | BPF_JSLE | BPF_K, BPF_REG_1, 0, 0, -1);
		break;
	case 8: /* a copy is what is looked at */
		emit(g, BPF_MOV64_REG(BPF_REG_4, BPF_REG_1));
		out = BPF_RAW_INSN(jmp | BPF_JGT | BPF_K, BPF_REG_4, 0, 0, (s32)n);
		break;
	default: /* looked at after it went to the stack */
		emit(g, BPF_STX_MEM(BPF_DW, BPF_REG_10, BPF_REG_1, -16));
		exits[(*exit_cnt)++] =
			emit_jump(g, BPF_RAW_INSN(jmp | BPF_JGT | BPF_K, BPF_REG_1, 0, 0, (s32)n));
		emit(g, BPF_MOV64_IMM(BPF_REG_1, 0));
		emit(g, BPF_LDX_MEM(BPF_DW, BPF_REG_1, BPF_REG_10, -16));
		return;
	}
	exits[(*exit_cnt)++] = emit_jump(g, out);
}

/* R1 to [*lo, *hi]. The tightest bounds that hold, so that one more or less is an error. */
static void bring_into(struct gen *g, s32 *lo, s32 *hi, u32 *exits, u32 *exit_cnt)
{
	u32 n = rnd(g, 40);

	*lo = 0;
	switch (rnd(g, 5)) {
	case 0:
		n = (1u << (1 + rnd(g, 5))) - 1;
		emit(g, BPF_RAW_INSN((rnd(g, 2) ? BPF_ALU64 : BPF_ALU) | BPF_AND | BPF_K, BPF_REG_1,
				     0, 0, (s32)n));
		break;
	case 1:
		n = (1u << (1 + rnd(g, 5))) - 1;
		if (rnd(g, 2))
			emit(g, BPF_ALU64_IMM(BPF_RSH, BPF_REG_1, __builtin_clzll((u64)n)));
		else
			emit(g, BPF_ALU32_IMM(BPF_RSH, BPF_REG_1, __builtin_clz(n)));
		break;
	default:
		clamp(g, n, exits, exit_cnt);
	}
	*hi = (s32)n;
	for (u32 i = rnd(g, 3); i; i--) {
		u8 class = rnd(g, 2) ? BPF_ALU64 : BPF_ALU;
		s32 c = 1 + (s32)rnd(g, 5);

		if (*lo < 0)
			class = BPF_ALU64;
		switch (rnd(g, 5)) {
		case 0:
			emit(g, BPF_RAW_INSN(class | BPF_ADD | BPF_K, BPF_REG_1, 0, 0, c));
			*lo += c;
			*hi += c;
			break;
		case 1:
			emit(g, BPF_ALU64_IMM(BPF_SUB, BPF_REG_1, c));
			*lo -= c;
			*hi -= c;
			break;
		case 2:
			emit(g, BPF_RAW_INSN(class | BPF_MUL | BPF_K, BPF_REG_1, 0, 0, c));
			*lo *= c;
			*hi *= c;
			break;
		case 3:
			emit(g, BPF_RAW_INSN(class | BPF_LSH | BPF_K, BPF_REG_1, 0, 0, 1));
			*lo *= 2;
			*hi *= 2;
			break;
		default:
			emit(g, BPF_RAW_INSN(class | BPF_ARSH | BPF_K, BPF_REG_1, 0, 0, 1));
			*lo >>= 1;
			*hi >>= 1;
		}
	}
}

static void just_about(struct gen *g)
{
	static const s32 beside[] = {0, 0, 0, 1, 1, -1};
	u32 exits[8], exit_cnt = 0, log2 = rnd(g, 4);
	s32 lo, hi, off, size = 1 << log2, d = beside[rnd(g, ARRAY_SIZE(beside))];

	emit(g, BPF_RAW_INSN(BPF_LDX | BPF_MEM | size_code(rnd(g, 4)), BPF_REG_1, BPF_REG_7,
			     16 + (s32)rnd(g, 40), 0));
	bring_into(g, &lo, &hi, exits, &exit_cnt);
	/* The last byte at the end of 64, or the first at the start; d beyond or before. */
	off = rnd(g, 3) ? 64 - hi - size + d : -lo - d;
	switch (rnd(g, 3)) {
	case 0:
		emit(g, BPF_MOV64_REG(BPF_REG_2, BPF_REG_8));
		break;
	case 1:
		emit(g, BPF_MOV64_REG(BPF_REG_2, BPF_REG_10));
		emit(g, BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, -64));
		break;
	default: /* PROGEN_PACKET is 64, too */
		emit(g, BPF_MOV64_REG(BPF_REG_2, BPF_REG_7));
		if (rnd(g, 2)) { /* nothing is known of the end but by this check */
			emit(g, BPF_ALU64_REG(BPF_ADD, BPF_REG_2, BPF_REG_1));
			emit(g, BPF_LDX_MEM(BPF_W, BPF_REG_3, BPF_REG_6, SKB_DATA_END));
			emit(g, BPF_MOV64_REG(BPF_REG_4, BPF_REG_2));
			off = 16 + (s32)rnd(g, 10);
			emit(g, BPF_ALU64_IMM(BPF_ADD, BPF_REG_4, off + size - d));
			exits[exit_cnt++] = emit_jump(
				g, rnd(g, 2) ? BPF_JMP_REG(BPF_JGT, BPF_REG_4, BPF_REG_3, 0)
					     : BPF_JMP_REG(BPF_JLT, BPF_REG_3, BPF_REG_4, 0));
			emit(g, BPF_MOV64_IMM(BPF_REG_3, 5));
			emit(g, BPF_MOV64_IMM(BPF_REG_4, 5));
			emit(g, BPF_MOV64_IMM(BPF_REG_1, 0));
		}
	}
	emit(g, BPF_ALU64_REG(BPF_ADD, BPF_REG_2, BPF_REG_1));
	if (rnd(g, 2)) {
		emit(g, BPF_LDX_MEM(size_code(log2), BPF_REG_5, BPF_REG_2, off));
	} else {
		emit(g, BPF_MOV64_IMM(BPF_REG_5, 77));
		emit(g, BPF_STX_MEM(size_code(log2), BPF_REG_2, BPF_REG_5, off));
	}
	for (u32 i = 0; i < exit_cnt; i++)
		aim(g, exits[i]);
	emit(g, BPF_MOV64_IMM(BPF_REG_1, 1));
	emit(g, BPF_MOV64_IMM(BPF_REG_2, 2));
	emit(g, BPF_MOV64_IMM(BPF_REG_3, 3));
	emit(g, BPF_MOV64_IMM(BPF_REG_4, 4));
}

/* ---- calls: R1 to R5 are scalars again afterwards */

void progen_after_call(struct gen *g)
{
	for (int reg = BPF_REG_1; reg <= BPF_REG_5; reg++) {
		if (rnd(g, 2))
			emit(g, BPF_MOV64_IMM(reg, progen_imm(g)));
		else
			emit(g, BPF_LDX_MEM(BPF_DW, reg, BPF_REG_10, -128 + 8 * (int)rnd(g, 8)));
	}
}

static void key_in_r2(struct gen *g, u32 limit)
{
	int reg = progen_scalar(g);

	emit(g, BPF_MOV64_REG(BPF_REG_2, reg));
	emit(g, BPF_ALU64_IMM(BPF_AND, BPF_REG_2, (s32)limit - 1));
	emit(g, BPF_STX_MEM(BPF_W, BPF_REG_10, BPF_REG_2, -8));
	emit(g, BPF_MOV64_REG(BPF_REG_2, BPF_REG_10));
	emit(g, BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, -8));
}

static void map_call(struct gen *g)
{
	u32 jump;

	switch (rnd(g, 4)) {
	case 0: /* another value of the array for R8 */
		key_in_r2(g, 2 * PROGEN_ARRAY);
		progen_map(g, BPF_REG_1, 0);
		emit(g, BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem));
		jump = emit_jump(g, BPF_JMP_IMM(BPF_JEQ, BPF_REG_0, 0, 0));
		emit(g, BPF_MOV64_REG(BPF_REG_8, BPF_REG_0));
		aim(g, jump);
		emit(g, BPF_MOV64_IMM(BPF_REG_0, 1));
		break;
	case 1:
		key_in_r2(g, PROGEN_HASH * 2);
		progen_map(g, BPF_REG_1, 1);
		emit(g, BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem));
		jump = emit_jump(g, BPF_JMP_IMM(BPF_JEQ, BPF_REG_0, 0, 0));
		emit(g, BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_0, 0));
		aim(g, jump);
		break;
	case 2:
		key_in_r2(g, PROGEN_HASH * 2);
		emit(g, BPF_MOV64_REG(BPF_REG_3, BPF_REG_10));
		emit(g, BPF_ALU64_IMM(BPF_ADD, BPF_REG_3, -128));
		emit(g, BPF_MOV64_IMM(BPF_REG_4, (s32)rnd(g, 4)));
		progen_map(g, BPF_REG_1, 1);
		emit(g, BPF_EMIT_CALL(BPF_FUNC_map_update_elem));
		break;
	default:
		key_in_r2(g, PROGEN_HASH * 2);
		progen_map(g, BPF_REG_1, 1);
		emit(g, BPF_EMIT_CALL(BPF_FUNC_map_delete_elem));
	}
	progen_after_call(g);
}

/* A store or a load in the value whose address is at R10-16; SAFE programs leave the lock alone. */
static void locked_access(struct gen *g)
{
	u32 log2 = rnd(g, 4), size = 1u << log2;
	int at = (int)(rnd(g, 64 / size) * size);

	if (!g->risky && at + (int)size > PROGEN_LOCK && at < PROGEN_LOCK + 4)
		at = 32;
	emit(g, BPF_LDX_MEM(BPF_DW, BPF_REG_2, BPF_REG_10, -16));
	if (rnd(g, 2))
		emit(g, BPF_ST_MEM(size_code(log2), BPF_REG_2, at, progen_imm(g)));
	else
		emit(g, BPF_LDX_MEM(size_code(log2), BPF_REG_3, BPF_REG_2, at));
	emit(g, BPF_MOV64_IMM(BPF_REG_2, progen_imm(g)));
}

static void lock_call(struct gen *g, s32 func)
{
	emit(g, BPF_LDX_MEM(BPF_DW, BPF_REG_1, BPF_REG_10, -16));
	emit(g, BPF_ALU64_IMM(BPF_ADD, BPF_REG_1, PROGEN_LOCK));
	emit(g, BPF_EMIT_CALL(func));
	emit(g, BPF_MOV64_IMM(BPF_REG_0, progen_imm(g)));
	progen_after_call(g);
}

static void under_lock(struct gen *g)
{
	u32 jump;

	key_in_r2(g, 2 * PROGEN_ARRAY);
	progen_map(g, BPF_REG_1, 2);
	emit(g, BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem));
	jump = emit_jump(g, BPF_JMP_IMM(BPF_JEQ, BPF_REG_0, 0, 0));
	emit(g, BPF_STX_MEM(BPF_DW, BPF_REG_10, BPF_REG_0, -16));
	lock_call(g, BPF_FUNC_spin_lock);
	for (u32 n = 1 + rnd(g, 3); n; n--)
		switch (rnd(g, 4)) {
		case 0:
			alu(g);
			break;
		case 1:
			memory(g);
			break;
		default:
			locked_access(g);
		}
	lock_call(g, BPF_FUNC_spin_unlock);
	aim(g, jump);
	emit(g, BPF_MOV64_IMM(BPF_REG_0, 1));
	progen_after_call(g);
}

static void packet_call(struct gen *g)
{
	if (!g->risky && !rnd(g, 2)) {
		emit(g, BPF_MOV64_REG(BPF_REG_1, BPF_REG_6));
		emit(g, BPF_MOV64_IMM(BPF_REG_2, (s32)rnd(g, 80)));
		emit(g, BPF_MOV64_REG(BPF_REG_3, BPF_REG_10));
		emit(g, BPF_ALU64_IMM(BPF_ADD, BPF_REG_3, -128));
		emit(g, BPF_MOV64_IMM(BPF_REG_4, 1 + (s32)rnd(g, 64)));
		emit(g, BPF_EMIT_CALL(BPF_FUNC_skb_load_bytes));
	} else if (rnd(g, 2)) {
		emit(g, BPF_LD_ABS(size_code(rnd(g, 3)), (s32)rnd(g, PROGEN_PACKET - 4)));
	} else {
		int reg = progen_scalar(g);

		emit(g, BPF_ALU64_IMM(BPF_AND, reg, 31));
		emit(g, BPF_LD_IND(size_code(rnd(g, 3)), reg, (s32)rnd(g, 24)));
	}
	progen_after_call(g);
}

static void subprog_call(struct gen *g)
{
	if (g->call_cnt == ARRAY_SIZE(g->calls))
		return;
	g->calls[g->call_cnt] = g->p->cnt;
	g->call_to[g->call_cnt++] = rnd(g, MAX_SUBPROGS);
	emit(g, BPF_CALL_REL(0));
	progen_after_call(g);
}

/* ---- control */

static struct bpf_insn condition(struct gen *g)
{
	static const u8 conds[] = {BPF_JEQ,  BPF_JNE,  BPF_JGT,	 BPF_JGE,  BPF_JLT, BPF_JLE,
				   BPF_JSGT, BPF_JSGE, BPF_JSLT, BPF_JSLE, BPF_JSET};
	u8 class = rnd(g, 2) ? BPF_JMP : BPF_JMP32, op = conds[rnd(g, ARRAY_SIZE(conds))];

	if (rnd(g, 2))
		return BPF_RAW_INSN(class | op | BPF_X, progen_scalar(g), progen_scalar(g), 0, 0);
	return BPF_RAW_INSN(class | op | BPF_K, progen_scalar(g), 0, 0, progen_imm(g));
}

static void branch(struct gen *g)
{
	u32 jump = emit_jump(g, condition(g)), over;

	g->depth++;
	progen_statements(g, 1 + rnd(g, 4));
	if (rnd(g, 2)) {
		over = emit_jump(g, rnd(g, 2) ? BPF_JMP_A(0) : BPF_JMP32_A(0));
		aim(g, jump);
		progen_statements(g, 1 + rnd(g, 4));
		aim(g, over);
		if (g->p->insns[over].code == (BPF_JMP32 | BPF_JA)) {
			g->p->insns[over].imm = g->p->insns[over].off;
			g->p->insns[over].off = 0;
		}
	} else {
		aim(g, jump);
	}
	g->depth--;
}

static void loop(struct gen *g)
{
	u32 start;

	if (!g->main || g->r9_taken)
		return;
	g->r9_taken = true;
	g->depth++;
	emit(g, BPF_MOV64_IMM(BPF_REG_9, 1 + (s32)rnd(g, 6)));
	start = g->p->cnt;
	progen_statements(g, 1 + rnd(g, 3));
	emit(g, BPF_ALU64_IMM(BPF_SUB, BPF_REG_9, 1));
	emit(g, BPF_JMP_IMM(BPF_JNE, BPF_REG_9, 0, (int)start - (int)g->p->cnt - 1));
	g->depth--;
	g->r9_taken = false;
}

static void statement(struct gen *g)
{
	u32 kind = rnd(g, g->risky ? 27 : 23);

	if (kind < 9)
		alu(g);
	else if (kind < 11)
		unary(g);
	else if (kind == 11)
		constant(g);
	else if (kind < 16)
		memory(g);
	else if (kind < 18 && g->depth < 3)
		branch(g);
	else if (kind == 18 && g->depth < 2)
		loop(g);
	else if (kind == 19 && g->main && !rnd(g, 3))
		under_lock(g);
	else if (kind == 19 && g->main)
		map_call(g);
	else if (kind == 20 && g->main)
		packet_call(g);
	else if (kind == 21 && g->main && !g->risky)
		subprog_call(g);
	else if (kind == 22 && g->main)
		progen_callback_call(g);
	else if (g->main && g->risky && rnd(g, 4))
		just_about(g);
	else
		variable_offset(g);
}

void progen_statements(struct gen *g, u32 n)
{
	while (n-- && room(g))
		statement(g);
}

static void mix_and_exit(struct gen *g)
{
	for (int reg = BPF_REG_1; reg <= BPF_REG_5; reg++) {
		emit(g, BPF_ALU64_IMM(BPF_MUL, BPF_REG_0, 31));
		emit(g, BPF_ALU64_REG(BPF_ADD, BPF_REG_0, reg));
	}
	if (g->main)
		emit(g, BPF_ALU64_REG(BPF_XOR, BPF_REG_0, BPF_REG_9));
	emit(g, BPF_MOV64_REG(BPF_REG_1, BPF_REG_0));
	emit(g, BPF_ALU64_IMM(BPF_RSH, BPF_REG_1, 32));
	emit(g, BPF_ALU64_REG(BPF_XOR, BPF_REG_0, BPF_REG_1));
	emit(g, BPF_EXIT_INSN());
}

void progen_stack(struct gen *g)
{
	/*
	 * A risky program may read anywhere; what nobody wrote there would differ from run to run.
	 */
	for (int off = g->main && g->risky ? -512 : -128; off < (g->main ? 0 : -64); off += 8)
		emit(g, BPF_ST_MEM(BPF_DW, BPF_REG_10, off, progen_imm(g)));
}

static void main_program(struct gen *g)
{
	u32 ok;

	g->main = true;
	emit(g, BPF_MOV64_REG(BPF_REG_6, BPF_REG_1));
	emit(g, BPF_ST_MEM(BPF_W, BPF_REG_10, -8, (s32)rnd(g, PROGEN_ARRAY)));
	emit(g, BPF_MOV64_REG(BPF_REG_2, BPF_REG_10));
	emit(g, BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, -8));
	progen_map(g, BPF_REG_1, 0);
	emit(g, BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem));
	emit(g, BPF_JMP_IMM(BPF_JNE, BPF_REG_0, 0, 1));
	emit(g, BPF_EXIT_INSN());
	emit(g, BPF_MOV64_REG(BPF_REG_8, BPF_REG_0));
	emit(g, BPF_LDX_MEM(BPF_W, BPF_REG_7, BPF_REG_6, SKB_DATA));
	emit(g, BPF_LDX_MEM(BPF_W, BPF_REG_1, BPF_REG_6, SKB_DATA_END));
	emit(g, BPF_MOV64_REG(BPF_REG_2, BPF_REG_7));
	emit(g, BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, PROGEN_PACKET));
	ok = emit_jump(g, BPF_JMP_REG(BPF_JLE, BPF_REG_2, BPF_REG_1, 0));
	emit(g, BPF_MOV64_IMM(BPF_REG_0, 3));
	emit(g, BPF_EXIT_INSN());
	aim(g, ok);
	progen_stack(g);
	for (int reg = 0; reg <= 5; reg++) {
		if (rnd(g, 3))
			emit(g, BPF_LDX_MEM(BPF_DW, reg, BPF_REG_7, 14 + (int)rnd(g, 42)));
		else
			emit(g, BPF_MOV64_IMM(reg, progen_imm(g)));
	}
	emit(g, BPF_LDX_MEM(BPF_W, BPF_REG_9, BPF_REG_7, 20));
	progen_statements(g, 5 + rnd(g, g->risky ? 10 : 40));
	mix_and_exit(g);
}

static void subprograms(struct gen *g)
{
	u32 start[MAX_SUBPROGS] = {0};

	g->main = false;
	for (u32 i = 0; i < g->call_cnt; i++) {
		u32 to = g->call_to[i];

		if (!start[to]) {
			start[to] = g->p->cnt;
			func_begins(g);
			progen_stack(g);
			emit(g, BPF_MOV64_IMM(BPF_REG_0, progen_imm(g)));
			progen_statements(g, 3 + rnd(g, 10));
			mix_and_exit(g);
		}
		g->p->insns[g->calls[i]].imm = (s32)(start[to] - g->calls[i] - 1);
	}
}

static void mutate(struct gen *g, struct bpf_insn *insns, u32 cnt)
{
	for (u32 n = 1 + rnd(g, 3); n; n--) {
		struct bpf_insn *insn = &insns[rnd(g, cnt)];

		switch (rnd(g, 8)) {
		case 0:
			insn->dst_reg = rnd(g, 12);
			break;
		case 1:
			insn->src_reg = rnd(g, 12);
			break;
		case 2:
			insn->off += (s16)rnd(g, 33) - 16;
			break;
		case 3:
			insn->imm = progen_imm(g);
			break;
		case 4:
			insn->code = bpf_op_info[rnd(g, BPF_OP_MAX)].code;
			break;
		case 5: /* a whole other instruction */
			*insn = insns[rnd(g, cnt)];
			break;
		case 6:
			insn->imm = (s32)((u32)insn->imm + rnd(g, 9) - 4);
			break;
		default: /* some that do nothing: a check or an initialisation is gone */
			for (u32 i = rnd(g, 4) ? 1 : rnd(g, 32); i && insn < insns + cnt; i--)
				*insn++ = BPF_JMP_A(0);
		}
	}
}

static void seed_rng(struct gen *g, u64 seed)
{
	g->rng = seed * 0x9e3779b97f4a7c15ULL + 1;
	if (!g->rng)
		g->rng = 1;
	for (int i = 0; i < 4; i++)
		progen_random(&g->rng);
}

void progen_mutate(struct bpf_insn *insns, u32 cnt, u64 seed)
{
	struct gen g = {0};

	seed_rng(&g, seed);
	mutate(&g, insns, cnt);
}

void progen_make(struct progen *p, enum progen_kind kind, u64 seed)
{
	struct gen g = {.p = p, .risky = kind == PROGEN_RISKY};

	seed_rng(&g, seed);
	p->seed = seed;
	p->cnt = 0;
	if (kind == PROGEN_AIMED) {
		progen_aim(&g, seed);
	} else if (kind == PROGEN_MIXED) {
		progen_mix(&g);
	} else {
		main_program(&g);
		subprograms(&g);
		progen_callbacks(&g);
	}
	if (kind == PROGEN_MUTATED || (kind == PROGEN_MIXED && !(seed % 4)))
		mutate(&g, p->insns, p->cnt);
}
