/*
 * jitgen.c - what jitgen.h says
 *
 * Calls go to later subprograms only, and jumps forward but for counted loops, so that each program
 * ends. Of what it chooses, `needed` marks what the meaning of the rest rests on.
 */
#include <string.h>

#include "insn/func.h"
#include "tests/lib/jitgen.h"
#include "tests/lib/model.h"
#include "uapi/bpf_insn.h"

#define BUF_SIZE  JITGEN_BUF_SIZE
#define MAX_INSNS 6000
#define MAX_FUNCS 5

static u64 rng;

static u64 rnd64(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng * 0x2545f4914f6cdd1dULL;
}

static u32 rnd(u32 n)
{
	return (rnd64() >> 33) % n;
}

static struct bpf_insn prog[MAX_INSNS + 4096]; /* and what each function begins and ends with */
static u32 cnt;
static u32 funcs; /* subprograms of this program */
static struct {
	u32 at, func;
} calls[64];
static u32 call_cnt;
static u16 locked; /* registers that are in use as addresses or counters */
static u32 func_now;
static bool plain; /* no divisions, calls, atomics */
static bool private_stack; /* this function uses R10 for nothing but loads and stores */
static bool needed[ARRAY_SIZE(prog)]; /* without it the program has no defined meaning */
static bool need;

static void put(struct bpf_insn insn)
{
	needed[cnt] = need;
	prog[cnt++] = insn;
}

/* A register that may be written. */
static u8 any_dst(void)
{
	u8 r;

	do
		r = rnd(9);
	while (locked >> r & 1);
	return r;
}

static u8 any_src(void)
{
	u8 r;

	do
		r = rnd(9);
	while (locked >> r & 1);
	return r;
}

static u64 any_value(void)
{
	switch (rnd(4)) {
	case 0:
		return rnd64();
	case 1:
		return rnd(256);
	default:
		return model_edges[rnd(model_edge_cnt)] + (s64)(rnd(3)) - 1;
	}
}

static s32 any_imm(void)
{
	return rnd(3) ? (s32)any_value() : 1 << rnd(31);
}

static const u8 alu_ops[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_OR,  BPF_AND, BPF_LSH,
			     BPF_RSH, BPF_NEG, BPF_MOD, BPF_XOR, BPF_MOV, BPF_ARSH};
static const u8 cond_ops[] = {BPF_JEQ,	BPF_JNE,  BPF_JGT,  BPF_JGE,  BPF_JLT, BPF_JLE,
			      BPF_JSGT, BPF_JSGE, BPF_JSLT, BPF_JSLE, BPF_JSET};
static const u8 mem_sizes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};

/*
 * Some functions do without what needs the machine's last registers, so that slots of the stack get
 * them.
 */
static u8 any_alu_op(void)
{
	u8 op;

	do
		op = alu_ops[rnd(ARRAY_SIZE(alu_ops))];
	while (plain && (op == BPF_DIV || op == BPF_MOD || op == BPF_MUL));
	return op;
}

static void gen_alu(u8 dst)
{
	u8 op = any_alu_op(), class = rnd(2) ? BPF_ALU64 : BPF_ALU;
	bool x = op != BPF_NEG && rnd(2), sign = (op == BPF_DIV || op == BPF_MOD) && rnd(2);
	s32 imm = any_imm();

	if (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH)
		imm = rnd(class == BPF_ALU64 ? 64 : 32);
	if (op == BPF_NEG)
		imm = 0;
	put(BPF_RAW_INSN(class | op | (x ? BPF_X : BPF_K), dst, x ? any_src() : 0, sign,
			 x ? 0 : imm));
}

static void gen_convert(u8 dst)
{
	static const u8 bits[] = {16, 32, 64};

	switch (rnd(4)) {
	case 0:
		put(BPF_ENDIAN(rnd(2) ? BPF_TO_LE : BPF_TO_BE, dst, bits[rnd(3)]));
		break;
	case 1:
		put(BPF_BSWAP(dst, bits[rnd(3)]));
		break;
	case 2:
		put(BPF_MOVSX64_REG(dst, any_src(), 8 << rnd(3)));
		break;
	default:
		put(BPF_MOVSX32_REG(dst, any_src(), 8 << rnd(2)));
		break;
	}
}

/*
 * A place: base register and displacement, `align` bytes aligned. May emit the address's
 * computation.
 */
static void gen_place(u32 size, u32 align, u8 *base, s16 *off)
{
	u32 at = rnd((BUF_SIZE - 8) / align) * align;

	switch (rnd(5)) {
	case 4: { /* an address that is read and then moved on */
		u8 index = any_dst();

		locked |= 1 << index;
		*base = any_dst();
		locked |= 1 << *base;
		put(BPF_ALU64_IMM(BPF_AND, index, 15));
		put(BPF_MOV64_REG(*base, BPF_REG_9));
		if (rnd(2))
			put(BPF_LDX_MEM(BPF_DW, any_dst(), *base, 8));
		if (rnd(2))
			put(BPF_ALU64_IMM(BPF_LSH, index, 3));
		else
			put(BPF_ALU64_IMM(BPF_AND, index, 8));
		put(BPF_ALU64_REG(BPF_ADD, *base, index));
		if (rnd(2))
			put(BPF_ALU64_IMM(BPF_ADD, *base, 8));
		*off = at / 4 / 8 * 8;
		locked &= ~(1 << index);
		if (rnd(2))
			put(BPF_MOV64_IMM(index, 4));
		return;
	}
	case 0:
		*base = BPF_REG_10;
		if (private_stack ? rnd(16) : rnd(2)) {
			/*
			 * a few slots that are used often, mostly whole: halves where gen_stack()
			 * does, too
			 */
			u32 slot = 2 + rnd(12);

			if (private_stack && slot % 2 != (size == 4) && rnd(8))
				slot ^= 1;
			*off = -8 * (s32)slot + (size == 4 ? 4 * rnd(2) : 0);
			return;
		}
		*off = -(s32)(8 + rnd((512 - 8) / 8) * 8);
		if (align == 1)
			*off += rnd(8 - size + 1);
		else if (align == 4 && size == 4)
			*off += 4 * rnd(2);
		return;
	case 1:
		*base = BPF_REG_9;
		*off = at;
		return;
	case 2: /* a copy of an address */
		*base = any_dst();
		locked |= 1 << *base;
		if (!private_stack && rnd(2)) {
			*off = 8 * rnd(8);
			put(BPF_MOV64_REG(*base, BPF_REG_10));
			put(BPF_ALU64_IMM(BPF_ADD, *base, -72 - 8 * (s32)rnd(50)));
			return;
		}
		*off = (s32)at - 64;
		put(BPF_MOV64_REG(*base, BPF_REG_9));
		put(BPF_ALU64_IMM(BPF_ADD, *base, 64));
		return;
	default: { /* indexed */
		u8 index = any_dst();

		locked |= 1 << index;
		*base = any_dst();
		locked |= 1 << *base;
		put(BPF_ALU64_IMM(BPF_AND, index, 15));
		if (rnd(2)) {
			put(BPF_ALU64_IMM(BPF_LSH, index, 3));
			put(BPF_MOV64_REG(*base, BPF_REG_9));
			put(BPF_ALU64_REG(BPF_ADD, *base, index));
		} else {
			put(BPF_MOV64_REG(*base, index));
			put(BPF_ALU64_IMM(BPF_LSH, *base, 3));
			put(BPF_ALU64_REG(BPF_ADD, *base, BPF_REG_9));
		}
		*off = rnd(2) ? at / 2 / 8 * 8 : 0;
		locked &= ~(1 << index);
	}
	}
}

/* The address leaves the register, so that no engine's stack shows. */
static void end_place(u8 base)
{
	if (base < 9) {
		locked &= ~(1 << base);
		need = true;
		put(BPF_MOV64_IMM(base, any_imm()));
		need = false;
	}
}

static void gen_memory(void)
{
	u8 size = mem_sizes[rnd(4)], base;
	u32 bytes = bpf_size_to_bytes(size);
	s16 off;

	gen_place(bytes, rnd(2) ? 1 : bytes, &base, &off);
	switch (rnd(5)) {
	case 0:
		put(BPF_ST_MEM(size, base, off, any_imm()));
		break;
	case 1:
		put(BPF_STX_MEM(size, base, any_src(), off));
		break;
	case 2:
		if (bytes < 8) {
			put(BPF_LDX_MEMSX(size, any_dst(), base, off));
			break;
		}
		/* fallthrough */
	case 3: {
		u8 dst = any_dst();

		put(BPF_LDX_MEM(size, dst, base, off));
		if (!rnd(3)) /* network order */
			put(BPF_ENDIAN(BPF_TO_BE, dst, bytes == 1 ? 16 : bytes * 8));
		else if (!rnd(3)) /* load, compute, store */
			gen_alu(dst), put(BPF_STX_MEM(size, base, dst, off));
		break;
	}
	default: { /* load and compare */
		u8 dst = any_dst();

		put(BPF_LDX_MEM(size, dst, base, off));
		put(BPF_RAW_INSN((rnd(2) ? BPF_JMP : BPF_JMP32) | cond_ops[rnd(11)] | BPF_K, dst, 0,
				 1, any_imm()));
		put(BPF_ALU64_IMM(BPF_ADD, any_dst(), 1));
		if (rnd(2))
			put(BPF_MOV64_IMM(dst, 3));
	}
	}
	end_place(base);
}

/*
 * A counter: load, modify, store; and what almost is one: another place or size in between, a value
 * that is read once more, an operand or an address that changes.
 */
static void gen_counter(void)
{
	static const u8 ops[] = {BPF_ADD, BPF_ADD, BPF_OR, BPF_AND, BPF_SUB, BPF_XOR, BPF_LSH};
	u8 size = mem_sizes[rnd(4)], base, loaded, other, stored;
	u32 bytes = bpf_size_to_bytes(size);
	u8 class = rnd(2) ? BPF_ALU64 : BPF_ALU, op = ops[rnd(ARRAY_SIZE(ops))];
	s16 off;

	gen_place(bytes, rnd(2) ? 1 : bytes, &base, &off);
	loaded = any_dst();
	other = any_dst();
	put(BPF_LDX_MEM(size, loaded, base, off));
	if (!rnd(4))
		gen_alu(any_dst());
	if (!rnd(8))
		put(rnd(2) ? BPF_LDX_MEM(size, other, base, off)
			   : BPF_ST_MEM(size, base, off, any_imm()));
	if (rnd(2)) {
		stored = loaded;
		put(rnd(2) ? BPF_RAW_INSN(class | op | BPF_K, loaded, 0, 0,
					  op == BPF_LSH ? 3 : any_imm())
			   : BPF_RAW_INSN(class | op | BPF_X, loaded, other, 0, 0));
	} else {
		stored = other;
		put(BPF_RAW_INSN(class | op | BPF_X, other, loaded, 0, 0));
	}
	if (!rnd(4))
		gen_alu(any_dst());
	if (!rnd(8))
		off &= ~8; /* down, so that it stays inside */
	if (!rnd(8))
		size = mem_sizes[rnd(1 + (bytes >= 2) + (bytes >= 4) + (bytes == 8))];
	put(BPF_STX_MEM(size, base, stored, off));
	if (rnd(4))
		put(BPF_MOV64_IMM(loaded, 1));
	if (rnd(4))
		put(BPF_MOV64_IMM(other, 2));
	end_place(base);
}

static void gen_atomic(void)
{
	static const s32 ops[] = {BPF_ADD,
				  BPF_OR,
				  BPF_AND,
				  BPF_XOR,
				  BPF_ADD | BPF_FETCH,
				  BPF_OR | BPF_FETCH,
				  BPF_AND | BPF_FETCH,
				  BPF_XOR | BPF_FETCH,
				  BPF_XCHG,
				  BPF_CMPXCHG};
	s32 op = ops[rnd(ARRAY_SIZE(ops))];
	u8 size = rnd(2) ? BPF_W : BPF_DW, base;
	s16 off;

	if (plain)
		return;
	locked |= 1; /* R0 is no address: cmpxchg would change it */
	gen_place(bpf_size_to_bytes(size), bpf_size_to_bytes(size), &base, &off);
	locked &= ~1;
	if (rnd(2) && !(locked & 1))
		put(BPF_LDX_MEM(size, 0, base, off));
	put(BPF_ATOMIC_OP(size, op, base, any_src(), off));
	end_place(base);
}

/* What compilers make often. */
/* Quotient and remainder; and what almost is that. */
static void gen_divmod(u8 class)
{
	u8 q = any_dst(), x = any_dst(), y = any_src();
	u8 other = rnd(8) ? class : BPF_ALU;

	if (!rnd(8))
		put(BPF_ALU64_IMM(BPF_AND, y, 1));
	put(BPF_RAW_INSN(class | BPF_MOV | BPF_X, q, x, 0, 0));
	if (!rnd(4))
		gen_alu(any_dst());
	put(BPF_RAW_INSN(class | BPF_DIV | BPF_X, q, y, 0, 0));
	if (rnd(2))
		put(BPF_ALU64_REG(BPF_ADD, any_dst(), q));
	if (!rnd(6))
		gen_alu(any_dst());
	put(BPF_RAW_INSN(other | BPF_MUL | BPF_X, q, y, 0, 0));
	if (!rnd(6))
		put(BPF_ALU64_REG(BPF_XOR, any_dst(), any_src()));
	put(BPF_RAW_INSN(class | BPF_SUB | BPF_X, x, q, 0, 0));
	if (rnd(8))
		put(BPF_MOV64_IMM(q, 1));
}

static void gen_pattern(void)
{
	u8 a = any_dst(), b = any_src(), c = any_src();
	u8 class = rnd(2) ? BPF_ALU64 : BPF_ALU;

	switch (rnd(10)) {
	case 0: /* three operands */
		put(BPF_RAW_INSN(class | BPF_MOV | BPF_X, a, b, 0, 0));
		gen_alu(a);
		break;
	case 1: /* zero extension by hand */
		put(BPF_ALU64_IMM(BPF_LSH, a, 32));
		put(BPF_ALU64_IMM(rnd(2) ? BPF_RSH : BPF_ARSH, a, 32));
		break;
	case 2: /* rotation */
	{
		u32 n = class == BPF_ALU64 ? 64 : 32, k = 1 + rnd(n - 1);
		u8 t = any_dst();

		put(BPF_RAW_INSN(class | BPF_MOV | BPF_X, t, b, 0, 0));
		put(BPF_RAW_INSN(class | BPF_LSH | BPF_K, t, 0, 0, k));
		put(BPF_RAW_INSN(class | BPF_RSH | BPF_K, b, 0, 0, n - k));
		put(BPF_RAW_INSN(class | (rnd(2) ? BPF_OR : BPF_XOR) | BPF_X, t, b, 0, 0));
		if (rnd(2))
			put(BPF_MOV64_IMM(b, 1));
		break;
	}
	case 3:
		put(BPF_MOV32_REG(a, rnd(2) ? a : b));
		put(BPF_RAW_INSN(class | alu_ops[rnd(6)] | BPF_X, a, c, 0, 0));
		break;
	case 4: /* scaled index */
		put(BPF_MOV64_REG(a, b));
		put(BPF_ALU64_IMM(BPF_LSH, a, rnd(5)));
		put(BPF_ALU64_REG(BPF_ADD, a, c));
		if (rnd(2))
			put(BPF_ALU64_IMM(BPF_ADD, a, any_imm()));
		break;
	case 5: /* mask, then test */
		put(BPF_RAW_INSN(class | BPF_AND | BPF_K, a, 0, 0, any_imm()));
		put(BPF_RAW_INSN((rnd(2) ? BPF_JMP : BPF_JMP32) | cond_ops[rnd(11)] | BPF_K, a, 0,
				 1, rnd(2) ? 0 : any_imm()));
		put(BPF_ALU64_REG(BPF_XOR, any_dst(), c));
		break;
	case 6: /* a value out of a condition */
		put(BPF_MOV64_IMM(a, rnd(4)));
		put(BPF_RAW_INSN((rnd(2) ? BPF_JMP : BPF_JMP32) | cond_ops[rnd(11)] | BPF_X, b, 0,
				 1, 0));
		prog[cnt - 1].src_reg = c;
		if (rnd(2))
			put(BPF_MOV64_IMM(a, rnd(4)));
		else
			put(BPF_MOV64_REG(a, any_src()));
		break;
	case 8:
		if (!plain)
			gen_divmod(class);
		break;
	case 7:
		put(BPF_MOV64_REG(a, b));
		put(BPF_MOV64_REG(b, c));
		put(BPF_MOV64_REG(c, a));
		break;
	default:
		put(BPF_RAW_INSN(class | BPF_MOV | BPF_K, a, 0, 0, any_imm()));
		put(BPF_RAW_INSN((rnd(2) ? BPF_ALU64 : BPF_ALU) | alu_ops[rnd(13)] | BPF_X, b, a, 0,
				 0));
		if (BPF_OP(prog[cnt - 1].code) == BPF_NEG)
			prog[cnt - 1] = (struct bpf_insn)BPF_NEG64(b);
		break;
	}
}

static u64 helper(u64 a, u64 b, u64 c, u64 d, u64 e)
{
	return (((a * 31 + b) * 31 + c) * 31 + d) * 31 + e;
}

static void gen_call(void)
{
	bool sub = func_now + 1 < funcs && call_cnt < 5 && rnd(2);

	if (locked & 0x3f || plain)
		return;
	need = true;
	if (sub) {
		put(BPF_MOV64_REG(1, 9));
		calls[call_cnt].at = cnt;
		calls[call_cnt++].func = func_now + 1 + rnd(funcs - func_now - 1);
		put(BPF_CALL_REL(0));
	} else {
		put(BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_CALL_IMM(helper)));
	}
	for (int r = 1; r <= 5; r++) /* gone: each engine leaves something else there */
		put(rnd(2) ? BPF_MOV64_REG(r, 6 + rnd(3)) : BPF_MOV64_IMM(r, any_imm()));
	need = false;
}

static void gen_block(u32 len, int depth);

static u64 table[8] = {1, 2, 3, 5, 8, 13, 21, 34};

/*
 * A lookup in an array as the rewriter makes it, and what is done about NULL. Addresses are the
 * same for both.
 */
static void gen_lookup(void)
{
	u32 entries = 1 + rnd(8), at;
	u8 addr = 1 + rnd(5);
	s16 off = 4 * (s32)rnd(BUF_SIZE / 4);
	struct bpf_insn ld[] = {BPF_LD_IMM64(addr, (uintptr_t)table)};

	if (locked & 0x3f)
		return;
	put(BPF_ST_MEM(BPF_W, 9, off, rnd(10)));
	put(BPF_LDX_MEM(BPF_W, 0, 9, off));
	put(BPF_RAW_INSN(BPF_JMP32 | BPF_JGE | BPF_K, 0, 0, 5, entries));
	put(rnd(2) ? BPF_ALU64_IMM(BPF_LSH, 0, 3) : BPF_ALU64_IMM(BPF_MUL, 0, 8));
	put(ld[0]);
	put(ld[1]);
	put(BPF_ALU64_REG(BPF_ADD, 0, addr));
	put(BPF_JMP_A(1));
	put(BPF_MOV64_IMM(0, rnd(8) ? 0 : 1));
	at = cnt;
	put(BPF_JMP_IMM(rnd(2) ? BPF_JEQ : BPF_JNE, 0, rnd(8) ? 0 : 1, 0));
	if (rnd(2))
		put(BPF_MOV64_IMM(0, any_imm()));
	gen_alu(any_dst());
	prog[at].off = (s16)(cnt - at - 1);
	if (rnd(2)) {
		put(BPF_ALU64_IMM(BPF_ADD, any_dst(), 1));
		prog[at].off++;
		put(BPF_ALU64_REG(BPF_XOR, any_dst(), 0));
	}
}

/* Jumps to jumps. */
static void gen_chain(void)
{
	put(BPF_RAW_INSN((rnd(2) ? BPF_JMP : BPF_JMP32) | cond_ops[rnd(11)] | BPF_K, any_src(), 0,
			 1 + rnd(2), any_imm()));
	put(BPF_JMP_A(rnd(3)));
	put(rnd(2) ? BPF_JMP_A(1) : BPF_JMP32_A(1));
	put(BPF_ALU64_IMM(BPF_ADD, any_dst(), 1));
	put(BPF_ALU64_IMM(BPF_ADD, any_dst(), 2));
}

static void gen_jump(int depth)
{
	u32 at = cnt, kind = rnd(8);

	if (kind == 0)
		put(BPF_JMP_A(0));
	else if (kind == 1)
		put(BPF_JMP32_A(0));
	else
		put(BPF_RAW_INSN((rnd(2) ? BPF_JMP : BPF_JMP32) | cond_ops[rnd(11)] |
					 (rnd(2) ? BPF_K : BPF_X),
				 any_src(), 0, 0, 0));
	if (BPF_OP(prog[at].code) != BPF_JA) {
		if (BPF_SRC(prog[at].code) == BPF_X)
			prog[at].src_reg = any_src();
		else
			prog[at].imm = any_imm();
	}
	gen_block(rnd(12), depth + 1);
	if (kind == 1)
		prog[at].imm = cnt - at - 1;
	else
		prog[at].off = cnt - at - 1;
}

static void gen_loop(int depth)
{
	u8 counter = 6 + rnd(3);
	u32 head;

	if (locked >> counter & 1)
		return;
	put(BPF_MOV64_IMM(counter, 1 + rnd(5)));
	locked |= 1 << counter;
	head = cnt;
	gen_block(1 + rnd(10), depth + 1);
	put(BPF_RAW_INSN((rnd(2) ? BPF_ALU64 : BPF_ALU) | BPF_SUB | BPF_K, counter, 0, 0, 1));
	put(BPF_RAW_INSN((rnd(2) ? BPF_JMP : BPF_JMP32) | (rnd(2) ? BPF_JNE : BPF_JSGT) | BPF_K,
			 counter, 0, head - cnt - 1, 0));
	locked &= ~(1 << counter);
}

/*
 * An address of two registers, read several times in a row: as an address, by an address that is
 * made of it, or as a number; on some ways it, or what it is made of, is something else.
 */
static void gen_shared_address(void)
{
	u8 index = any_dst(), from, base, other;
	bool made = false;

	locked |= 1 << index;
	from = any_dst();
	locked |= 1 << from;
	base = any_dst();
	locked |= 1 << base;
	other = any_dst();
	locked |= 1 << other;
	put(BPF_ALU64_IMM(BPF_AND, index, 15));
	put(BPF_MOV64_REG(from, BPF_REG_9));
	if (rnd(2)) {
		put(BPF_MOV64_REG(base, BPF_REG_9));
		put(BPF_JMP_IMM(cond_ops[rnd(11)], index, rnd(16), 2));
	}
	put(BPF_MOV64_REG(base, from));
	put(BPF_ALU64_REG(BPF_ADD, base, index));
	for (u32 k = 2 + rnd(4); k--;) {
		switch (rnd(7)) {
		case 0:
			put(BPF_JMP_IMM(cond_ops[rnd(11)], index, rnd(16), 1));
			/* fallthrough */
		case 1:
			put(BPF_LDX_MEM(BPF_DW, any_dst(), base, rnd(32)));
			break;
		case 2:
			put(BPF_MOV64_REG(other, base));
			put(BPF_ALU64_IMM(BPF_ADD, other, rnd(32)));
			made = true;
			break;
		case 3:
			put(BPF_STX_MEM(BPF_W, made ? other : base, index, rnd(32)));
			break;
		case 4:
			put(BPF_LDX_MEM(BPF_W, any_dst(), made ? other : base, rnd(32)));
			break;
		case 5:
			if (rnd(2))
				put(BPF_ALU64_IMM(BPF_ADD, from, 8));
			else
				put(BPF_ALU64_IMM(BPF_XOR, index, 5));
			break;
		case 6: { /* where the jump goes it is read as a number */
			u8 number = any_dst();

			put(BPF_JMP_IMM(cond_ops[rnd(11)], index, rnd(16), 1));
			put(BPF_LDX_MEM(BPF_DW, base, base, rnd(32)));
			put(BPF_MOV64_REG(number, base));
			put(BPF_ALU64_IMM(BPF_AND, number, 7));
			end_place(base);
			put(BPF_MOV64_REG(base, BPF_REG_9));
			locked |= 1 << base;
		}
		}
	}
	locked &= ~(1 << index);
	end_place(base);
	end_place(from);
	end_place(other);
}

/*
 * One access, or two, at `from` and what walks; perhaps by a copy, perhaps with a look at the end.
 */
static void gen_walk_access(u8 from, u8 walker, s32 step)
{
	u8 size = mem_sizes[rnd(4)], index = walker, base = any_dst(), other;
	bool copied = step ? rnd(2) : rnd(3) == 0;

	locked |= 1 << base;
	other = any_dst();
	locked |= 1 << other;
	if (copied) {
		index = any_dst();
		put(BPF_MOV64_REG(index, walker));
		if (rnd(2))
			put(BPF_ALU64_IMM(BPF_ADD, any_dst(), 3));
		locked |= 1 << index;
	}
	if (step)
		put(BPF_ALU64_IMM(BPF_ADD, walker, step));
	if (rnd(2)) {
		put(BPF_MOV64_REG(base, from));
		put(BPF_ALU64_REG(BPF_ADD, base, index));
	} else {
		put(BPF_MOV64_REG(base, index));
		if (rnd(2))
			put(BPF_ALU64_IMM(BPF_LSH, base, rnd(2)));
		put(BPF_ALU64_REG(BPF_ADD, base, from));
	}
	if (rnd(2)) { /* to where: the same number in every engine */
		put(BPF_MOV64_REG(other, base));
		put(BPF_ALU64_IMM(BPF_ADD, other, rnd(8)));
		put(BPF_ALU64_REG(BPF_SUB, other, BPF_REG_9));
		put(BPF_JMP_IMM(cond_ops[rnd(11)], other, rnd(80), 2));
		put(BPF_MOV64_REG(other, BPF_REG_9));
		put(BPF_ALU64_REG(BPF_SUB, other, BPF_REG_9));
	}
	if (rnd(2))
		put(BPF_STX_MEM(size, base, rnd(2) ? other : walker, rnd(8)));
	put(BPF_LDX_MEM(size, rnd(2) ? base : other, base, rnd(8)));
	locked &= ~(1 << other | 1 << index);
	locked |= 1 << walker;
	end_place(base);
}

/* A loop with an index that is stepped: always, perhaps, twice, or changed in other ways, too. */
static void gen_walk(int depth)
{
	/* calls keep them */
	u8 counter = 6 + rnd(3), walker = counter == 8 ? 6 : counter + 1,
	   third = 21 - counter - walker;
	u8 from = rnd(2) || locked >> third & 1 ? BPF_REG_9 : third;
	s32 step = 1 + (s32)rnd(8);
	u32 head;

	if ((locked >> counter | locked >> walker) & 1)
		return;
	locked |= 1 << counter | 1 << walker | 1 << from;
	need = true;
	if (from != BPF_REG_9)
		put(BPF_MOV64_REG(from, BPF_REG_9));
	put(BPF_MOV64_IMM(counter, 1 + rnd(5)));
	put(BPF_MOV64_IMM(walker, 24 + rnd(8)));
	need = false;
	if (rnd(2))
		step = -step / 2;
	if (rnd(4) == 0) /* sometimes not entered at its head */
		put(BPF_JMP_IMM(cond_ops[rnd(11)], any_src(), any_imm(), 2));
	head = cnt;
	put(BPF_LDX_MEM(BPF_DW, any_dst(), BPF_REG_9, 0));
	put(BPF_ALU64_IMM(BPF_ADD, any_dst(), 1));
	if (rnd(2))
		gen_walk_access(from, walker, 0);
	if (rnd(2))
		gen_block(rnd(4), depth + 1);
	if (rnd(4) == 0) {
		put(BPF_ALU64_REG(BPF_ADD, walker, counter));
		put(BPF_ALU64_IMM(BPF_AND, walker, 31));
		put(BPF_ALU64_IMM(BPF_OR, walker, 16));
	}
	if (rnd(2)) {
		if (rnd(4) == 0)
			put(BPF_JMP_IMM(cond_ops[rnd(11)], any_src(), any_imm(), 1));
		put(BPF_ALU64_IMM(BPF_ADD, walker, step));
		step = 0;
	}
	if (rnd(8) == 0)
		put(BPF_ALU64_IMM(BPF_ADD, walker, 1));
	if (from != BPF_REG_9 && rnd(2))
		put(BPF_ALU64_IMM(BPF_ADD, from, 8));
	gen_walk_access(from, walker, step);
	put(BPF_ALU64_IMM(BPF_SUB, counter, 1));
	put(BPF_JMP_IMM(BPF_JNE, counter, 0, (s32)head - (s32)cnt - 1));
	locked &= ~(1 << counter | 1 << walker);
	end_place(from);
}

static void gen_block(u32 len, int depth)
{
	for (u32 i = 0; i < len && cnt < MAX_INSNS; i++) {
		switch (rnd(20)) {
		default:
			gen_alu(any_dst());
			break;
		case 6:
			gen_convert(any_dst());
			break;
		case 5:
			gen_counter();
			break;
		case 7:
		case 8:
		case 9:
			gen_memory();
			break;
		case 10:
			gen_atomic();
			break;
		case 11:
		case 12:
		case 13:
			gen_pattern();
			break;
		case 14: {
			struct bpf_insn ld[] = {BPF_LD_IMM64(any_dst(), any_value())};

			put(ld[0]);
			put(ld[1]);
			break;
		}
		case 4:
			if (rnd(2))
				gen_lookup();
			else
				gen_chain();
			break;
		case 15:
			gen_call();
			break;
		case 16:
		case 17:
			if (depth < 4)
				gen_jump(depth);
			break;
		case 18:
			if (depth < 3 && rnd(2))
				gen_loop(depth);
			else if (depth < 3)
				gen_walk(depth);
			break;
		case 19:
			gen_shared_address();
			break;
		}
	}
}

/* r0 = all that this function knows, without what needs the machine's last registers. */
static void gen_fold_plain(void)
{
	for (int r = 1; r < 9; r++) {
		put(BPF_BSWAP(0, 64));
		put(BPF_ALU64_REG(BPF_ADD, 0, r));
	}
	for (int k = 1; k <= 64; k++) {
		if (k % 2) {
			put(BPF_LDX_MEM(BPF_W, 1, 10, -8 * k));
			put(BPF_LDX_MEM(BPF_W, 2, 10, -8 * k + 4));
			put(BPF_ALU64_IMM(BPF_LSH, 2, 32));
			put(BPF_ALU64_REG(BPF_OR, 1, 2));
		} else {
			put(BPF_LDX_MEM(BPF_DW, 1, 10, -8 * k));
		}
		put(BPF_ALU64_REG(BPF_SUB, 0, 1));
		put(BPF_BSWAP(0, 64));
		put(BPF_ALU64_REG(BPF_ADD, 0, 1));
	}
	put(BPF_EXIT_INSN());
}

static void gen_fold(void)
{
	if (private_stack) {
		gen_fold_plain();
		return;
	}
	for (int r = 1; r < 9; r++) {
		put(BPF_ALU64_IMM(BPF_MUL, 0, 31));
		put(BPF_ALU64_REG(BPF_ADD, 0, r));
	}
	for (int k = 1; k <= 64; k++) {
		put(BPF_LDX_MEM(BPF_DW, 1, 10, -8 * k));
		put(BPF_ALU64_IMM(BPF_MUL, 0, 33));
		put(BPF_ALU64_REG(BPF_XOR, 0, 1));
	}
	put(BPF_EXIT_INSN());
}

/* All of it is written; in halves where gen_fold_plain() reads halves. */
static void gen_stack(void)
{
	for (int k = 1; k <= 64; k++) {
		if (private_stack && k % 2) {
			put(BPF_ST_MEM(BPF_W, 10, -8 * k, (s32)any_value()));
			put(BPF_ST_MEM(BPF_W, 10, -8 * k + 4, (s32)any_value()));
		} else {
			put(BPF_ST_MEM(BPF_DW, 10, -8 * k, (s32)any_value()));
		}
	}
}

static void gen_func(u32 len)
{
	private_stack = rnd(2);
	plain = rnd(2);
	need = true;
	put(BPF_MOV64_REG(9, 1));
	gen_stack();
	for (int r = 0; r < 9; r++)
		put(BPF_LDX_MEM(BPF_DW, r, 9, 8 * rnd(BUF_SIZE / 8)));
	need = false;
	locked = 0;
	gen_block(len, 0);
	gen_fold();
}

void jitgen_make(struct jitgen *gen, u64 seed)
{
	u32 starts[MAX_FUNCS];

	rng = seed * 0x9e3779b97f4a7c15ULL | 1;
	rnd64();
	cnt = call_cnt = 0;
	funcs = rnd(3) ? 1 : 1 + rnd(MAX_FUNCS);
	for (func_now = 0; func_now < funcs; func_now++) {
		starts[func_now] = cnt;
		gen_func(1 + rnd(rnd(4) ? 30 : 200));
	}
	for (u32 i = 0; i < call_cnt; i++)
		prog[calls[i].at].imm = starts[calls[i].func] - calls[i].at - 1;
	*gen = (struct jitgen){.prog = prog, .needed = needed, .cnt = cnt};
}

void jitgen_fill(u8 *buf, u64 seed)
{
	rng = seed + 12345;
	for (u32 i = 0; i < BUF_SIZE; i += 8) {
		u64 v = any_value();

		memcpy(buf + i, &v, 8);
	}
}
