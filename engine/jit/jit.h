/*
 * jit.h - native code for verified programs
 *
 * bpf_jit_compile() turns prog->insnsi (rewritten, verified) into machine code: sets prog->jit,
 * bpf_func, jited_len and tail_call_offset. No page is ever writable and executable at once
 * (execmem.h); the code lies within 2 GiB of the engine's text where the address space allows, so
 * that helpers are near calls. Frame pointers are kept, so that samplers can walk through programs.
 */
#ifndef UBPFFS_JIT_JIT_H
#define UBPFFS_JIT_JIT_H

#include "core/prog.h"

/*
 * 0; -EOPNOTSUPP: no JIT for this machine (the interpreter serves); -EINVAL: insnsi is not what the
 * rewriter makes; -EACCES, -EPERM: the system forbids executable memory; -ENOMEM. On failure prog
 * is unchanged.
 */
int bpf_jit_compile(struct bpf_prog *prog);
/* A grace period after the last run. bpf_func is NULL then. */
void bpf_jit_free(struct bpf_prog *prog);

/*
 * Whose native code a pc lies in; NULL if no program's. For fault handling and profiles: takes no
 * lock, may be called from a signal handler. The program is borrowed: inside an RCU section, or
 * because it runs.
 */
const struct bpf_prog *bpf_jit_find(const void *pc);

/* The native code, for dumps. NULL and 0 for a program that is interpreted. */
const void *bpf_jit_code(const struct bpf_prog *prog, u32 *len);

/*
 * Where each instruction of insnsi begins in the native code: prog->len + 1 offsets, the last is
 * the end. An instruction that became part of another's code has the offset of the one after it.
 */
const u32 *bpf_jit_offsets(const struct bpf_prog *prog, u32 *cnt);

/* What compiling took, in microseconds; 0 for a program that is interpreted. */
u32 bpf_jit_us(const struct bpf_prog *prog);
/*
 * Pass i's name, in the order in which they ran, and how many instructions it changed. NULL behind
 * the last one, and for a program that is interpreted.
 */
const char *bpf_jit_pass(const struct bpf_prog *prog, u32 i, u32 *changed);

#endif
