/*
 * samples.c - see samples.h
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/watch/samples.h"
#include "util/types.h"

static const struct {
	const char *name;
	int is_map;
} families[SAMPLE_VALUES] = {
	[PROG_RUNS] = {"ubpffs_program_runs_total"},
	[PROG_SECONDS] = {"ubpffs_program_run_seconds_total"},
	[PROG_STOPPED] = {"ubpffs_program_stopped"},
	[MAP_ENTRIES] = {"ubpffs_map_entries", 1},
	[MAP_MAX_ENTRIES] = {"ubpffs_map_max_entries", 1},
	[MAP_BYTES] = {"ubpffs_map_memory_bytes", 1},
	[MAP_UPDATES] = {"ubpffs_map_updates_total", 1},
	[MAP_FAILED] = {"ubpffs_map_failed_updates_total", 1},
	[MAP_EVICTIONS] = {"ubpffs_map_evictions_total", 1},
	[MAP_LOST] = {"ubpffs_map_lost_records_total", 1},
};

/* A label's value into buf; "" when it is not there. What was escaped is undone. */
static void label(const char *labels, const char *end, const char *name, char *buf, size_t len)
{
	size_t n = strlen(name), k = 0;
	const char *p = labels;

	buf[0] = 0;
	while (p < end) {
		bool ours = !strncmp(p, name, n) && p[n] == '=' && p[n + 1] == '"';

		p = memchr(p, '"', end - p);
		for (p = p ? p + 1 : end; p < end && *p != '"'; p++) {
			if (*p == '\\' && p + 1 < end)
				p++;
			if (ours && k + 1 < len)
				buf[k++] = *p;
		}
		if (ours)
			break;
		p += p < end;
		p += p < end && *p == ',';
	}
	buf[k] = 0;
}

static struct sample *sample_of(struct samples *out, int is_map, unsigned int id)
{
	struct sample *list;

	for (size_t i = out->nr; i-- > 0;)
		if (out->list[i].id == id && out->list[i].is_map == is_map)
			return &out->list[i];
	list = realloc(out->list, (out->nr + 1) * sizeof(*list));
	if (!list)
		return NULL;
	out->list = list;
	list[out->nr] = (struct sample){.id = id, .is_map = is_map};
	return &list[out->nr++];
}

static int parse_line(struct samples *out, const char *line, const char *end)
{
	const char *open = memchr(line, '{', end - line), *close = end;
	struct sample *s;
	char id[16];

	if (!open)
		return 0;
	while (close > open && *close != '}')
		close--;
	for (u32 v = 0; v < SAMPLE_VALUES; v++) {
		if (strlen(families[v].name) != (size_t)(open - line) ||
		    strncmp(families[v].name, line, open - line))
			continue;
		label(open + 1, close, "id", id, sizeof(id));
		s = sample_of(out, families[v].is_map, strtoul(id, NULL, 10));
		if (!s)
			return -1;
		label(open + 1, close, "name", s->name, sizeof(s->name));
		label(open + 1, close, "type", s->type, sizeof(s->type));
		s->values[v] = strtod(close + 1, NULL);
	}
	return 0;
}

int samples_parse(const char *text, struct samples *out)
{
	const char *end;

	*out = (struct samples){0};
	for (; *text; text = *end ? end + 1 : end) {
		end = strchrnul(text, '\n');
		if (*text != '#' && parse_line(out, text, end)) {
			samples_free(out);
			return -1;
		}
	}
	return 0;
}

void samples_free(struct samples *samples)
{
	free(samples->list);
	*samples = (struct samples){0};
}

const struct sample *samples_find(const struct samples *samples, int is_map, unsigned int id)
{
	for (size_t i = 0; i < samples->nr; i++)
		if (samples->list[i].id == id && samples->list[i].is_map == is_map)
			return &samples->list[i];
	return NULL;
}
