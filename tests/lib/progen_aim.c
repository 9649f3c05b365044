/*
 * progen_aim.c - programs of what a verifier follows and often gets wrong
 *
 * Numbers that are copied, added to, spilled and filled in parts of every size and sign, compared,
 * and used as offsets; some with what callbacks and functions do to their caller's stack, some
 * with maps found in maps. The numbers come from the packet and from one value, which hold few
 * different ones (progen_aim_inputs()), and the program compares with the same, so that both ways
 * of a branch are gone.
 *
 * In the main program R6 is the context, R7 the packet with PROGEN_PACKET bytes checked, R8 a
 * value of 64 bytes (spilled at R10-72, the packet at R10-80), R0 to R5 and R9 are numbers. In a
 * function R6 points at the caller's 64 bytes below its R10. The 64 bytes below R10 are where
 * everything is stored, most of them not written at first.
 */
#include "tests/lib/progen_gen.h"

#define SKB_DATA     76
#define SKB_DATA_END 80
#define AREA	     64
#define MAX_FUNCS    4

struct aim {
	struct gen *g;
	bool main, has_value, in_loop;
	u32 depth, level;
	s32 pool[4];
	struct aim_func {
		u32 at;
		enum { BY_CALL, BY_LOOP, BY_EACH } by;
		u32 level;
	} funcs[MAX_FUNCS];
	u32 func_cnt;
};

static void body(struct aim *a, u32 n);
static struct bpf_insn condition(struct aim *a);

static s32 imm(struct aim *a)
{
	u32 k = rnd(a->g, 8);

	if (k < 5)
		return (s32)((u32)a->pool[rnd(a->g, ARRAY_SIZE(a->pool))] + rnd(a->g, 3) - 1);
	return k < 7 ? (s32)rnd(a->g, 20) - 4 : progen_imm(a->g);
}

static void make_pool(struct gen *g, s32 *pool)
{
	static const s32 edges[] = {0,	    0x7f,  0x80,    0xff,	0x7fff,	   0x8000,
				    0xffff, 0x100, 0x10000, 0x7fffffff, INT32_MIN, INT32_MIN + 1,
				    -1,	    -2,	   -128,    -32768,	3,	   8,
				    31};

	for (u32 i = 0; i < 4; i++)
		pool[i] = rnd(g, 3) ? edges[rnd(g, ARRAY_SIZE(edges))] : (s32)rnd(g, 64);
}

static void seed_rng(struct gen *g, u64 seed)
{
	g->rng = seed * 0x9e3779b97f4a7c15ULL + 1;
	if (!g->rng)
		g->rng = 1;
	for (int i = 0; i < 4; i++)
		progen_random(&g->rng);
}

void progen_aim_inputs(u64 seed, u32 run, u8 *bytes, u32 len)
{
	struct gen g = {0};
	s32 pool[4];

	seed_rng(&g, seed);
	make_pool(&g, pool);
	g.rng += run * 0x9e3779b97f4a7c15ULL;
	for (u32 i = 0; i < 4; i++)
		progen_random(&g.rng);
	for (u32 i = 0; i + 8 <= len; i += 8) {
		s64 v = pool[rnd(&g, 4)] + (s64)rnd(&g, 3) - 1;

		switch (rnd(&g, 6)) {
		case 0:
			v = (u32)v;
			break;
		case 1:
			v = (s64)rnd(&g, 70);
			break;
		case 2:
			v = (s64)progen_random(&g.rng);
			break;
		case 3:
			v = (s64)((u64)v << 32 | rnd(&g, 70));
			break;
		}
		memcpy(bytes + i, &v, sizeof(v));
	}
}

/* ---- numbers */

static int number(struct aim *a)
{
	int reg = (int)rnd(a->g, a->in_loop ? 6 : 7);

	return reg == 6 ? BPF_REG_9 : reg;
}

static void arithmetic(struct aim *a)
{
	static const u8 ops[] = {BPF_ADD, BPF_ADD, BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_MOD,
				 BPF_OR,  BPF_AND, BPF_AND, BPF_XOR, BPF_LSH, BPF_RSH, BPF_ARSH};
	struct gen *g = a->g;
	u8 op = ops[rnd(g, ARRAY_SIZE(ops))], class = rnd(g, 2) ? BPF_ALU64 : BPF_ALU;
	bool divides = op == BPF_DIV || op == BPF_MOD;
	s16 off = divides ? (s16)rnd(g, 2) : 0;
	s32 k = imm(a);

	if (!rnd(g, 3)) {
		emit(g, BPF_RAW_INSN(class | op | BPF_X, number(a), number(a), off, 0));
		return;
	}
	if (divides && !k)
		k = 7;
	if (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH)
		k = (rnd(g, 2) ? (s32)rnd(g, 64) : 8 << rnd(g, 3)) & (class == BPF_ALU64 ? 63 : 31);
	emit(g, BPF_RAW_INSN(class | op | BPF_K, number(a), 0, off, k));
}

static void copy(struct aim *a)
{
	struct gen *g = a->g;
	int dst = number(a), src = number(a);

	switch (rnd(g, 6)) {
	case 0:
		emit(g, BPF_MOV32_REG(dst, src));
		break;
	case 1:
		emit(g, BPF_RAW_INSN(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 8 << rnd(g, 3), 0));
		break;
	case 2:
		emit(g, BPF_RAW_INSN(BPF_ALU | BPF_MOV | BPF_X, dst, src, 8 << rnd(g, 2), 0));
		break;
	default:
		emit(g, BPF_MOV64_REG(dst, src));
	}
	if (!rnd(g, 3)) /* and something on top */
		emit(g, BPF_RAW_INSN((rnd(g, 3) ? BPF_ALU64 : BPF_ALU) | BPF_ADD | BPF_K,
				     rnd(g, 2) ? dst : src, 0, 0, (s32)rnd(g, 12) - 4));
}

static void unary(struct aim *a)
{
	int reg = number(a), bits = 16 << rnd(a->g, 3);

	switch (rnd(a->g, 5)) {
	case 0:
		emit(a->g, BPF_NEG64(reg));
		break;
	case 1:
		emit(a->g, BPF_NEG32(reg));
		break;
	case 2:
		emit(a->g, BPF_ENDIAN(BPF_TO_LE, reg, bits));
		break;
	case 3:
		emit(a->g, BPF_ENDIAN(BPF_TO_BE, reg, bits));
		break;
	default:
		emit(a->g, BPF_BSWAP(reg, bits));
	}
}

/* Less than 64, most of the time. */
static void narrow(struct aim *a, int reg)
{
	struct gen *g = a->g;

	switch (rnd(g, 5)) {
	case 0:
		emit(g, BPF_ALU64_IMM(BPF_AND, reg, (s32)(2u << rnd(g, 5)) - 1));
		break;
	case 1:
		emit(g, BPF_ALU64_IMM(BPF_RSH, reg, 58 + (s32)rnd(g, 6)));
		break;
	case 2:
		emit(g, BPF_ALU32_IMM(BPF_AND, reg, (s32)rnd(g, 64)));
		break;
	case 3:
		emit(g, BPF_ALU64_IMM(BPF_MOD, reg, 1 + (s32)rnd(g, 60)));
		break;
	default:
		emit(g, BPF_MOV64_IMM(reg, (s32)rnd(g, 50)));
	}
}

/* ---- stack */

/*
 * A place of 1 << log2 bytes in the area: at the start of a slot more often than not, and in few
 * slots.
 */
static int place(struct aim *a, u32 log2)
{
	struct gen *g = a->g;
	int off = 8 * (int)(rnd(g, 3) ? rnd(g, 2) : rnd(g, AREA / 8));

	if (rnd(g, 3))
		return off;
	return off + (int)(rnd(g, 8) >> log2 << log2);
}

/* The area's base and where it begins: R10, or in a function now and then the caller's. */
static int area(struct aim *a, int *off)
{
	bool callers = !a->main && rnd(a->g, 2);

	*off = callers ? 0 : -AREA;
	return callers ? BPF_REG_6 : BPF_REG_10;
}

static void stack_access(struct aim *a)
{
	static const s32 atomics[] = {
		BPF_ADD,  BPF_XOR,    BPF_ADD | BPF_FETCH, BPF_OR | BPF_FETCH, BPF_AND | BPF_FETCH,
		BPF_XCHG, BPF_CMPXCHG};
	struct gen *g = a->g;
	u32 log2 = rnd(g, 2) ? 3 - !rnd(g, 3) : rnd(g, 4);
	int off, b = area(a, &off), reg = number(a);

	off += place(a, log2);
	switch (rnd(g, 10)) {
	case 0:
		emit(g, BPF_ST_MEM(size_code(log2), b, off, rnd(g, 3) ? imm(a) : 0));
		break;
	case 1:
		log2 = 2 + rnd(g, 2);
		off = off & ~((1 << log2) - 1);
		emit(g, BPF_ATOMIC_OP(size_code(log2), atomics[rnd(g, ARRAY_SIZE(atomics))], b, reg,
				      off));
		break;
	case 2:
	case 3:
		if (log2 < 3) {
			emit(g, BPF_LDX_MEMSX(size_code(log2), reg, b, off));
			break;
		}
		/* fallthrough */
	case 4:
	case 5:
		emit(g, BPF_LDX_MEM(size_code(log2), reg, b, off));
		break;
	default:
		emit(g, BPF_STX_MEM(size_code(log2), b, reg, off));
	}
}

/* A number goes to the stack, comes back in part or whole, and one of the two is compared. */
static void there_and_back(struct aim *a)
{
	struct gen *g = a->g;
	u32 out = rnd(g, 3) ? 3 - rnd(g, 2) : rnd(g, 4), in = rnd(g, 3) ? out : rnd(g, 4);
	int off, b = area(a, &off), src = number(a), dst = number(a);

	off += 8 * (int)rnd(g, 3);
	emit(g, BPF_STX_MEM(size_code(out), b, src, off));
	if (!rnd(g, 4))
		body(a, 1);
	if (in < 3 && rnd(g, 2))
		emit(g, BPF_LDX_MEMSX(size_code(in), dst, b, off));
	else
		emit(g, BPF_LDX_MEM(size_code(in), dst, b, off));
}

/* Anywhere in the area: R1 bounded and added to a pointer in R2. */
static void variable_stack(struct aim *a)
{
	struct gen *g = a->g;
	u32 log2 = rnd(g, 4);
	int off, b = area(a, &off), reg = number(a);

	if (reg == BPF_REG_2)
		reg = BPF_REG_3;
	emit(g, BPF_MOV64_REG(BPF_REG_1, number(a)));
	/* Often a part of a slot, or from the middle of one to the middle of another. */
	if (log2 == 3)
		emit(g, BPF_ALU64_IMM(BPF_AND, BPF_REG_1, 8));
	else
		emit(g, BPF_ALU64_IMM(BPF_AND, BPF_REG_1,
				      (s32)(((2u << rnd(g, 5)) - 1) & ~((1u << log2) - 1))));
	if (log2 < 3 && rnd(g, 2))
		emit(g, BPF_ALU64_IMM(BPF_AND, BPF_REG_1, (s32)(6u << rnd(g, 2)) & -(1 << log2)));
	off += log2 < 3 ? (int)(rnd(g, 3) << log2) : 0;
	emit(g, BPF_MOV64_REG(BPF_REG_2, b));
	emit(g, BPF_ALU64_REG(BPF_ADD, BPF_REG_2, BPF_REG_1));
	if (rnd(g, 2))
		emit(g, BPF_LDX_MEM(size_code(log2), reg, BPF_REG_2, off));
	else if (rnd(g, 2))
		emit(g, BPF_STX_MEM(size_code(log2), BPF_REG_2, reg, off));
	else
		emit(g, BPF_ST_MEM(size_code(log2), BPF_REG_2, off, rnd(g, 2) ? 0 : imm(a)));
	emit(g, BPF_MOV64_REG(BPF_REG_2, BPF_REG_1));
}

/* ---- memory */

static int from_input(struct aim *a, int reg)
{
	struct gen *g = a->g;
	int b = a->main && rnd(g, 2) ? BPF_REG_7 : BPF_REG_8;
	u32 log2 = rnd(g, 4);
	int off = 16 + 8 * (int)rnd(g, 5);

	if (log2 < 3 && rnd(g, 2))
		emit(g, BPF_LDX_MEMSX(size_code(log2), reg, b, off));
	else
		emit(g, BPF_LDX_MEM(size_code(log2), reg, b, off));
	return reg;
}

/* A number is an offset into the value, or the packet. */
static void use(struct aim *a)
{
	struct gen *g = a->g;
	int reg = number(a), other;
	u32 skip = 0;

	if (reg == BPF_REG_2)
		reg = BPF_REG_9;
	if (rnd(g, 3))
		skip = emit_jump(g, BPF_RAW_INSN((rnd(g, 2) ? BPF_JMP : BPF_JMP32) |
							 (rnd(g, 2) ? BPF_JGT : BPF_JGE) | BPF_K,
						 reg, 0, 0, (s32)rnd(g, 56)));
	if (rnd(g, 4))
		emit(g, BPF_MOV64_REG(BPF_REG_2, a->main && !rnd(g, 4) ? BPF_REG_7 : BPF_REG_8));
	else if (a->main)
		emit(g, BPF_LDX_MEM(BPF_DW, BPF_REG_2, BPF_REG_10, rnd(g, 2) ? -72 : -80));
	else
		emit(g, BPF_MOV64_REG(BPF_REG_2, BPF_REG_8));
	emit(g, BPF_ALU64_REG(BPF_ADD, BPF_REG_2, reg));
	other = number(a);
	emit(g, BPF_LDX_MEM(BPF_B, other, BPF_REG_2, 0));
	if (other != BPF_REG_2)
		emit(g, BPF_MOV64_REG(BPF_REG_2, reg));
	if (skip) {
		aim(g, skip);
		emit(g, BPF_MOV64_IMM(BPF_REG_2, imm(a)));
	}
}

/* How a copy differs depends on the way; then the original is compared, and the copy is used. */
static void kin(struct aim *a)
{
	struct gen *g = a->g;
	int kin = number(a), from = kin == BPF_REG_3 ? BPF_REG_4 : BPF_REG_3;
	u32 jump, over, skip;

	if (kin == BPF_REG_2)
		kin = BPF_REG_5;
	from_input(a, from);
	if (rnd(g, 2))
		emit(g, BPF_MOV32_REG(from, from));
	emit(g, BPF_MOV64_REG(kin, from));
	jump = emit_jump(g, condition(a));
	emit(g, BPF_RAW_INSN((rnd(g, 2) ? BPF_ALU64 : BPF_ALU) | BPF_ADD | BPF_K, kin, 0, 0,
			     (s32)rnd(g, 6) - 1));
	over = emit_jump(g, BPF_JMP_A(0));
	aim(g, jump);
	if (rnd(g, 4))
		emit(g, BPF_RAW_INSN((rnd(g, 2) ? BPF_ALU64 : BPF_ALU) | BPF_ADD | BPF_K, kin, 0, 0,
				     (s32)rnd(g, 6) - 1));
	else
		emit(g, BPF_MOV64_IMM(kin, (s32)rnd(g, 40)));
	aim(g, over);
	if (!rnd(g, 3)) {
		emit(g, BPF_STX_MEM(BPF_DW, BPF_REG_10, kin, -AREA));
		emit(g, BPF_LDX_MEM(BPF_DW, kin, BPF_REG_10, -AREA));
	}
	skip = emit_jump(g, BPF_RAW_INSN((rnd(g, 3) ? BPF_JMP : BPF_JMP32) | BPF_JGT | BPF_K, from,
					 0, 0, (s32)rnd(g, 50)));
	emit(g, BPF_MOV64_REG(BPF_REG_2, BPF_REG_8));
	emit(g, BPF_ALU64_REG(BPF_ADD, BPF_REG_2, kin));
	emit(g, BPF_LDX_MEM(BPF_B, BPF_REG_0, BPF_REG_2, 1));
	emit(g, BPF_MOV64_REG(BPF_REG_2, from));
	aim(g, skip);
	emit(g, BPF_MOV64_IMM(BPF_REG_2, imm(a)));
}

/* How far the packet reaches is asked again, from a place that is not known exactly. */
static void packet_range(struct aim *a)
{
	static const u8 conds[] = {BPF_JGT, BPF_JGE, BPF_JLT, BPF_JLE};
	struct gen *g = a->g;
	bool ptr_first = rnd(g, 2);
	u32 over, log2 = rnd(g, 4);
	s32 off = (s32)rnd(g, 40);

	emit(g, BPF_MOV64_REG(BPF_REG_1, number(a)));
	if (rnd(g, 3)) {
		narrow(a, BPF_REG_1);
	} else { /* just to the end of some packets */
		off = 4 + (s32)rnd(g, 32);
		emit(g, BPF_MOV64_IMM(BPF_REG_1,
				      PROGEN_PACKET + 16 * (s32)rnd(g, 2) - off - (1 << log2)));
	}
	emit(g, BPF_MOV64_REG(BPF_REG_2, BPF_REG_7));
	emit(g, BPF_ALU64_REG(BPF_ADD, BPF_REG_2, BPF_REG_1));
	emit(g, BPF_LDX_MEM(BPF_W, BPF_REG_3, BPF_REG_6, SKB_DATA_END));
	emit(g, BPF_MOV64_REG(BPF_REG_4, BPF_REG_2));
	emit(g, BPF_ALU64_IMM(BPF_ADD, BPF_REG_4, off + (1 << log2)));
	over = emit_jump(g, ptr_first ? BPF_JMP_REG(conds[rnd(g, 2)], BPF_REG_4, BPF_REG_3, 0)
				      : BPF_JMP_REG(conds[2 + rnd(g, 2)], BPF_REG_3, BPF_REG_4, 0));
	emit(g, BPF_LDX_MEM(size_code(log2), BPF_REG_5, BPF_REG_2, off));
	aim(g, over);
	if (!rnd(g, 3)) /* decided by now, on one way or on both */
		emit(g, BPF_JMP_REG(conds[rnd(g, 4)], BPF_REG_4, BPF_REG_3, 1));
	emit(g, BPF_MOV64_IMM(BPF_REG_5, imm(a)));
	emit(g, BPF_MOV64_REG(BPF_REG_2, BPF_REG_1));
	emit(g, BPF_MOV64_IMM(BPF_REG_3, imm(a)));
	emit(g, BPF_MOV64_REG(BPF_REG_4, BPF_REG_3));
	emit(g, BPF_MOV64_IMM(BPF_REG_5, imm(a)));
}

static void constant_data(struct aim *a)
{
	const struct bpf_insn two[] = {BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_2,
						    BPF_PSEUDO_MAP_IDX_VALUE, 0, PROGEN_AIM_RODATA),
				       BPF_RAW_INSN(0, 0, 0, 0, 8 * (s32)rnd(a->g, 8))};
	u32 log2 = rnd(a->g, 4);

	emit(a->g, two[0]);
	emit(a->g, two[1]);
	if (log2 < 3 && rnd(a->g, 2))
		emit(a->g, BPF_LDX_MEMSX(size_code(log2), BPF_REG_2, BPF_REG_2, 0));
	else
		emit(a->g, BPF_LDX_MEM(size_code(log2), BPF_REG_2, BPF_REG_2, 0));
}

/* ---- calls */

static void after_call(struct aim *a)
{
	struct gen *g = a->g;

	for (int reg = BPF_REG_1; reg <= BPF_REG_5; reg++) {
		switch (rnd(g, 4)) {
		case 0:
			emit(g, BPF_MOV64_IMM(reg, imm(a)));
			break;
		case 1:
			emit(g, BPF_LDX_MEM(size_code(2 + rnd(g, 2)), reg, BPF_REG_10,
					    -AREA + 8 * (int)rnd(g, 2)));
			break;
		case 2:
			emit(g, BPF_MOV64_REG(reg, reg > 1 ? reg - 1 : BPF_REG_9));
			break;
		default:
			from_input(a, reg);
		}
	}
}

static void key_in_r2(struct aim *a, u32 limit)
{
	struct gen *g = a->g;
	int off = -88 - 4 * (int)rnd(g, 2), reg = number(a);

	if (rnd(g, 4)) {
		emit(g, BPF_ST_MEM(BPF_W, BPF_REG_10, off, (s32)rnd(g, limit)));
	} else {
		emit(g, BPF_ALU32_IMM(BPF_AND, reg, (s32)limit - 1));
		emit(g, BPF_STX_MEM(BPF_W, BPF_REG_10, reg, off));
	}
	emit(g, BPF_MOV64_REG(BPF_REG_2, BPF_REG_10));
	emit(g, BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, off));
}

/* What was found is looked at, with or without a check. */
static void found(struct aim *a, bool check)
{
	struct gen *g = a->g;
	u32 jump = 0;

	if (check)
		jump = emit_jump(g, BPF_JMP_IMM(BPF_JEQ, BPF_REG_0, 0, 0));
	if (rnd(g, 2))
		emit(g, BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_0, 0));
	else
		emit(g, BPF_ST_MEM(BPF_DW, BPF_REG_0, 0, 1));
	if (check)
		aim(g, jump);
	emit(g, BPF_MOV64_IMM(BPF_REG_0, imm(a)));
}

static void lookup(struct aim *a)
{
	struct gen *g = a->g;
	static const int maps[] = {0, 1, PROGEN_AIM_PERCPU};

	key_in_r2(a, 4);
	progen_map(g, BPF_REG_1, maps[rnd(g, ARRAY_SIZE(maps))]);
	emit(g, BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem));
	found(a, rnd(g, 3));
	after_call(a);
}

static void inner_lookup(struct aim *a)
{
	struct gen *g = a->g;
	u32 jump;

	key_in_r2(a, PROGEN_AIM_SLOTS);
	progen_map(g, BPF_REG_1, PROGEN_AIM_OUTER + (int)rnd(g, PROGEN_AIM_OUTERS));
	emit(g, BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem));
	jump = emit_jump(g, BPF_JMP_IMM(BPF_JEQ, BPF_REG_0, 0, 0));
	emit(g, BPF_MOV64_REG(BPF_REG_1, BPF_REG_0));
	emit(g, BPF_ST_MEM(BPF_W, BPF_REG_10, -96, (s32)rnd(g, 4)));
	emit(g, BPF_MOV64_REG(BPF_REG_2, BPF_REG_10));
	emit(g, BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, -96));
	emit(g, BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem));
	found(a, rnd(g, 2));
	aim(g, jump);
	emit(g, BPF_MOV64_IMM(BPF_REG_0, 1));
	after_call(a);
}

static void call(struct aim *a)
{
	struct gen *g = a->g;
	u32 by = rnd(g, 3);

	if (a->func_cnt == MAX_FUNCS || a->level > 1)
		return;
	a->funcs[a->func_cnt] = (struct aim_func){.by = by, .level = a->level + 1};
	if (by == BY_CALL) {
		emit(g, BPF_MOV64_REG(BPF_REG_1, BPF_REG_10));
		emit(g, BPF_ALU64_IMM(BPF_ADD, BPF_REG_1, -AREA));
		a->funcs[a->func_cnt++].at = g->p->cnt;
		emit(g, BPF_CALL_REL(0));
	} else {
		if (by == BY_EACH) {
			progen_map(g, BPF_REG_1, 0);
		} else if (rnd(g, 2)) {
			emit(g, BPF_MOV64_IMM(BPF_REG_1, (s32)rnd(g, 4)));
		} else {
			emit(g, BPF_MOV64_REG(BPF_REG_1, number(a)));
			emit(g, BPF_ALU64_IMM(BPF_AND, BPF_REG_1, 3));
		}
		a->funcs[a->func_cnt++].at = g->p->cnt;
		emit(g, BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_2, BPF_PSEUDO_FUNC, 0, 0));
		emit(g, BPF_RAW_INSN(0, 0, 0, 0, 0));
		emit(g, BPF_MOV64_REG(BPF_REG_3, BPF_REG_10));
		emit(g, BPF_ALU64_IMM(BPF_ADD, BPF_REG_3, -AREA));
		emit(g, BPF_MOV64_IMM(BPF_REG_4, 0));
		emit(g, BPF_EMIT_CALL(by == BY_LOOP ? BPF_FUNC_loop : BPF_FUNC_for_each_map_elem));
	}
	after_call(a);
}

/* ---- control */

static struct bpf_insn condition(struct aim *a)
{
	static const u8 conds[] = {BPF_JEQ,  BPF_JNE,  BPF_JGT,	 BPF_JGE,  BPF_JLT, BPF_JLE,
				   BPF_JSGT, BPF_JSGE, BPF_JSLT, BPF_JSLE, BPF_JSET};
	struct gen *g = a->g;
	u8 class = rnd(g, 2) ? BPF_JMP : BPF_JMP32, op = conds[rnd(g, ARRAY_SIZE(conds))];

	if (!rnd(g, 3))
		return BPF_RAW_INSN(class | op | BPF_X, number(a), number(a), 0, 0);
	return BPF_RAW_INSN(class | op | BPF_K, number(a), 0, 0, imm(a));
}

static void branch(struct aim *a)
{
	struct gen *g = a->g;
	u32 jump = emit_jump(g, condition(a)), over;

	a->depth++;
	body(a, 1 + rnd(g, 2));
	if (rnd(g, 2)) {
		over = emit_jump(g, BPF_JMP_A(0));
		aim(g, jump);
		body(a, 1 + rnd(g, 2));
		aim(g, over);
	} else {
		aim(g, jump);
	}
	a->depth--;
}

/* Two ways to a number, which somebody uses. */
static void choice(struct aim *a)
{
	struct gen *g = a->g;
	int reg = number(a);
	u32 jump;

	emit(g, BPF_MOV64_IMM(reg, (s32)rnd(g, 50)));
	jump = emit_jump(g, condition(a));
	if (rnd(g, 2))
		emit(g, BPF_MOV64_IMM(reg, (s32)rnd(g, 80)));
	else
		emit(g, BPF_ALU64_IMM(BPF_ADD, reg, (s32)rnd(g, 30)));
	aim(g, jump);
	if (rnd(g, 2))
		body(a, 1);
}

/* The same place of this stack or of the caller's. */
static void either_stack(struct aim *a)
{
	struct gen *g = a->g;
	u32 log2 = rnd(g, 4), jump;
	int off = place(a, log2), reg = number(a);

	emit(g, BPF_MOV64_REG(BPF_REG_1, BPF_REG_10));
	emit(g, BPF_ALU64_IMM(BPF_ADD, BPF_REG_1, -AREA));
	jump = emit_jump(g, BPF_JMP_IMM(BPF_JGT, BPF_REG_9, imm(a), 0));
	emit(g, BPF_MOV64_REG(BPF_REG_1, BPF_REG_6));
	aim(g, jump);
	if (rnd(g, 2))
		emit(g, BPF_LDX_MEM(size_code(log2), a->in_loop ? 0 : 9, BPF_REG_1, off));
	else
		emit(g, BPF_STX_MEM(size_code(log2), BPF_REG_1, reg == 1 ? 9 : reg, off));
	emit(g, BPF_MOV64_IMM(BPF_REG_1, imm(a)));
}

static void loop(struct aim *a)
{
	struct gen *g = a->g;
	s32 start, n = 2 + (s32)rnd(g, 4);

	if (a->in_loop)
		return;
	a->in_loop = true;
	a->depth++;
	emit(g, BPF_MOV64_IMM(BPF_REG_9, 0));
	start = (s32)g->p->cnt;
	body(a, 1 + rnd(g, 3));
	emit(g, BPF_ALU64_IMM(BPF_ADD, BPF_REG_9, 1));
	emit(g,
	     BPF_JMP_IMM(rnd(g, 2) ? BPF_JLT : BPF_JNE, BPF_REG_9, n, start - (s32)g->p->cnt - 1));
	a->depth--;
	a->in_loop = false;
}

static void statement(struct aim *a)
{
	u32 kind = rnd(a->g, 40);

	if (kind < 6)
		arithmetic(a);
	else if (kind < 11)
		copy(a);
	else if (kind < 12)
		unary(a);
	else if (kind < 13)
		narrow(a, number(a));
	else if (kind < 20)
		stack_access(a);
	else if (kind < 24)
		there_and_back(a);
	else if (kind < 25)
		variable_stack(a);
	else if (kind < 27)
		from_input(a, number(a));
	else if (kind < 30)
		use(a);
	else if (kind < 33 && a->depth < 3)
		branch(a);
	else if (kind < 34)
		choice(a);
	else if (kind < 35)
		kin(a);
	else if (kind == 35 && a->depth < 2)
		loop(a);
	else if (kind == 36)
		call(a);
	else if (kind == 37 && !a->main)
		either_stack(a);
	else if (kind == 37)
		packet_range(a);
	else if (kind == 38 && !rnd(a->g, 2))
		inner_lookup(a);
	else if (kind == 38)
		lookup(a);
	else if (kind == 39 && !rnd(a->g, 2))
		constant_data(a);
	else
		arithmetic(a);
}

static void body(struct aim *a, u32 n)
{
	while (n-- && a->g->p->cnt < 400)
		statement(a);
}

static void value_in_r8(struct gen *g)
{
	emit(g, BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_8, BPF_PSEUDO_MAP_IDX_VALUE, 0,
			     PROGEN_AIM_VALUE));
	emit(g, BPF_RAW_INSN(0, 0, 0, 0, 0));
}

static void numbers(struct aim *a, int first)
{
	for (int reg = first; reg <= BPF_REG_9; reg++) {
		if (reg == BPF_REG_6)
			reg = BPF_REG_9;
		if (rnd(a->g, 4))
			from_input(a, reg);
		else
			emit(a->g, BPF_MOV64_IMM(reg, imm(a)));
	}
	for (u32 n = rnd(a->g, 4); n; n--)
		emit(a->g,
		     BPF_STX_MEM(BPF_DW, BPF_REG_10, number(a), -AREA + 8 * (int)rnd(a->g, 8)));
}

static void function(struct aim *a, const struct aim_func f)
{
	struct gen *g = a->g;

	g->p->insns[f.at].imm = (s32)(g->p->cnt - f.at - 1);
	a->main = a->in_loop = false;
	a->level = f.level;
	a->depth = 1;
	func_begins(g);
	emit(g, BPF_MOV64_REG(BPF_REG_6, f.by == BY_CALL   ? BPF_REG_1
					 : f.by == BY_LOOP ? BPF_REG_2
							   : BPF_REG_4));
	if (f.by == BY_EACH)
		emit(g, BPF_MOV64_REG(BPF_REG_8, BPF_REG_3));
	else
		value_in_r8(g);
	if (f.by == BY_CALL) { /* what it was given may be anything */
		numbers(a, 0);
	} else {
		emit(g, BPF_MOV64_REG(BPF_REG_0, f.by == BY_LOOP ? BPF_REG_1 : BPF_REG_6));
		if (f.by == BY_EACH)
			emit(g, BPF_MOV64_IMM(BPF_REG_0, 1));
		numbers(a, 1);
	}
	body(a, 2 + rnd(g, 5));
	if (f.by != BY_CALL) {
		if (rnd(g, 2))
			emit(g, BPF_ALU64_IMM(BPF_AND, BPF_REG_0, 1));
		else
			emit(g, BPF_MOV64_IMM(BPF_REG_0, 0));
	}
	emit(g, BPF_EXIT_INSN());
}

void progen_aim(struct gen *g, u64 seed)
{
	struct aim a = {.g = g, .main = true};
	u32 ok;

	seed_rng(g, seed);
	make_pool(g, a.pool);
	emit(g, BPF_MOV64_REG(BPF_REG_6, BPF_REG_1));
	emit(g, BPF_LDX_MEM(BPF_W, BPF_REG_7, BPF_REG_6, SKB_DATA));
	emit(g, BPF_LDX_MEM(BPF_W, BPF_REG_1, BPF_REG_6, SKB_DATA_END));
	emit(g, BPF_MOV64_REG(BPF_REG_2, BPF_REG_7));
	emit(g, BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, PROGEN_PACKET));
	ok = emit_jump(g, BPF_JMP_REG(BPF_JLE, BPF_REG_2, BPF_REG_1, 0));
	emit(g, BPF_MOV64_IMM(BPF_REG_0, 3));
	emit(g, BPF_EXIT_INSN());
	aim(g, ok);
	value_in_r8(g);
	emit(g, BPF_STX_MEM(BPF_DW, BPF_REG_10, BPF_REG_8, -72));
	emit(g, BPF_STX_MEM(BPF_DW, BPF_REG_10, BPF_REG_7, -80));
	numbers(&a, 0);
	body(&a, 3 + rnd(g, 16));
	emit(g, BPF_MOV64_IMM(BPF_REG_0, 0));
	emit(g, BPF_EXIT_INSN());
	for (u32 i = 0; i < a.func_cnt; i++)
		function(&a, a.funcs[i]);
}
