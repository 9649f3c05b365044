/*
 * jitprog.h - programs by hand for tests of the JIT: what load.c would make of verified
 * instructions
 *
 * Unlike rawprog.h the test says where subprograms begin and how much stack they have, for the
 * frame's layout is what some tests are about. Everything fails the test that called it, by cmocka.
 */
#ifndef UBPFFS_TESTS_JITPROG_H
#define UBPFFS_TESTS_JITPROG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "run/run.h"
#include "jit/jit.h"
#include "uapi/bpf_insn.h"

struct jitprog_sub {
	u32 start, stack_depth;
};

/* From here on programs are strict ones, whose constants are blinded. */
extern bool jitprog_blind;

/* Not compiled. The second form: one function with 512 bytes of stack. */
struct bpf_prog *jitprog_new(const struct bpf_insn *insns, u32 cnt, const struct jitprog_sub *subs,
			     u32 sub_cnt);
struct bpf_prog *jitprog_new1(const struct bpf_insn *insns, u32 cnt);
void jitprog_free(struct bpf_prog *prog);

/* For tests that go on without what is below: skips where this machine has no JIT. */
void jitprog_need_jit(void);

/* Compiled, and looked at by jitcheck(). */
struct bpf_prog *jitprog_compile(const struct bpf_insn *insns, u32 cnt,
				 const struct jitprog_sub *subs, u32 sub_cnt);
struct bpf_prog *jitprog_compile1(const struct bpf_insn *insns, u32 cnt);

/* Compile, run once natively and once interpreted, free; both must agree. */
u64 jitprog_run(const struct bpf_insn *insns, u32 cnt, const struct jitprog_sub *subs, u32 sub_cnt,
		const void *ctx);

#define RUN(ctx, ...)                                                                             \
	({                                                                                        \
		const struct bpf_insn _p[] = {__VA_ARGS__};                                       \
		jitprog_run(_p, ARRAY_SIZE(_p), &(struct jitprog_sub){0, MAX_BPF_STACK}, 1, ctx); \
	})

/* Call the native code as C does, and see that the registers that C keeps are kept. */
u64 jitprog_call(const struct bpf_prog *prog, const void *ctx);

/* A helper: the digits of its arguments. It checks the alignment of the stack. */
u64 jitprog_helper(u64 a, u64 b, u64 c, u64 d, u64 e);

#define CALL_C(f) BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_CALL_IMM(f))

/* This machine for the disassembler, and what keeps it from running ahead. */
#ifdef __aarch64__
#define JITPROG_X86	0
#define JITPROG_CS_ARCH CS_ARCH_ARM64
#define JITPROG_CS_MODE CS_MODE_ARM
#define JITPROG_BARRIER "isb"
#else
#define JITPROG_X86	1 /* what passes made of the code is counted there alone */
#define JITPROG_CS_ARCH CS_ARCH_X86
#define JITPROG_CS_MODE CS_MODE_64
#define JITPROG_BARRIER "lfence"
#endif

/* How many machine instructions with this mnemonic the program has. */
u32 jitprog_count(const struct bpf_prog *prog, const char *mnemonic);

#endif
