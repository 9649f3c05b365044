/*
 * rawprog.h - a program that no verifier saw, for tests of the interpreter and the JITs alone
 *
 * The instructions are the executable form: helper calls hold BPF_CALL_IMM(f), LD_IMM64 real
 * addresses, tail calls are BPF_TAIL_CALL, contexts are what the test passes. Subprograms are found
 * by their callers.
 */
#ifndef UBPFFS_TESTS_RAWPROG_H
#define UBPFFS_TESTS_RAWPROG_H

#include "run/run.h"

/* Copies insns; interp is prepared and bpf_func is the interpreter. NULL: they do not decode. */
struct bpf_prog *rawprog_new(const struct bpf_insn *insns, u32 cnt);
void rawprog_free(struct bpf_prog *prog); /* native code is the test's to free first */

#endif
