/*
 * flame.c - ubpfctl flame: a stack_trace map as a flame graph or as folded lines
 *
 * Maps are named by their directory (M/maps/stacks, maps/stacks, or stacks). With -p the map's
 * symbols are read first from that process.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tools/flame/fold.h"
#include "tools/lib/commands.h"
#include "tools/lib/mount.h"

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

int cmd_flame(int argc, char **argv)
{
	const char *pid = NULL, *title = "Flame graph", *stacks, *counts = NULL;
	char *stacks_text, *counts_text = NULL;
	int i, n = 0, folded = 0, size = 0, ret;
	char *maps[2];

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--folded"))
			folded = 1;
		else if (!strcmp(argv[i], "-p") && i + 1 < argc)
			pid = argv[++i];
		else if (!strcmp(argv[i], "-t") && i + 1 < argc)
			title = argv[++i];
		else if (argv[i][0] == '-' || n == 2)
			return 2;
		else
			maps[n++] = argv[i];
	}
	if (!n)
		return 2;
	stacks = map_name(maps[0]);
	if (pid && set_symbols(stacks, pid))
		return 1;
	if (n == 2) {
		counts = map_name(maps[1]);
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
