/*
 * jit.h - native code for verified programs
 *
 * bpf_jit_compile() turns prog->insnsi (rewritten, verified) into machine code: sets prog->jit, bpf_func,
 * jited_len and tail_call_offset. The pages are written, then made executable and read-only (W^X); they
 * lie within 2 GiB of the engine's text where the address space allows, so that helpers are near calls.
 * Frame pointers are kept, so that samplers can walk through programs.
 */
#ifndef UBPFFS_JIT_JIT_H
#define UBPFFS_JIT_JIT_H

#include "core/prog.h"

/* 0; -EOPNOTSUPP: no JIT for this machine (the interpreter serves); -ENOMEM. On failure prog is unchanged. */
int bpf_jit_compile(struct bpf_prog *prog);
void bpf_jit_free(struct bpf_prog *prog);

/* Whether a pc lies in some program's native code; NULL if not. For fault handling and profiles. */
const struct bpf_prog *bpf_jit_find(const void *pc);

#endif
