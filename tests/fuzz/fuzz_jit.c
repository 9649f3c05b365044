/*
 * fuzz_jit.c - random programs, native against interpreted
 *
 *	fuzz_jit -seconds 60 [-seed S] [-passes HEX] [-blind]
 *
 * The programs are those of tests/lib/jitgen.h; the buffer that they use is compared too. Every
 * fourth is compiled for the oldest machine, and every other one with its constants blinded (all
 * with -blind). The code of each is decoded and checked (tests/lib/jitcheck.h).
 *
 * A difference is printed with its seed and the program, reduced to the instructions that matter;
 * exit status 1.
 */
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

#include "insn/disasm.h"
#include "jit/ir/arch.h"
#include "jit/jit.h"
#include "run/interp.h"
#include "tests/lib/jitcheck.h"
#include "tests/lib/jitgen.h"
#include "tests/lib/rawprog.h"
#include "uapi/bpf_insn.h"
#include "jit/ir/pass.h"

static struct jitgen gen;
static const char *wrong;
static bool blind; /* the programs' constants */

struct result {
	u64 ret;
	u8 buf[JITGEN_BUF_SIZE];
};

/* 0: equal, 1: different, 2: did not compile, 3: the code is `wrong`. */
static int compare(const struct bpf_insn *insns, u32 n, u64 seed, struct result *native,
		   struct result *interpreted)
{
	static u8 buf[JITGEN_BUF_SIZE] __attribute__((aligned(64)));
	struct bpf_prog *p = rawprog_new(insns, n);
	int differ = 0;

	if (!p)
		return 2;
	p->prog_flags |= blind ? PROG_F_STRICT : 0;
	if (bpf_jit_compile(p)) {
		rawprog_free(p);
		return 2;
	}
	wrong = jitcheck(p);
	for (u32 round = 0; round < 3 && !differ && !wrong; round++) {
		jitgen_fill(buf, seed + round);
		native->ret = bpf_prog_run(p, buf);
		memcpy(native->buf, buf, JITGEN_BUF_SIZE);
		jitgen_fill(buf, seed + round);
		interpreted->ret = bpf_interp_run(buf, p);
		memcpy(interpreted->buf, buf, JITGEN_BUF_SIZE);
		differ = native->ret != interpreted->ret ||
			 memcmp(native->buf, interpreted->buf, JITGEN_BUF_SIZE);
	}
	bpf_jit_free(p);
	rawprog_free(p);
	return wrong ? 3 : differ;
}

/* In a child, for a reduced program may not be safe any more. */
static bool still_differs(const struct bpf_insn *insns, u32 n, u64 seed)
{
	struct result a, b;
	int status;
	pid_t pid = fork();

	if (!pid) {
		alarm(2);
		_exit(compare(insns, n, seed, &a, &b));
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

static bool reducible(u32 i)
{
	if (gen.needed[i] || (gen.prog[i].code == (BPF_JMP | BPF_JA) && !gen.prog[i].off))
		return false;
	return gen.prog[i].code && !bpf_insn_is_imm64(&gen.prog[i]) &&
	       gen.prog[i].code != (BPF_JMP | BPF_EXIT);
}

static void reduce(u64 seed)
{
	bool again = true;

	while (again) {
		again = false;
		for (u32 i = 0; i < gen.cnt; i++) {
			struct bpf_insn saved = gen.prog[i];

			if (!reducible(i))
				continue;
			gen.prog[i] = (struct bpf_insn)BPF_JMP_A(0);
			if (still_differs(gen.prog, gen.cnt, seed))
				again = true;
			else
				gen.prog[i] = saved;
		}
	}
}

static void print_prog(void)
{
	char text[128];

	for (u32 i = 0; i < gen.cnt; i++) {
		if (gen.prog[i].code == (BPF_JMP | BPF_JA) && !gen.prog[i].off)
			continue;
		if (gen.needed[i] && i > 0 && gen.needed[i - 1] &&
		    !bpf_insn_is_pseudo_call(&gen.prog[i])) {
			i += bpf_insn_is_imm64(&gen.prog[i]);
			continue; /* the beginning of a function, or what follows a call */
		}
		bpf_disasm(&gen.prog[i], NULL, text, sizeof(text));
		printf("%4u: %s\n", i, text);
		i += bpf_insn_is_imm64(&gen.prog[i]);
	}
}

/* Without which pass do they agree? */
static void blame(u64 seed)
{
	for (u32 pass = 1; pass < JIT_PASS_ALL; pass *= 2) {
		jit_use_passes(JIT_PASS_ALL & ~pass);
		if (!still_differs(gen.prog, gen.cnt, seed))
			printf("not without pass %x\n", pass);
	}
	jit_use_passes(JIT_PASS_ALL);
}

static int report(u64 seed, int how, const struct result *a, const struct result *b)
{
	printf("seed %lu: %s\n", (long)seed,
	       how == 3	  ? wrong
	       : how == 2 ? "does not compile"
			  : "native and interpreted differ");
	if (how == 1) {
		blame(seed);
		reduce(seed);
	}
	print_prog();
	for (u32 k = 0; how == 1 && k < JITGEN_BUF_SIZE; k += 8)
		if (memcmp(a->buf + k, b->buf + k, 8))
			printf("memory differs at %u\n", k);
	if (how == 1)
		printf("R0 native %lx, interpreted %lx\n", (long)a->ret, (long)b->ret);
	return 1;
}

static u64 seed;

/* Native code, or the program itself, went outside. */
static void tell_fault(int sig)
{
	printf("seed %lu: signal %d\n", (long)seed, sig);
	fflush(stdout);
	print_prog();
	fflush(stdout);
	_exit(1);
}

int main(int argc, char **argv)
{
	static char stack[1 << 16];
	bool blind_all = false;
	u64 seconds = 10, runs = 0;
	struct result a, b;
	time_t end;

	seed = time(NULL);
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-seconds") && i + 1 < argc) {
			seconds = strtoull(argv[++i], NULL, 0);
		} else if (!strcmp(argv[i], "-seed") && i + 1 < argc) {
			seed = strtoull(argv[++i], NULL, 0);
		} else if (!strcmp(argv[i], "-passes") && i + 1 < argc) {
			jit_use_passes((u32)strtoul(argv[++i], NULL, 16));
		} else if (!strcmp(argv[i], "-blind")) {
			blind_all = true;
		} else {
			fprintf(stderr, "usage: fuzz_jit [-seconds N] [-seed S] [-passes HEX] "
					"[-blind]\n");
			return 2;
		}
	}
	sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof(stack)}, NULL);
	sigaction(SIGSEGV, &(struct sigaction){.sa_handler = tell_fault, .sa_flags = SA_ONSTACK},
		  NULL);
	printf("fuzz_jit: %lu s from seed %lu\n", (long)seconds, (long)seed);
	fflush(stdout);
	end = time(NULL) + seconds;
	do {
		int how;

		jitgen_make(&gen, seed);
		jit_arch_baseline(seed % 4 == 0);
		blind = blind_all || seed / 4 % 2;
		how = compare(gen.prog, gen.cnt, seed, &a, &b);
		if (how)
			return report(seed, how, &a, &b);
		seed++;
		runs++;
	} while (time(NULL) < end);
	printf("fuzz_jit: %lu programs, native and interpreted agree\n", (long)runs);
	return 0;
}
