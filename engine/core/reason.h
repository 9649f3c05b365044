/*
 * reason.h - why a program was refused, as data
 *
 * The check that refuses it fills this; verifier/report/reasons.h has the errno, the sentence and
 * the hint of each code, and the functions that print them.
 */
#ifndef UBPFFS_CORE_REASON_H
#define UBPFFS_CORE_REASON_H

#include "util/types.h"

struct bpf_reason {
	u16 code; /* enum bpf_reason_code */
	int insn; /* original index, -1: no instruction in particular */
	u32 reg;
	u32 type; /* what the register holds, where that is a part of the reason; else 0 */
	s64 num[8]; /* numbers and names, in the order of the wording */
	char name[2][128];
};

/* One fault may be told by several checks, the innermost first. */
#define BPF_MAX_REASONS 6

#endif
