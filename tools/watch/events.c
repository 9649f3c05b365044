/*
 * events.c - ubpfctl events: the event sources, and what became of their events
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/lib/commands.h"
#include "tools/lib/mount.h"
#include "tools/lib/output.h"

static const char *const counts[] = {"seen", "run", "dropped", "redirected", "lost", "errors"};
#define NR_COUNTS (sizeof(counts) / sizeof(counts[0]))

/* A one-line file, without its newline; "" when there is none. */
static void line(const char *name, const char *file, char *buf, size_t len)
{
	char *text = read_in_mount("events/%s/%s", name, file);

	snprintf(buf, len, "%.*s", text ? (int)strcspn(text, "\n") : 0, text ? text : "");
	free(text);
}

static void show(const char *name, const char *stats)
{
	char value[256], type[64], attach[256];

	line(name, "type", type, sizeof(type));
	line(name, "attach", attach, sizeof(attach));
	if (!out_json()) {
		printf("%-20s %-6s %-9s %-20s", name, type,
		       info_value(stats, "state", value, sizeof(value)), attach);
		for (size_t i = 0; i < NR_COUNTS; i++)
			printf(" %10s", info_value(stats, counts[i], value, sizeof(value)));
		if (*info_value(stats, "why", value, sizeof(value)) ||
		    *info_value(stats, "missing", value, sizeof(value)))
			printf("  %s", value);
		printf("\n");
		return;
	}
	out_begin(NULL, '{');
	out_str("name", name);
	out_str("type", type);
	out_str("state", info_value(stats, "state", value, sizeof(value)));
	if (*attach)
		out_str("program", attach);
	for (size_t i = 0; i < NR_COUNTS; i++)
		out_u64(counts[i],
			strtoull(info_value(stats, counts[i], value, sizeof(value)), NULL, 10));
	if (*info_value(stats, "why", value, sizeof(value)))
		out_str("why", value);
	if (*info_value(stats, "missing", value, sizeof(value)))
		out_str("missing", value);
	out_end('}');
}

int cmd_events(int argc, char **argv)
{
	struct dirent *e;
	char *stats;
	DIR *dir;
	int fd;

	if (argc != 1)
		return 2;
	fd = open_in_mount(O_RDONLY | O_DIRECTORY, "events");
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return fail("events");
	if (out_json()) {
		out_begin(NULL, '[');
	} else {
		printf("%-20s %-6s %-9s %-20s", "source", "type", "state", "program");
		for (size_t i = 0; i < NR_COUNTS; i++)
			printf(" %10s", counts[i]);
		printf("\n");
	}
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.' || e->d_type != DT_DIR)
			continue;
		stats = read_in_mount("events/%s/stats", e->d_name);
		if (stats) /* else it went meanwhile, or is somebody else's */
			show(e->d_name, stats);
		free(stats);
	}
	closedir(dir);
	if (out_json())
		out_end(']');
	return out_done();
}
