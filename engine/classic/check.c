/*
 * check.c - which classic programs may run
 *
 * Classic BPF was made so that one look at each instruction is enough: jumps go forward only, so a
 * program ends, and in one pass from the top everything that can jump to an instruction has been
 * seen before it. The rules are those of Linux, to the letter, also where they are stricter than
 * they need be (check_stores()).
 */
#include "classic/classic.h"

/* How an instruction is checked beyond its code. */
enum rule {
	NOT_ALLOWED = 0,
	PLAIN,
	NOT_ZERO, /* k divides */
	SHIFT, /* k < 32 */
	WORD_READ, /* M[k] */
	WORD_WRITE,
	PACKET, /* k may be an ancillary offset */
	JUMP,
	BRANCH,
};

#define ALU_RULES(op, k_rule) [BPF_ALU | (op) | BPF_K] = (k_rule), [BPF_ALU | (op) | BPF_X] = PLAIN
#define BRANCH_RULES(op)      [BPF_JMP | (op) | BPF_K] = BRANCH, [BPF_JMP | (op) | BPF_X] = BRANCH

/* The instruction set. */
static const u8 rules[256] = {
	ALU_RULES(BPF_ADD, PLAIN),
	ALU_RULES(BPF_SUB, PLAIN),
	ALU_RULES(BPF_MUL, PLAIN),
	ALU_RULES(BPF_DIV, NOT_ZERO),
	ALU_RULES(BPF_MOD, NOT_ZERO),
	ALU_RULES(BPF_AND, PLAIN),
	ALU_RULES(BPF_OR, PLAIN),
	ALU_RULES(BPF_XOR, PLAIN),
	ALU_RULES(BPF_LSH, SHIFT),
	ALU_RULES(BPF_RSH, SHIFT),
	[BPF_ALU | BPF_NEG] = PLAIN,
	[BPF_LD | BPF_W | BPF_ABS] = PACKET,
	[BPF_LD | BPF_H | BPF_ABS] = PACKET,
	[BPF_LD | BPF_B | BPF_ABS] = PACKET,
	[BPF_LD | BPF_W | BPF_IND] = PLAIN,
	[BPF_LD | BPF_H | BPF_IND] = PLAIN,
	[BPF_LD | BPF_B | BPF_IND] = PLAIN,
	[BPF_LD | BPF_W | BPF_LEN] = PLAIN,
	[BPF_LD | BPF_IMM] = PLAIN,
	[BPF_LD | BPF_MEM] = WORD_READ,
	[BPF_LDX | BPF_W | BPF_LEN] = PLAIN,
	[BPF_LDX | BPF_B | BPF_MSH] = PLAIN,
	[BPF_LDX | BPF_IMM] = PLAIN,
	[BPF_LDX | BPF_MEM] = WORD_READ,
	[BPF_ST] = WORD_WRITE,
	[BPF_STX] = WORD_WRITE,
	[BPF_MISC | BPF_TAX] = PLAIN,
	[BPF_MISC | BPF_TXA] = PLAIN,
	[BPF_RET | BPF_K] = PLAIN,
	[BPF_RET | BPF_A] = PLAIN,
	[BPF_JMP | BPF_JA] = JUMP,
	BRANCH_RULES(BPF_JEQ),
	BRANCH_RULES(BPF_JGT),
	BRANCH_RULES(BPF_JGE),
	BRANCH_RULES(BPF_JSET),
};

static enum rule rule_of(const struct sock_filter *insn)
{
	return insn->code < ARRAY_SIZE(rules) ? rules[insn->code] : NOT_ALLOWED;
}

int bpf_anc_number(const struct sock_filter *insn)
{
	u32 number = insn->k - (u32)SKF_AD_OFF;

	if (rule_of(insn) != PACKET || number >= SKF_AD_MAX)
		return -1;
	return number % 4 ? -1 : (int)number; /* the list has no holes but these */
}

static int invalid(struct bpf_log *log, u32 pc, const char *why)
{
	bpf_log_error(log, "classic instruction %u: %s", pc, why);
	return -EINVAL;
}

static int check_insn(const struct sock_filter *insn, u32 pc, u32 left, struct bpf_log *log)
{
	switch (rule_of(insn)) {
	case NOT_ALLOWED:
		bpf_log_error(log, "classic instruction %u: unknown code 0x%02x", pc, insn->code);
		return -EINVAL;
	case PLAIN:
		return 0;
	case NOT_ZERO:
		return insn->k ? 0 : invalid(log, pc, "division by the constant 0");
	case SHIFT:
		return insn->k < 32 ? 0 : invalid(log, pc, "shift by 32 or more");
	case WORD_READ:
	case WORD_WRITE:
		return insn->k < BPF_MEMWORDS ? 0 : invalid(log, pc, "M[] has 16 words");
	case PACKET:
		if (insn->k < (u32)SKF_AD_OFF || bpf_anc_number(insn) >= 0)
			return 0;
		return invalid(log, pc, "unknown ancillary offset");
	case JUMP:
		return insn->k < left ? 0 : invalid(log, pc, "jump beyond the end");
	case BRANCH:
		if (insn->jt < left && insn->jf < left)
			return 0;
		return invalid(log, pc, "branch beyond the end");
	}
	return -EINVAL;
}

/*
 * No word of M[] is read before it is written: `valid` is what every way to here has written, and a
 * jump leaves it at its target. After a jump nothing is known to be missing, until a target says
 * so. A RET is no jump: what was missing before it is missing after it, and Linux refuses programs
 * for that; so do we.
 */
static int check_stores(const struct sock_filter *filter, u32 flen, struct bpf_log *log)
{
	__do_free u16 *masks = malloc(flen * sizeof(*masks));
	u16 valid = 0;

	if (!masks)
		return -ENOMEM;
	memset(masks, 0xff, flen * sizeof(*masks));
	for (u32 pc = 0; pc < flen; pc++) {
		const struct sock_filter *insn = &filter[pc];

		valid &= masks[pc];
		switch (rule_of(insn)) {
		case WORD_WRITE:
			valid |= 1u << insn->k;
			break;
		case WORD_READ:
			if (!(valid & 1u << insn->k))
				return invalid(log, pc,
					       "reads a word of M[] that not every path wrote");
			break;
		case JUMP:
			masks[pc + 1 + insn->k] &= valid;
			valid = 0xffff;
			break;
		case BRANCH:
			masks[pc + 1 + insn->jt] &= valid;
			masks[pc + 1 + insn->jf] &= valid;
			valid = 0xffff;
			break;
		default:
			break;
		}
	}
	return 0;
}

int bpf_check_classic(const struct sock_filter *filter, u32 flen, struct bpf_log *log)
{
	u16 last;
	int err;

	if (!filter || !flen || flen > BPF_MAXINSNS) {
		bpf_log_error(log, "a classic program has 1 to %u instructions, not %u",
			      BPF_MAXINSNS, flen);
		return -EINVAL;
	}
	for (u32 pc = 0; pc < flen; pc++) {
		err = check_insn(&filter[pc], pc, flen - pc - 1, log);
		if (err)
			return err;
	}
	last = filter[flen - 1].code;
	if (last != (BPF_RET | BPF_K) && last != (BPF_RET | BPF_A))
		return invalid(log, flen - 1, "the last one must be RET");
	return check_stores(filter, flen, log);
}
