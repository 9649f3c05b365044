/*
 * list.c - ubpfctl list: one line an object, from the info files
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/lib/commands.h"
#include "tools/lib/mount.h"

static int list(const char *kind, const char *const *columns)
{
	char value[128];
	struct dirent *e;
	char *info;
	DIR *dir;
	int fd, i;

	fd = open_in_mount(O_RDONLY | O_DIRECTORY, "%s", kind);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return fail(kind);
	printf("%-28s", kind);
	for (i = 0; columns[i]; i++)
		printf(" %-14s", columns[i]);
	printf("\n");
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.' || e->d_type != DT_DIR)
			continue;
		info = read_in_mount("%s/%s/info", kind, e->d_name);
		if (!info)
			continue; /* gone meanwhile, or a map without its attributes yet */
		printf("%-28s", e->d_name);
		for (i = 0; columns[i]; i++)
			printf(" %-14s", info_value(info, columns[i], value, sizeof(value)));
		printf("\n");
		free(info);
	}
	closedir(dir);
	return 0;
}

int cmd_list(int argc, char **argv)
{
	static const char *const prog_columns[] = {"id",	   "type",	  "tag",
						   "xlated_insns", "jited_bytes", NULL};
	static const char *const map_columns[] = {"id",		"type",	       "key_size",
						  "value_size", "max_entries", NULL};
	int ret = 0;

	if (argc > 2 || (argc == 2 && strcmp(argv[1], "progs") && strcmp(argv[1], "maps")))
		return 2;
	if (argc == 1 || !strcmp(argv[1], "progs"))
		ret |= list("progs", prog_columns);
	if (argc == 1 || !strcmp(argv[1], "maps"))
		ret |= list("maps", map_columns);
	return ret;
}
