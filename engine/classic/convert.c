/*
 * convert.c - classic programs in eBPF
 *
 * Three passes, each from the top, for jumps go forward only: what can be reached (the verifier
 * refuses dead code, which the classic checker allows), where each instruction begins in the
 * output, and the output itself. How many instructions one becomes does not depend on where it
 * stands, so the second pass writes too, into a buffer that is thrown away.
 *
 * A and X have 32 bits: arithmetic and comparisons are the 32-bit forms, and the upper halves stay
 * zero.
 */
#include "classic/classic.h"
#include "insn/insn.h"

#define A   BPF_REG_0
#define X   BPF_REG_7
#define CTX BPF_REG_6
#define TMP BPF_REG_8

struct converter {
	const struct sock_filter *filter;
	u32 flen;
	u32 *start; /* where each begins in the output */
	struct bpf_insn *out; /* where the next one goes */
	u32 pc; /* of what is being converted */
};

static void put(struct converter *c, u8 code, u8 dst, u8 src, s16 off, s32 imm)
{
	*c->out++ = (struct bpf_insn){
		.code = code, .dst_reg = dst, .src_reg = src, .off = off, .imm = imm};
}

static void put_mov(struct converter *c, u8 dst, u8 src)
{
	put(c, BPF_ALU | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static void put_mov_imm(struct converter *c, u8 dst, u32 imm)
{
	put(c, BPF_ALU | BPF_MOV | BPF_K, dst, 0, 0, (s32)imm);
}

static void put_exit(struct converter *c)
{
	put(c, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static void put_call(struct converter *c, u32 func)
{
	put(c, BPF_JMP | BPF_CALL, 0, 0, 0, (s32)func);
}

#define put_field(c, dst, field) \
	put(c, BPF_LDX | BPF_MEM | BPF_W, dst, CTX, offsetof(struct __sk_buff, field), 0)

static void put_ctx_arg(struct converter *c)
{
	put(c, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, CTX, 0, 0);
}

static void put_be16(struct converter *c)
{
	put(c, BPF_ALU | BPF_END | BPF_TO_BE, A, 0, 0, 16);
}

/* ---- ancillary loads */

/* Without a device the program ends with what A holds. */
static void put_device(struct converter *c)
{
	put_field(c, TMP, ifindex);
	put(c, BPF_JMP | BPF_JNE | BPF_K, TMP, 0, 1, 0);
	put_exit(c);
}

static void put_nlattr(struct converter *c, u32 func)
{
	put_ctx_arg(c);
	put_mov(c, BPF_REG_2, A);
	put_mov(c, BPF_REG_3, X);
	put_call(c, func);
}

static int convert_ancillary(struct converter *c, int number)
{
	switch (number) {
	case SKF_AD_PROTOCOL:
		put_field(c, A, protocol);
		put_be16(c);
		return 0;
	case SKF_AD_PKTTYPE:
		put_field(c, A, pkt_type);
		return 0;
	case SKF_AD_IFINDEX:
		put_device(c);
		put_mov(c, A, TMP);
		return 0;
	case SKF_AD_HATYPE:
		put_device(c);
		put_ctx_arg(c);
		put_call(c, BPF_FUNC_skb_get_hatype);
		return 0;
	case SKF_AD_NLATTR:
		put_nlattr(c, BPF_FUNC_skb_get_nlattr);
		return 0;
	case SKF_AD_NLATTR_NEST:
		put_nlattr(c, BPF_FUNC_skb_get_nlattr_nest);
		return 0;
	case SKF_AD_MARK:
		put_field(c, A, mark);
		return 0;
	case SKF_AD_QUEUE:
		put_field(c, A, queue_mapping);
		return 0;
	case SKF_AD_RXHASH:
		put_field(c, A, hash);
		return 0;
	case SKF_AD_CPU:
		put_call(c, BPF_FUNC_get_smp_processor_id);
		return 0;
	case SKF_AD_ALU_XOR_X:
		put(c, BPF_ALU | BPF_XOR | BPF_X, A, X, 0, 0);
		return 0;
	case SKF_AD_VLAN_TAG:
		put_field(c, A, vlan_tci);
		return 0;
	case SKF_AD_VLAN_TAG_PRESENT:
		put_field(c, A, vlan_present);
		return 0;
	case SKF_AD_PAY_OFFSET:
		put_ctx_arg(c);
		put_call(c, BPF_FUNC_skb_get_pay_offset);
		return 0;
	case SKF_AD_RANDOM:
		put_call(c, BPF_FUNC_get_prandom_u32);
		return 0;
	case SKF_AD_VLAN_TPID:
		put_field(c, A, vlan_proto);
		put_be16(c);
		return 0;
	default:
		return -EINVAL;
	}
}

/* ---- the other instructions */

static int convert_load(struct converter *c, const struct sock_filter *insn)
{
	int number = bpf_anc_number(insn);

	switch (BPF_MODE(insn->code)) {
	case BPF_ABS:
		if (number >= 0)
			return convert_ancillary(c, number);
		put(c, (u8)insn->code, 0, 0, 0, (s32)insn->k);
		return 0;
	case BPF_IND:
		put(c, (u8)insn->code, 0, X, 0, (s32)insn->k);
		return 0;
	case BPF_LEN:
		put_field(c, A, len);
		return 0;
	default:
		return -EINVAL;
	}
}

static s16 word_offset(u32 k)
{
	return (s16)(-4 * (s32)(BPF_MEMWORDS - k));
}

/* The low nibble of a byte of the packet, times 4: the length of an IP header. */
static void put_msh(struct converter *c, u32 k)
{
	put_mov(c, TMP, A);
	put(c, BPF_LD | BPF_ABS | BPF_B, 0, 0, 0, (s32)k);
	put(c, BPF_ALU | BPF_AND | BPF_K, A, 0, 0, 15);
	put(c, BPF_ALU | BPF_LSH | BPF_K, A, 0, 0, 2);
	put_mov(c, X, A);
	put_mov(c, A, TMP);
}

static void put_alu(struct converter *c, const struct sock_filter *insn)
{
	u8 op = BPF_OP(insn->code);

	if (op == BPF_NEG) {
		put(c, BPF_ALU | BPF_NEG, A, 0, 0, 0);
	} else if (BPF_SRC(insn->code) == BPF_K) {
		put(c, (u8)insn->code, A, 0, 0, (s32)insn->k);
	} else {
		if (op == BPF_DIV || op == BPF_MOD) {
			put(c, BPF_JMP | BPF_JNE | BPF_K, X, 0, 2, 0);
			put_mov_imm(c, A, 0);
			put_exit(c);
		}
		put(c, (u8)insn->code, A, X, 0, 0);
	}
}

/* From the instruction that is put next to where classic instruction `target` begins. */
static s16 distance(const struct converter *c, const struct bpf_insn *base, u32 target)
{
	return (s16)((s64)c->start[target] - (c->out - base) - 1);
}

static void put_goto(struct converter *c, const struct bpf_insn *base, u32 target)
{
	if (target != c->pc + 1)
		put(c, BPF_JMP | BPF_JA, 0, 0, distance(c, base, target), 0);
}

static u8 opposite(u8 op)
{
	switch (op) {
	case BPF_JEQ:
		return BPF_JNE;
	case BPF_JGT:
		return BPF_JLE;
	case BPF_JGE:
		return BPF_JLT;
	default: /* JSET has none */
		return 0;
	}
}

static void put_branch(struct converter *c, const struct bpf_insn *base,
		       const struct sock_filter *insn)
{
	u32 yes = c->pc + 1 + insn->jt, no = c->pc + 1 + insn->jf;
	bool by_x = BPF_SRC(insn->code) == BPF_X;
	u8 op = BPF_OP(insn->code);

	if (yes == no) {
		put_goto(c, base, yes);
		return;
	}
	if (yes == c->pc + 1 && opposite(op)) {
		op = opposite(op);
		yes = no;
		no = c->pc + 1;
	}
	put(c, BPF_JMP32 | op | BPF_SRC(insn->code), A, by_x ? X : 0, distance(c, base, yes),
	    by_x ? 0 : (s32)insn->k);
	put_goto(c, base, no);
}

static int convert_insn(struct converter *c, const struct bpf_insn *base)
{
	const struct sock_filter *insn = &c->filter[c->pc];

	switch (insn->code) {
	case BPF_LD | BPF_IMM:
		put_mov_imm(c, A, insn->k);
		return 0;
	case BPF_LDX | BPF_IMM:
		put_mov_imm(c, X, insn->k);
		return 0;
	case BPF_LD | BPF_MEM:
		put(c, BPF_LDX | BPF_MEM | BPF_W, A, BPF_REG_FP, word_offset(insn->k), 0);
		return 0;
	case BPF_LDX | BPF_MEM:
		put(c, BPF_LDX | BPF_MEM | BPF_W, X, BPF_REG_FP, word_offset(insn->k), 0);
		return 0;
	case BPF_ST:
		put(c, BPF_STX | BPF_MEM | BPF_W, BPF_REG_FP, A, word_offset(insn->k), 0);
		return 0;
	case BPF_STX:
		put(c, BPF_STX | BPF_MEM | BPF_W, BPF_REG_FP, X, word_offset(insn->k), 0);
		return 0;
	case BPF_LDX | BPF_W | BPF_LEN:
		put_field(c, X, len);
		return 0;
	case BPF_LDX | BPF_B | BPF_MSH:
		put_msh(c, insn->k);
		return 0;
	case BPF_MISC | BPF_TAX:
		put_mov(c, X, A);
		return 0;
	case BPF_MISC | BPF_TXA:
		put_mov(c, A, X);
		return 0;
	case BPF_RET | BPF_K:
		put_mov_imm(c, A, insn->k);
		put_exit(c);
		return 0;
	case BPF_RET | BPF_A:
		put_exit(c);
		return 0;
	case BPF_JMP | BPF_JA:
		put_goto(c, base, c->pc + 1 + insn->k);
		return 0;
	}
	switch (BPF_CLASS(insn->code)) {
	case BPF_LD:
		return convert_load(c, insn);
	case BPF_ALU:
		put_alu(c, insn);
		return 0;
	case BPF_JMP:
		put_branch(c, base, insn);
		return 0;
	default:
		return -EINVAL;
	}
}

/* ---- passes */

/* Mark in start[] (0 or 1) what can be reached. */
static void find_reachable(const struct sock_filter *filter, u32 flen, u32 *start)
{
	memset(start, 0, flen * sizeof(*start));
	start[0] = 1;
	for (u32 pc = 0; pc < flen; pc++) {
		const struct sock_filter *insn = &filter[pc];

		if (!start[pc] || BPF_CLASS(insn->code) == BPF_RET)
			continue;
		if (insn->code == (BPF_JMP | BPF_JA))
			start[pc + 1 + insn->k] = 1;
		else if (BPF_CLASS(insn->code) == BPF_JMP)
			start[pc + 1 + insn->jt] = start[pc + 1 + insn->jf] = 1;
		else
			start[pc + 1] = 1;
	}
}

/* The buffer of the sizing pass: one instruction's worth. */
static int find_starts(struct converter *c)
{
	struct bpf_insn scratch[BPF_CLASSIC_EXPAND];
	u32 at = BPF_CLASSIC_PROLOGUE;
	int err;

	for (c->pc = 0; c->pc < c->flen; c->pc++) {
		bool reachable = c->start[c->pc];

		c->start[c->pc] = at;
		if (!reachable)
			continue;
		c->out = scratch;
		err = convert_insn(c, scratch);
		if (err)
			return err;
		at += (u32)(c->out - scratch);
	}
	return (int)at;
}

int bpf_convert_filter(const struct sock_filter *filter, u32 flen, struct bpf_insn *out, u32 *orig)
{
	struct converter c = {.filter = filter, .flen = flen};
	__do_free u32 *start = NULL;
	__do_free bool *reachable = NULL;
	int total, err;

	err = bpf_check_classic(filter, flen, NULL);
	if (err)
		return err;
	c.start = start = malloc(flen * sizeof(*start));
	reachable = malloc(flen * sizeof(*reachable));
	if (!start || !reachable)
		return -ENOMEM;
	find_reachable(filter, flen, start);
	for (u32 pc = 0; pc < flen; pc++)
		reachable[pc] = start[pc];
	total = find_starts(&c);
	if (total < 0)
		return total;

	c.out = out;
	put_mov_imm(&c, A, 0);
	put_mov_imm(&c, X, 0);
	put(&c, BPF_ALU64 | BPF_MOV | BPF_X, CTX, BPF_REG_1, 0, 0);
	for (c.pc = 0; c.pc < flen; c.pc++)
		if (reachable[c.pc]) {
			err = convert_insn(&c, out);
			if (err)
				return err;
		}
	if (orig) {
		memset(orig, 0, BPF_CLASSIC_PROLOGUE * sizeof(*orig));
		for (u32 pc = 0; pc < flen; pc++)
			for (u32 i = start[pc]; i < (pc + 1 < flen ? start[pc + 1] : (u32)total);
			     i++)
				orig[i] = pc;
	}
	return total;
}
