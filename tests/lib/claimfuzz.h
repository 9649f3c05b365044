/*
 * claimfuzz.h - generated programs, each run against what the verifier said of it (claims.h)
 *
 * Iteration i of a seed is always the same program, the same maps and packets. A finding is shrunk
 * to the instructions that it needs, printed with what is wrong, and ends the run.
 */
#ifndef UBPFFS_TESTS_CLAIMFUZZ_H
#define UBPFFS_TESTS_CLAIMFUZZ_H

#include "util/types.h"

struct claimfuzz {
	u64 seed;
	double seconds;
	s64 only; /* this iteration alone, told in full; below 0: all */
	bool keep; /* do not shrink */

	u64 programs, accepted,
		watched; /* out: watched programs had a run that was compared to its end */
	u64 runs, too_large, not_modelled;
	u64 found_at; /* the iteration of the finding */
};

/* 0, or 1: a finding. */
int claimfuzz(struct claimfuzz *cf);

#endif
