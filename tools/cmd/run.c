/*
 * run.c - ubpfctl run: a command with this mount in place of the kernel's BPF
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "tools/run/caller/run.h"
#include "tools/lib/commands.h"
#include "tools/lib/mount.h"

int cmd_run(int argc, char **argv)
{
	const char *mount = NULL;
	bool verbose = false;
	int i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (!strcmp(argv[i], "--")) {
			i++;
			break;
		}
		if (!strcmp(argv[i], "-v"))
			verbose = true;
		else if (!strcmp(argv[i], "-m") && i + 1 < argc)
			mount = argv[++i];
		else
			return 2;
	}
	if (i >= argc)
		return 2;
	if (mount)
		name_mount(mount);
	return run_command(mount_point(), argv + i, verbose);
}
