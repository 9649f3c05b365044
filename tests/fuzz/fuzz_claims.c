/*
 * fuzz_claims.c - is what the verifier says of registers and stack true of every run?
 *
 *	fuzz_claims -seconds N [-seed S] [-only I] [-keep]
 *
 * tests/lib/claims.h says what is compared, tests/lib/claimfuzz.h with which programs. The first
 * finding ends the run with status 1; -keep prints its program as it was generated.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/lib/claimfuzz.h"

int main(int argc, char **argv)
{
	struct claimfuzz cf = {.seed = 1, .seconds = 10, .only = -1};
	int found;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-keep"))
			cf.keep = true;
		else if (!strcmp(argv[i], "-seconds") && i + 1 < argc)
			cf.seconds = atof(argv[++i]);
		else if (!strcmp(argv[i], "-seed") && i + 1 < argc)
			cf.seed = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "-only") && i + 1 < argc)
			cf.only = strtoll(argv[++i], NULL, 0);
		else
			return fprintf(stderr,
				       "usage: %s [-seconds N] [-seed S] [-only I] [-keep]\n",
				       argv[0]),
			       2;
	}
	found = claimfuzz(&cf);
	printf("fuzz_claims: seed %llu: %llu programs, %llu accepted, %llu watched, %llu runs, "
	       "%llu "
	       "too large, %llu not modelled, %d findings\n",
	       (unsigned long long)cf.seed, (unsigned long long)cf.programs,
	       (unsigned long long)cf.accepted, (unsigned long long)cf.watched,
	       (unsigned long long)cf.runs, (unsigned long long)cf.too_large,
	       (unsigned long long)cf.not_modelled, found);
	return found;
}
