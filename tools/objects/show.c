/*
 * show.c - ubpfctl show: what an object says of itself
 */
#include <stdio.h>
#include <string.h>
#include "tools/lib/commands.h"
#include "tools/lib/mount.h"
#include "tools/lib/output.h"
#include "tools/objects/info.h"

int cmd_show(int argc, char **argv)
{
	enum ubpffs_kind kind;
	struct names names;
	struct object obj;
	int n;

	if (argc < 3 || (strcmp(argv[1], "prog") && strcmp(argv[1], "map")))
		return 2;
	kind = strcmp(argv[1], "map") ? UBPFFS_PROG : UBPFFS_MAP;
	n = object_open(kind, argc - 2, argv + 2, &obj);
	if (n < 0)
		return 1;
	if (n != argc - 2) {
		object_close(&obj);
		return 2;
	}
	if (names_get(kind, &names)) {
		object_close(&obj);
		return fail(argv[1]);
	}
	if (out_json())
		out_info(&obj, &names);
	else
		print_info(&obj, &names);
	names_free(&names);
	object_close(&obj);
	return out_done();
}
