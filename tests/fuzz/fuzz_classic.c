/*
 * fuzz_classic.c - random classic programs: here, on sockets of the running kernel, in libpcap
 *
 *	fuzz_classic [-seconds N] [-seed S]
 *
 * Each round makes a program that the checker should take, runs it on random packets and compares
 * every result with SO_ATTACH_FILTER's and, where libpcap's machine is the same, with
 * bpf_filter()'s; then changes the program at random and compares the verdict. The first difference
 * ends the run with the program, the packet and the seed.
 */
#include <stdio.h>
#include <time.h>
#include "classic/create.h"
#include "tests/lib/classic.h"
#include "tests/lib/classic_kernel.h"
#include "tests/lib/frames.h"
#include "tests/lib/pcap_filter.h"

#define MAX_INSNS 64
#define PACKETS	  6

struct program {
	struct sock_filter insns[MAX_INSNS];
	u32 cnt;
	bool linux_only; /* has what libpcap does otherwise */
};

static struct rnd rnd;
static u64 programs, accepted, results, pcap_results;

#define PICK(...)       \
	((const u32[]){ \
		__VA_ARGS__})[rnd_below(&rnd, sizeof((const u32[]){__VA_ARGS__}) / sizeof(u32))]

/* Numbers with edges: small, near the powers of two, any. */
static u32 number(void)
{
	switch (rnd_below(&rnd, 4)) {
	case 0:
		return rnd_below(&rnd, 20);
	case 1:
		return (1u << rnd_below(&rnd, 32)) + rnd_below(&rnd, 3) - 1;
	case 2:
		return 0 - rnd_below(&rnd, 5);
	default:
		return rnd_u32(&rnd);
	}
}

static u32 packet_offset(struct program *p)
{
	if (rnd_below(&rnd, 12))
		return rnd_below(&rnd, 70);
	p->linux_only = true;
	return PICK(0x80000000, (u32)SKF_LL_OFF - 1, (u32)SKF_AD_OFF - 1, 0x7fffffff);
}

static struct sock_filter make_load(struct program *p)
{
	u32 size = PICK(BPF_W, BPF_H, BPF_B), ancillary;

	switch (rnd_below(&rnd, 8)) {
	case 0:
		return (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, number());
	case 1:
		return (struct sock_filter)BPF_STMT(BPF_LDX | BPF_IMM, number());
	case 2:
		return (struct sock_filter)BPF_STMT(PICK(BPF_LD, BPF_LDX) | BPF_W | BPF_LEN, 0);
	case 3:
		return (struct sock_filter)BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, packet_offset(p));
	case 4:
		p->linux_only = true; /* x + k may wrap */
		return (struct sock_filter)BPF_STMT(BPF_LD | size | BPF_IND,
						    rnd_below(&rnd, 3) ? rnd_below(&rnd, 70)
								       : number());
	case 5:
		p->linux_only = true;
		ancillary = PICK(SKF_AD_PROTOCOL, SKF_AD_PKTTYPE, SKF_AD_IFINDEX, SKF_AD_NLATTR,
				 SKF_AD_NLATTR_NEST, SKF_AD_MARK, SKF_AD_QUEUE, SKF_AD_HATYPE,
				 SKF_AD_RXHASH, SKF_AD_ALU_XOR_X, SKF_AD_VLAN_TAG,
				 SKF_AD_VLAN_TAG_PRESENT, SKF_AD_VLAN_TPID, SKF_AD_ALU_XOR_X);
		return (struct sock_filter)BPF_STMT(BPF_LD | size | BPF_ABS,
						    (u32)SKF_AD_OFF + ancillary);
	default:
		return (struct sock_filter)BPF_STMT(BPF_LD | size | BPF_ABS, packet_offset(p));
	}
}

static struct sock_filter make_alu(struct program *p)
{
	u32 op = PICK(BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_MOD, BPF_AND, BPF_OR, BPF_XOR,
		      BPF_LSH, BPF_RSH, BPF_NEG);
	u32 k = number();

	if (op == BPF_NEG)
		return (struct sock_filter)BPF_STMT(BPF_ALU | BPF_NEG, 0);
	if (rnd_below(&rnd, 2)) {
		if (op == BPF_LSH || op == BPF_RSH)
			p->linux_only = true; /* by 32 or more */
		return (struct sock_filter)BPF_STMT(BPF_ALU | op | BPF_X, k);
	}
	if (op == BPF_LSH || op == BPF_RSH)
		k %= 32;
	if ((op == BPF_DIV || op == BPF_MOD) && !k)
		k = 1;
	return (struct sock_filter)BPF_STMT(BPF_ALU | op | BPF_K, k);
}

static struct sock_filter make_jump(u32 left)
{
	u32 op = PICK(BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET, BPF_JA);

	if (op == BPF_JA)
		return (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, rnd_below(&rnd, left));
	return (struct sock_filter)BPF_JUMP(BPF_JMP | op | PICK(BPF_K, BPF_X), number(),
					    rnd_below(&rnd, min(left, 256u)),
					    rnd_below(&rnd, min(left, 256u)));
}

/* All words are written first, so that reads are good wherever a jump leads. */
static void make_program(struct program *p)
{
	u32 words = rnd_below(&rnd, 2) ? 0 : 1 + rnd_below(&rnd, 4);
	u32 n = 0, body = 1 + rnd_below(&rnd, MAX_INSNS - 12);

	memset(p, 0, sizeof(*p));
	for (u32 i = 0; i < words; i++)
		p->insns[n++] = (struct sock_filter)BPF_STMT(PICK(BPF_ST, BPF_STX), i);
	for (u32 end = n + body; n < end; n++) {
		struct sock_filter *insn = &p->insns[n];

		switch (rnd_below(&rnd, 10)) {
		case 0:
			*insn = (struct sock_filter)BPF_STMT(BPF_MISC | PICK(BPF_TAX, BPF_TXA),
							     number());
			break;
		case 1:
			if (words) {
				u32 code =
					PICK(BPF_ST, BPF_STX, BPF_LD | BPF_MEM, BPF_LDX | BPF_MEM);

				*insn = (struct sock_filter)BPF_STMT(code, rnd_below(&rnd, words));
				break;
			}
			/* fallthrough */
		case 2:
		case 3:
			*insn = make_jump(end - n);
			break;
		case 4:
			if (!rnd_below(&rnd, 6)) {
				*insn = (struct sock_filter)BPF_STMT(BPF_RET | PICK(BPF_K, BPF_A),
								     number());
				break;
			}
			/* fallthrough */
		case 5:
		case 6:
			*insn = make_alu(p);
			break;
		default:
			*insn = make_load(p);
		}
	}
	p->insns[n++] =
		(struct sock_filter)BPF_STMT(BPF_RET | PICK(BPF_K, BPF_A, BPF_A, BPF_A), number());
	p->cnt = n;
}

static void change_program(struct program *p)
{
	for (u32 times = 1 + rnd_below(&rnd, 3); times; times--) {
		struct sock_filter *insn = &p->insns[rnd_below(&rnd, p->cnt)];

		switch (rnd_below(&rnd, 6)) {
		case 0:
			insn->code = (u16)rnd_below(&rnd, 300);
			break;
		case 1:
			insn->code ^= (u16)(1u << rnd_below(&rnd, 16));
			break;
		case 2:
			insn->k = number();
			break;
		case 3:
			insn->jt = (u8)rnd_u32(&rnd);
			insn->jf = (u8)rnd_below(&rnd, p->cnt);
			break;
		case 4:
			*insn = (struct sock_filter)BPF_STMT(
				PICK(BPF_ST, BPF_STX, BPF_LD | BPF_MEM, BPF_LDX | BPF_MEM),
				rnd_below(&rnd, 18));
			break;
		default:
			insn->k = (u32)SKF_AD_OFF + rnd_below(&rnd, 70);
		}
	}
}

/* ---- comparing */

static int differs(const struct program *p, const u8 *data, u32 len, const char *what, s64 here,
		   s64 there)
{
	printf("difference: %s: here %#llx, there %#llx\n# fuzz\n%u\n", what, (long long)here,
	       (long long)there, p->cnt);
	for (u32 i = 0; i < p->cnt; i++)
		printf("%u %u %u %u\n", p->insns[i].code, p->insns[i].jt, p->insns[i].jf,
		       p->insns[i].k);
	printf("packet:");
	for (u32 i = 0; i < len; i++)
		printf(" %02x", data[i]);
	printf("\n");
	return 1;
}

static bool has(const struct program *p, int ancillary)
{
	for (u32 i = 0; i < p->cnt; i++)
		if (bpf_anc_number(&p->insns[i]) == ancillary)
			return true;
	return false;
}

/* A changed program may have got a load whose result is another each time or place. */
static bool is_comparable(const struct program *p)
{
	for (u32 i = 0; i < p->cnt; i++) {
		u32 mode = BPF_MODE(p->insns[i].code), class = BPF_CLASS(p->insns[i].code);
		bool packet = (class == BPF_LD && (mode == BPF_ABS || mode == BPF_IND)) ||
			      (class == BPF_LDX && mode == BPF_MSH);

		/* Headers that a datagram does not have: Linux reads what lies before it. */
		if (packet && p->insns[i].k >= (u32)SKF_LL_OFF && bpf_anc_number(&p->insns[i]) < 0)
			return false;
		/* x + k may come there, too */
		if (packet && mode == BPF_IND)
			for (u32 j = 0; j < p->cnt; j++)
				if (p->insns[j].k >= 0x80000000 ||
				    BPF_CLASS(p->insns[j].code) == BPF_ALU)
					return false;
	}
	return !has(p, SKF_AD_CPU) && !has(p, SKF_AD_RANDOM) && !has(p, SKF_AD_PAY_OFFSET);
}

static int compare_results(const struct classic_kernel *k, const struct program *p,
			   const struct bpf_prog *prog)
{
	u8 data[FRAME_MAX];

	for (u32 i = 0; i < PACKETS; i++) {
		u32 len = frame_make(&rnd, data), here;

		if (!rnd_below(&rnd, 3)) /* attributes may be found in it */
			memcpy(data,
			       "\x08\x00\x01\x00"
			       "abcd"
			       "\x07\x00\x02",
			       11);
		here = classic_run(prog, data, len);
		results++;
		if (classic_kernel_returns(k, p->insns, p->cnt, data, len, here) != 1)
			return differs(p, data, len, "result, kernel", here, -1);
		if (p->linux_only)
			continue;
		pcap_results++;
		if (bpf_filter(p->insns, data, len, len) != here)
			return differs(p, data, len, "result, libpcap", here,
				       bpf_filter(p->insns, data, len, len));
	}
	return 0;
}

static int one_round(const struct classic_kernel *k)
{
	struct bpf_prog *prog;
	struct program p;
	int ours, theirs, ret = 0;

	make_program(&p);
	for (int changed = 0; !ret && changed < 3; changed++) {
		ours = bpf_prog_create(p.insns, p.cnt, NULL, &prog);
		theirs = classic_kernel_attach(k, p.insns, p.cnt);
		programs++;
		accepted += !ours;
		if (ours != theirs || (ours && !changed))
			ret = differs(&p, NULL, 0, "verdict", ours, theirs);
		p.linux_only |= changed;
		if (!ret && !ours && is_comparable(&p))
			ret = compare_results(k, &p, prog);
		if (!ours)
			bpf_prog_destroy(prog);
		change_program(&p);
	}
	return ret;
}

int main(int argc, char **argv)
{
	u64 seconds = 10, seed = (u64)time(NULL);
	struct classic_kernel k;
	time_t end;
	int ret = 0;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "-seconds"))
			seconds = strtoull(argv[i + 1], NULL, 0);
		else if (!strcmp(argv[i], "-seed"))
			seed = strtoull(argv[i + 1], NULL, 0);
	}
	if (classic_kernel_unix(&k)) {
		printf("no sockets: %s\n", strerror(errno));
		return 1;
	}
	rnd.state = seed;
	end = time(NULL) + (time_t)seconds;
	while (!ret && time(NULL) < end)
		for (int i = 0; !ret && i < 20; i++)
			ret = one_round(&k);
	classic_kernel_close(&k);
	printf("seed %llu: %llu programs, %llu accepted; %llu results as the kernel's, %llu as "
	       "libpcap's%s\n",
	       (unsigned long long)seed, (unsigned long long)programs, (unsigned long long)accepted,
	       (unsigned long long)results, (unsigned long long)pcap_results,
	       ret ? "; then a DIFFERENCE" : "");
	return ret;
}
