/*
 * fuzzing.h - what a fuzzer is told, and what it tells when a damaged input is its end
 */
#ifndef UBPFFS_TESTS_FUZZING_H
#define UBPFFS_TESTS_FUZZING_H

#include "util/types.h"

struct fuzzing {
	const char *name;
	u64 seconds;
	u64 seed; /* that is under way, and */
	const char *doing; /* what of it, or NULL */
};

/* -seconds N, -seed S, which are printed. -1: something else is there, and the usage was. */
int fuzzing_args(struct fuzzing *f, int argc, char **argv);

/* Of a signal that is the end, or an alarm, the seed is told before it. */
void fuzzing_tell_crashes(struct fuzzing *f);

#endif
