/*
 * test_claims.c - is what the verifier says true of every run? (tests/lib/claims.h)
 *
 * First that the comparison sees what is wrong: a program is verified, and another one, which
 * differs in one instruction, is run. Then a moment of generated programs; fuzz_claims goes on
 * with them. UBPFFS_SEED repeats a seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/lib/reason.h"
#include "tests/lib/claimfuzz.h"
#include "tests/lib/claims.h"
#include "tests/lib/domain.h"
#include "tests/lib/shadow.h"
#include "uapi/bpf_insn.h"
#include "verifier/verifier.h"

#define R0 BPF_REG_0
#define R1 BPF_REG_1
#define R2 BPF_REG_2
#define R6 BPF_REG_6
#define R7 BPF_REG_7
#define R8 BPF_REG_8
#define FP BPF_REG_10

/* The packet's first byte, which is 9; R1 is the context. */
#define A_NUMBER                                                                               \
	BPF_LDX_MEM(BPF_W, R6, R1, 76), BPF_LDX_MEM(BPF_W, R2, R1, 80), BPF_MOV64_REG(R7, R6), \
		BPF_ALU64_IMM(BPF_ADD, R7, 14), BPF_JMP_REG(BPF_JLE, R7, R2, 2),               \
		BPF_MOV64_IMM(R0, 0), BPF_EXIT_INSN(), BPF_LDX_MEM(BPF_B, R7, R6, 0)
#define THE_END BPF_MOV64_IMM(R0, 0), BPF_EXIT_INSN()

struct pair {
	const char *what;
	struct bpf_insn verified[24];
	u32 at; /* this one is run instead */
	struct bpf_insn instead;
	bool fine; /* the difference does not matter */
	u32 flags;
};

#define PAIR(WHAT, AT, INSTEAD, ...)                                                              \
	{                                                                                         \
		.what = WHAT, .at = AT, .instead = INSTEAD, .verified = { A_NUMBER, __VA_ARGS__ } \
	}
#define FINE(WHAT, AT, INSTEAD, ...)                                                             \
	{                                                                                        \
		.what = WHAT, .at = AT, .instead = INSTEAD, .verified = {A_NUMBER, __VA_ARGS__}, \
		.fine = true, .flags = BPF_F_TEST_STATE_FREQ                                     \
	}

static const struct pair pairs[] = {
	FINE("nothing", 8, BPF_MOV64_IMM(R0, 0), THE_END),
	PAIR("a constant", 8, BPF_MOV64_IMM(R8, 6), BPF_MOV64_IMM(R8, 5), THE_END),
	PAIR("a bound", 8, BPF_ALU64_IMM(BPF_AND, R7, 8), BPF_ALU64_IMM(BPF_AND, R7, 7), THE_END),
	PAIR("a copy", 8, BPF_MOV64_IMM(R8, 7), BPF_MOV64_REG(R8, R7), THE_END),
	PAIR("a copy with an offset", 9, BPF_ALU64_IMM(BPF_ADD, R8, 5), BPF_MOV64_REG(R8, R7),
	     BPF_ALU64_IMM(BPF_ADD, R8, 4), THE_END),
	PAIR("a spilled number", 8, BPF_ST_MEM(BPF_DW, FP, -8, 256),
	     BPF_STX_MEM(BPF_DW, FP, R7, -8), THE_END),
	PAIR("half of a spilled number", 8, BPF_ST_MEM(BPF_W, FP, -8, 256),
	     BPF_STX_MEM(BPF_W, FP, R7, -8), THE_END),
	PAIR("a zero", 8, BPF_ST_MEM(BPF_H, FP, -6, 1), BPF_ST_MEM(BPF_H, FP, -6, 0), THE_END),
	PAIR("what is written", 8, BPF_ST_MEM(BPF_B, FP, -6, 3), BPF_ST_MEM(BPF_H, FP, -6, 3),
	     THE_END),
	PAIR("an address", 8, BPF_ALU64_IMM(BPF_ADD, R6, 2), BPF_ALU64_IMM(BPF_ADD, R6, 1),
	     THE_END),
	PAIR("what it points to", 8, BPF_MOV64_REG(R8, R6), BPF_MOV64_REG(R8, FP), THE_END),
	PAIR("how far the packet goes", 9, BPF_ALU64_IMM(BPF_ADD, R8, 15), BPF_MOV64_REG(R8, R6),
	     BPF_ALU64_IMM(BPF_ADD, R8, 16), BPF_JMP_REG(BPF_JLE, R8, R2, 0), THE_END),
	PAIR("a decided branch", 9, BPF_JMP_IMM(BPF_JEQ, R8, 1, 1), BPF_MOV64_IMM(R8, 1),
	     BPF_JMP_IMM(BPF_JEQ, R8, 1, 0), THE_END),
	FINE("a number that nobody wants where ways meet", 10, BPF_MOV64_IMM(R8, 2),
	     BPF_MOV64_IMM(R8, 1), BPF_JMP_IMM(BPF_JEQ, R7, 9, 1), BPF_MOV64_IMM(R8, 2),
	     BPF_JMP_A(0), BPF_MOV64_REG(R0, R8), BPF_EXIT_INSN()),
};

static u32 length(const struct bpf_insn *insns)
{
	u32 cnt = 24;

	while (cnt && !insns[cnt - 1].code)
		cnt--;
	return cnt;
}

static void one_pair(struct claims *c, const struct pair *pair)
{
	u8 packet[16] = {9};
	struct bpf_insn run[24];
	const struct bpf_prog prog = {
		.type = BPF_PROG_TYPE_SCHED_CLS,
		.prog_flags = pair->flags,
		.orig_insns = (struct bpf_insn *)pair->verified,
		.orig_len = length(pair->verified),
	};
	struct shadow s = {
		.insns = run,
		.cnt = prog.orig_len,
		.packet = packet,
		.packet_len = sizeof(packet),
		.claims = c,
	};
	struct bpf_verdict verdict;
	int err;

	claims_begin(c);
	err = bpf_check(&prog, NULL, NULL, &verdict);
	claims_end(c);
	if (err)
		fail_msg("%s: %s", pair->what, reason_of(&verdict));
	bpf_verdict_free(&verdict);
	memcpy(run, pair->verified, sizeof(run));
	if (shadow_run(&s))
		fail_msg("%s: as verified: %s", pair->what, s.fault);
	run[pair->at] = pair->instead;
	err = shadow_run(&s);
	if (err != (pair->fine ? 0 : -EFAULT))
		fail_msg("%s: %d %s", pair->what, err, err ? s.fault : "");
}

static void sees_what_is_wrong(void **state)
{
	struct claims c;

	claims_init(&c);
	for (u32 i = 0; i < ARRAY_SIZE(pairs); i++)
		one_pair(&c, &pairs[i]);
	claims_free(&c);
}

static void run_seed(u64 seed, double seconds)
{
	struct claimfuzz cf = {.seed = seed, .seconds = seconds, .only = -1};

	if (claimfuzz(&cf))
		fail_msg("fuzz_claims -seed %llu -only %llu", (unsigned long long)seed,
			 (unsigned long long)cf.found_at);
	print_message("seed %llu: %llu programs, %llu accepted\n", (unsigned long long)seed,
		      (unsigned long long)cf.programs, (unsigned long long)cf.accepted);
	assert_true(cf.watched > 0);
}

static void generated_programs(void **state)
{
	const u32 more = test_rounds(1);

	run_seed(1, 1);
	run_seed(2, 1);
	run_seed(3, 1);
	run_seed(rng_init("claims").state, 2.0 * more);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sees_what_is_wrong),
		cmocka_unit_test(generated_programs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
