/*
 * flame.c - ubpfctl flame: a stack_trace map as a flame graph or as folded lines
 *
 * `-p PID 10s` makes the maps itself, for so long. --diff compares two files of folded lines.
 * Maps are named by their directory (M/maps/stacks, maps/stacks, or stacks). With -p the map's
 * symbols are read first from that process.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tools/flame/fold.h"
#include "tools/lib/commands.h"
#include "tools/lib/mount.h"
#include "tools/lib/object.h"
#include "tools/lib/output.h"
#include "tools/watch/sample.h"

/* The map's own name in maps/: what follows the last slash. */
static const char *map_name(char *path)
{
	size_t len = strlen(path);
	char *slash;

	while (len > 1 && path[len - 1] == '/')
		path[--len] = 0;
	slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static int set_symbols(const char *map, const char *pid)
{
	int fd = open_in_mount(O_WRONLY, "maps/%s/symbols", map);
	ssize_t n = fd < 0 ? -1 : write(fd, pid, strlen(pid));

	if (n < 0 || close(fd))
		return fail("symbols");
	return 0;
}

static int key_size(const char *map)
{
	char *info = read_in_mount("maps/%s/info", map), value[32];
	int size;

	if (!info)
		return -1;
	size = atoi(info_value(info, "key_size", value, sizeof(value)));
	free(info);
	return size;
}

static int print(const char *stacks_text, const char *counts_text, int size, int folded,
		 const char *title)
{
	struct stacks *stacks = stacks_read(stacks_text);
	unsigned long long skipped = 0;
	struct frame *root = stacks ? fold(stacks, counts_text, size, &skipped) : NULL;
	int ret = 1;

	if (!root)
		fprintf(stderr, "ubpfctl: %s\n", strerror(ENOMEM));
	else if (!root->total)
		fprintf(stderr, "ubpfctl: there are no stacks in these maps yet\n");
	else
		ret = 0;
	if (skipped)
		fprintf(stderr, "ubpfctl: %llu counts name no stack of this map\n", skipped);
	if (!ret && folded)
		fold_print(root, stdout);
	else if (!ret)
		svg_print(root, title, stdout);
	fold_free(root);
	stacks_free(stacks);
	return ret;
}

/* A map that is there: its name; else what there is was said. */
static bool is_map(char *name)
{
	struct object map;
	bool there = object_open(UBPFFS_MAP, 1, &name, &map) == 1;

	object_close(&map);
	return there;
}

/* What a stack_trace map, and a map of counts, hold now. */
static int draw(const char *stacks, const char *counts, int folded, const char *title)
{
	char *stacks_text, *counts_text = NULL;
	int size = 0, ret;

	if (counts) {
		size = key_size(counts);
		counts_text = size < 0 ? NULL : read_in_mount("maps/%s/dump", counts);
		if (!counts_text)
			return fail(counts);
		if (size != 4 && size != 8 && size != 24) {
			fprintf(stderr,
				"ubpfctl: %s: a key is a stack id (4 bytes), a user and a kernel "
				"stack id (8), or these and a name of 16 bytes (24)\n",
				counts);
			free(counts_text);
			return 1;
		}
	}
	stacks_text = read_in_mount("maps/%s/dump", stacks);
	if (!stacks_text) {
		free(counts_text);
		return fail(stacks);
	}
	ret = print(stacks_text, counts_text, size, folded, title);
	free(stacks_text);
	free(counts_text);
	return ret;
}

static struct frame *read_folded(const char *path)
{
	unsigned long long skipped = 0;
	struct frame *root = NULL;
	char *text = NULL;
	size_t cap = 0;
	FILE *f = fopen(path, "re");
	ssize_t n = f ? getdelim(&text, &cap, 0, f) : -1;

	if (f && !ferror(f))
		root = fold_read(n > 0 ? text : "", &skipped);
	if (!root)
		fprintf(stderr, "ubpfctl: %s: %s\n", path, strerror(errno));
	else if (!root->total)
		fprintf(stderr,
			"ubpfctl: %s: no folded lines (`ubpfctl flame --folded` makes them)\n",
			path);
	if (f)
		fclose(f);
	free(text);
	if (root && !root->total) {
		fold_free(root);
		return NULL;
	}
	return root;
}

static int draw_diff(const char *before, const char *after, const char *title)
{
	struct frame *old = read_folded(before), *new = old ? read_folded(after) : NULL;

	if (new) {
		fold_diff(new, old);
		svg_print_diff(new, title, stdout);
	}
	fold_free(old);
	fold_free(new);
	return !new;
}

/* "10s", "500ms", "2m"; 0: it is none. */
static double duration(const char *word)
{
	char *end;
	double n = strtod(word, &end);

	if (end == word || !(n > 0) || n > 1e6)
		return 0;
	return !strcmp(end, "s")    ? n
	       : !strcmp(end, "ms") ? n / 1000
	       : !strcmp(end, "m")  ? n * 60
				    : 0;
}

static int sample(const char *pid, double seconds, const char *freq, bool dwarf, int folded,
		  const char *title)
{
	struct sampling s;
	int ret = sample_run(&s, pid, freq, dwarf, seconds);

	if (!ret)
		ret = draw(s.stacks, s.counts, folded, title);
	sample_end(&s);
	return ret;
}

int cmd_flame(int argc, char **argv)
{
	const char *pid = NULL, *title = NULL, *freq = "499";
	bool dwarf = false, diff = false;
	int i, n = 0, folded = 0;
	char *words[2];

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--folded"))
			folded = 1;
		else if (!strcmp(argv[i], "--dwarf"))
			dwarf = true;
		else if (!strcmp(argv[i], "--diff"))
			diff = true;
		else if (!strcmp(argv[i], "-p") && i + 1 < argc)
			pid = argv[++i];
		else if (!strcmp(argv[i], "-F") && i + 1 < argc)
			freq = argv[++i];
		else if (!strcmp(argv[i], "-t") && i + 1 < argc)
			title = argv[++i];
		else if (argv[i][0] == '-' || n == 2)
			return 2;
		else
			words[n++] = argv[i];
	}
	if (!n || (diff && (n != 2 || pid)))
		return 2;
	if (diff)
		return draw_diff(words[0], words[1], title ? title : "Flame graph: what changed") |
		       out_done();
	title = title ? title : "Flame graph";
	if (pid && n == 1 && duration(words[0]) > 0)
		return sample(pid, duration(words[0]), freq, dwarf, folded, title) | out_done();
	for (i = 0; i < n; i++)
		if (!is_map((char *)map_name(words[i])))
			return 1;
	if (pid && set_symbols(map_name(words[0]), pid))
		return 1;
	return draw(map_name(words[0]), n == 2 ? map_name(words[1]) : NULL, folded, title) |
	       out_done();
}
