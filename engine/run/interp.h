/*
 * interp.h - the interpreter
 */
#ifndef UBPFFS_RUN_INTERP_H
#define UBPFFS_RUN_INTERP_H

#include "core/prog.h"

/* prepare fills prog->interp from insnsi. */
int bpf_interp_prepare(struct bpf_prog *prog);
u64 bpf_interp_run(const void *ctx, const struct bpf_prog *prog);
/*
 * The program that this thread interprets, if pc lies in the interpreter: then what the machine
 * does there, it does for one of its instructions. Else NULL. Async-signal-safe.
 */
const struct bpf_prog *bpf_interp_find(const void *pc);

#endif
