/* model.c - RFC 9669, one instruction at a time. See model.h. */
#include "tests/lib/model.h"

const u64 model_edges[] = {
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
	0x80000001,
	0xfffffffe,
	0xffffffff,
	0x100000000,
	0x123456789abcdef0,
	0x7fffffffffffffff,
	0x8000000000000000,
	0xffffffff80000000,
	0xfffffffffffffffe,
	0xffffffffffffffff,
};
const u32 model_edge_cnt = ARRAY_SIZE(model_edges);

static u64 divide(u64 a, u64 b, bool is64, bool sign, bool mod)
{
	s64 sa, sb;

	if (!b)
		return mod ? a : 0;
	if (!sign)
		return mod ? a % b : a / b;
	sa = is64 ? (s64)a : (s32)a;
	sb = is64 ? (s64)b : (s32)b;
	if (sb == -1)
		return mod ? 0 : 0 - (u64)sa;
	return mod ? sa % sb : sa / sb;
}

static u64 swap(u64 v, int bits)
{
	switch (bits) {
	case 16:
		return __builtin_bswap16(v);
	case 32:
		return __builtin_bswap32(v);
	default:
		return __builtin_bswap64(v);
	}
}

static int alu(struct model *m, const struct bpf_insn *insn)
{
	bool is64 = BPF_CLASS(insn->code) == BPF_ALU64, x = BPF_SRC(insn->code) == BPF_X;
	u64 a = m->r[insn->dst_reg], b = x ? m->r[insn->src_reg] : (u64)(s64)insn->imm, res;
	int bits = is64 ? 64 : 32;

	if (BPF_OP(insn->code) == BPF_END) {
		u64 mask = insn->imm == 64 ? ~0ULL : (1ULL << insn->imm) - 1;

		if (is64 || x)
			m->r[insn->dst_reg] = swap(a, insn->imm);
		else
			m->r[insn->dst_reg] = a & mask;
		return 0;
	}
	if (!is64) {
		a = (u32)a;
		b = (u32)b;
	}
	switch (BPF_OP(insn->code)) {
	case BPF_ADD:
		res = a + b;
		break;
	case BPF_SUB:
		res = a - b;
		break;
	case BPF_MUL:
		res = a * b;
		break;
	case BPF_DIV:
	case BPF_MOD:
		res = divide(a, b, is64, insn->off == 1, BPF_OP(insn->code) == BPF_MOD);
		break;
	case BPF_OR:
		res = a | b;
		break;
	case BPF_AND:
		res = a & b;
		break;
	case BPF_XOR:
		res = a ^ b;
		break;
	case BPF_LSH:
		res = a << (b & (bits - 1));
		break;
	case BPF_RSH:
		res = a >> (b & (bits - 1));
		break;
	case BPF_ARSH:
		res = (is64 ? (s64)a : (s32)a) >> (b & (bits - 1));
		break;
	case BPF_NEG:
		res = 0 - a;
		break;
	case BPF_MOV:
		res = insn->off == 8	? (u64)(s64)(s8)b
		      : insn->off == 16 ? (u64)(s64)(s16)b
		      : insn->off == 32 ? (u64)(s64)(s32)b
					: b;
		break;
	default:
		return -EINVAL;
	}
	m->r[insn->dst_reg] = is64 ? res : (u32)res;
	return 0;
}

static int jump(struct model *m, const struct bpf_insn *insn)
{
	bool is64 = BPF_CLASS(insn->code) == BPF_JMP;
	u64 a = m->r[insn->dst_reg];
	u64 b = BPF_SRC(insn->code) == BPF_X ? m->r[insn->src_reg] : (u64)(s64)insn->imm;
	s64 sa = is64 ? (s64)a : (s32)a, sb = is64 ? (s64)b : (s32)b;

	if (!is64) {
		a = (u32)a;
		b = (u32)b;
	}
	switch (BPF_OP(insn->code)) {
	case BPF_JA:
		m->taken = true;
		break;
	case BPF_JEQ:
		m->taken = a == b;
		break;
	case BPF_JNE:
		m->taken = a != b;
		break;
	case BPF_JGT:
		m->taken = a > b;
		break;
	case BPF_JGE:
		m->taken = a >= b;
		break;
	case BPF_JLT:
		m->taken = a < b;
		break;
	case BPF_JLE:
		m->taken = a <= b;
		break;
	case BPF_JSGT:
		m->taken = sa > sb;
		break;
	case BPF_JSGE:
		m->taken = sa >= sb;
		break;
	case BPF_JSLT:
		m->taken = sa < sb;
		break;
	case BPF_JSLE:
		m->taken = sa <= sb;
		break;
	case BPF_JSET:
		m->taken = a & b;
		break;
	default:
		return -EINVAL;
	}
	return 0;
}

static int atomic(struct model *m, const struct bpf_insn *insn, u8 *p, u32 size)
{
	u64 old = 0, src = m->r[insn->src_reg], new;
	bool equal;

	memcpy(&old, p, size);
	switch (insn->imm & ~BPF_FETCH) {
	case BPF_ADD:
		new = old + src;
		break;
	case BPF_OR:
		new = old | src;
		break;
	case BPF_AND:
		new = old &src;
		break;
	case BPF_XOR:
		new = old ^ src;
		break;
	case BPF_XCHG & ~BPF_FETCH:
		new = src;
		break;
	case BPF_CMPXCHG & ~BPF_FETCH:
		equal = size == 8 ? old == m->r[0] : (u32)old == (u32)m->r[0];
		new = equal ? src : old;
		m->r[0] = old;
		break;
	default:
		return -EINVAL;
	}
	memcpy(p, &new, size);
	if (insn->imm & BPF_FETCH && insn->imm != BPF_CMPXCHG)
		m->r[insn->src_reg] = old;
	return 0;
}

static int memory(struct model *m, const struct bpf_insn *insn)
{
	bool is_load = BPF_CLASS(insn->code) == BPF_LDX;
	u8 *p = (u8 *)(m->r[is_load ? insn->src_reg : insn->dst_reg] + insn->off);
	u32 size = bpf_size_to_bytes(insn->code);
	u64 v = 0;

	if (is_load) {
		memcpy(&v, p, size);
		if (BPF_MODE(insn->code) == BPF_MEMSX)
			v = size == 1	? (u64)(s64)(s8)v
			    : size == 2 ? (u64)(s64)(s16)v
					: (u64)(s64)(s32)v;
		m->r[insn->dst_reg] = v;
		return 0;
	}
	if (BPF_MODE(insn->code) == BPF_ATOMIC)
		return atomic(m, insn, p, size);
	v = BPF_CLASS(insn->code) == BPF_ST ? (u64)(s64)insn->imm : m->r[insn->src_reg];
	memcpy(p, &v, size);
	return 0;
}

int model_step(struct model *m, const struct bpf_insn *insn)
{
	switch (BPF_CLASS(insn->code)) {
	case BPF_ALU:
	case BPF_ALU64:
		return alu(m, insn);
	case BPF_JMP:
	case BPF_JMP32:
		return jump(m, insn);
	case BPF_LD:
		if (!bpf_insn_is_imm64(insn))
			return -EINVAL;
		m->r[insn->dst_reg] = bpf_insn_imm64(insn);
		return 0;
	default:
		return memory(m, insn);
	}
}
