/*
 * marks.h - what mattered, told to the checkpoints that the path came by
 */
#ifndef UBPFFS_VERIFIER_MARKS_H
#define UBPFFS_VERIFIER_MARKS_H

#include "util/types.h"

struct bpf_verifier_env;
struct bpf_verifier_state;

bool mark_stack_read(struct bpf_verifier_state *st, u32 frameno, u32 spi); /* was news */
void mark_stack_written(struct bpf_verifier_state *st, u32 frameno, u32 spi);
/* A path ends at `old`: what mattered below it matters on the current path, too. */
bool propagate_reads(const struct bpf_verifier_state *old, struct bpf_verifier_state *cur);
int propagate_precision(struct bpf_verifier_env *env, const struct bpf_verifier_state *old,
			struct bpf_verifier_state *cur);

#endif
