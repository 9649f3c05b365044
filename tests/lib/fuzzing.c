/*
 * fuzzing.c - see fuzzing.h
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "tests/lib/fuzzing.h"

int fuzzing_args(struct fuzzing *f, int argc, char **argv)
{
	f->seed = (u64)time(NULL);
	f->seconds = 10;
	for (int i = 1; i < argc; i += 2) {
		if (i + 1 < argc && !strcmp(argv[i], "-seconds")) {
			f->seconds = strtoull(argv[i + 1], NULL, 0);
		} else if (i + 1 < argc && !strcmp(argv[i], "-seed")) {
			f->seed = strtoull(argv[i + 1], NULL, 0);
		} else {
			fprintf(stderr, "usage: %s [-seconds N] [-seed S]\n", f->name);
			return -1;
		}
	}
	printf("%s: %llu s from seed %llu\n", f->name, (unsigned long long)f->seconds,
	       (unsigned long long)f->seed);
	fflush(stdout);
	return 0;
}

static struct fuzzing *told;

static void tell(int sig)
{
	char line[160];
	int n = snprintf(line, sizeof(line), "%s: %s at seed %llu%s%s\n", told->name,
			 sig == SIGALRM ? "goes on for ever" : "crashes",
			 (unsigned long long)told->seed, told->doing ? ", " : "",
			 told->doing ? told->doing : "");

	if (write(STDERR_FILENO, line, (size_t)n) < 0) {
		/* there is nobody to tell */
	}
	signal(sig, SIG_DFL);
	if (sig == SIGALRM)
		abort();
	raise(sig);
}

void fuzzing_tell_crashes(struct fuzzing *f)
{
	static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM};

	told = f;
	for (u32 i = 0; i < ARRAY_SIZE(fatal); i++)
		signal(fatal[i], tell);
}
