/*
 * rewrite.h - from the verified instructions to the executable form; only load.c calls it
 */
#ifndef UBPFFS_REWRITE_REWRITE_H
#define UBPFFS_REWRITE_REWRITE_H

#include "core/verdict.h"

/*
 * bpf_rewrite - turn the verified instructions into the executable form
 *
 * Fills prog->insnsi, len, orig_idx and subprogs: map addresses, converted context accesses, helper
 * distances, inlined array lookups, tail calls; unreachable instructions are removed. 0 or -ENOMEM,
 * -E2BIG.
 */
int bpf_rewrite(struct bpf_prog *prog, const struct bpf_verdict *verdict);

#endif
