/*
 * sample.h - a process is sampled for a while: an event source, a program and two maps of our own
 */
#ifndef UBPFFS_TOOLS_WATCH_SAMPLE_H
#define UBPFFS_TOOLS_WATCH_SAMPLE_H

#include <stdbool.h>

struct sampling {
	char stacks[64], counts[64]; /* names in maps/, from sample_run() to sample_end() */
	char source[64];
	int prog; /* holds the program */
};

/*
 * Sample a process (or "all") `freq` times a second for so many seconds, or until SIGINT; then read
 * its symbols. 0; 1: it was explained. sample_end() in both cases: nothing of it is left.
 */
int sample_run(struct sampling *s, const char *pid, const char *freq, bool dwarf, double seconds);
void sample_end(struct sampling *s);

#endif
