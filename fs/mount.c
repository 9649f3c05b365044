/*
 * mount.c - see mount.h
 */
#include "fs/mount.h"
#include "core/types.h"

#include <limits.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

/* A server that was killed leaves a mount that answers ENOTCONN. Only one of ours is taken away. */
static bool is_our_mount(const char *path)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[2 * PATH_MAX], where[PATH_MAX], rest[PATH_MAX];
	bool ours = false;

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		char *type = strstr(line, " - ");

		if (!type || sscanf(line, "%*s %*s %*s %*s %4095s", where) != 1 ||
		    sscanf(type, " - %4095s", rest) != 1)
			continue;
		if (!strcmp(where, path)) /* the last one is on top */
			ours = !strcmp(rest, "fuse.ubpffs");
	}
	fclose(f);
	return ours;
}

static void take_away(const char *path)
{
	pid_t pid;

	if (!umount2(path, MNT_DETACH))
		return;
	pid = fork();
	if (!pid) {
		execlp("fusermount3", "fusermount3", "-u", "-z", "--", path, NULL);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

void mount_clear_stale(const char *path)
{
	struct statvfs sv; /* asks the server, where stat() may be answered from a cache */

	if (!statvfs(path, &sv) || errno != ENOTCONN || !is_our_mount(path))
		return;
	fprintf(stderr, "ubpffs: %s: taking away the mount of a server that is gone\n", path);
	take_away(path);
}

/* realpath() of a dead mount fails: resolve the directory above it. */
char *mount_absolute_path(const char *arg)
{
	char full[PATH_MAX], *copy, *slash, *path = NULL;
	size_t len;

	if (realpath(arg, full))
		return strdup(full);
	copy = strdup(arg);
	if (!copy)
		return NULL;
	for (len = strlen(copy); len > 1 && copy[len - 1] == '/'; len--)
		copy[len - 1] = 0;
	slash = strrchr(copy, '/');
	if (slash)
		*slash = 0;
	if (realpath(!slash  ? "."
		     : *copy ? copy
			     : "/",
		     full) &&
	    asprintf(&path, "%s/%s", strcmp(full, "/") ? full : "", slash ? slash + 1 : copy) < 0)
		path = NULL;
	free(copy);
	return path;
}
