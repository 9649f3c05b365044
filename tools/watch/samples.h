/*
 * samples.h - what M/metrics says of programs and maps, as numbers
 *
 * Families that are not asked for are passed by, so that later ones do no harm. Tests:
 * tests/unit/test_samples.c.
 */
#ifndef UBPFFS_TOOLS_WATCH_SAMPLES_H
#define UBPFFS_TOOLS_WATCH_SAMPLES_H

#include <stddef.h>

enum sample_value {
	PROG_RUNS,
	PROG_SECONDS,
	PROG_STOPPED,
	MAP_ENTRIES,
	MAP_MAX_ENTRIES,
	MAP_BYTES,
	MAP_UPDATES,
	MAP_FAILED,
	MAP_EVICTIONS,
	MAP_LOST,
	SAMPLE_VALUES
};

struct sample {
	unsigned int id;
	int is_map;
	char name[64], type[32];
	double values[SAMPLE_VALUES];
};

struct samples {
	struct sample *list; /* programs and maps as they come, one each */
	size_t nr;
	double at; /* seconds, of a clock that only goes on */
};

/* -1: no memory. */
int samples_parse(const char *text, struct samples *out);
void samples_free(struct samples *samples);
const struct sample *samples_find(const struct samples *samples, int is_map, unsigned int id);

#endif
