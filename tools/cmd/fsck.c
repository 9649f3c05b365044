/*
 * fsck.c - ubpfctl fsck: a state directory is checked
 *
 * The server's program does it (fs/fsck.h), since it is what has to read the state afterwards: the
 * one that lies beside this program, or the one in $PATH. The exit status is fsck(8)'s.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tools/lib/commands.h"
#include "tools/lib/output.h"

#define FSCK_ERROR 8

/* state=DIR, with what -o takes for its own. */
static char *state_option(const char *dir)
{
	char *option = malloc(2 * strlen(dir) + sizeof("state=")), *to = option;

	if (!option)
		return NULL;
	to = stpcpy(to, "state=");
	for (; *dir; dir++) {
		if (*dir == ',' || *dir == '\\')
			*to++ = '\\';
		*to++ = *dir;
	}
	*to = 0;
	return option;
}

static void run(char **argv)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - sizeof("/ubpffs"));
	char *slash;

	if (n > 0) {
		self[n] = 0;
		slash = strrchr(self, '/');
		strcpy(slash ? slash : self, "/ubpffs");
		execv(self, argv);
	}
	execvp("ubpffs", argv);
}

int cmd_fsck(int argc, char **argv)
{
	char *args[8] = {"ubpffs", "-o", "fsck=repair"};
	int opt, n = 3;

	while ((opt = getopt(argc, argv, "n")) != -1) {
		if (opt != 'n')
			return 2;
		args[2] = "fsck=look";
	}
	if (optind != argc - 1)
		return 2;
	if (out_json()) {
		args[n++] = "-o";
		args[n++] = "fsck_json";
	}
	args[n++] = "-o";
	args[n] = state_option(argv[optind]);
	if (args[n])
		run(args);
	fprintf(stderr, "ubpfctl: ubpffs: %s\n", strerror(errno));
	return FSCK_ERROR;
}
