/*
 * mount.c - see mount.h
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tools/lib/mount.h"
#include "uapi/ubpffs_client.h"

static const char *mount_option;

static int list_mount(void *ctx, const char *path, unsigned int uid)
{
	fprintf(stderr, "  %s (its server runs as uid %u)\n", path, uid);
	return 0;
}

/* Exits with a sentence: which mount there is, and how to name it. */
static void no_mount(const char *named)
{
	int err = errno;

	if (named && (err == EINVAL || err == ENOTDIR))
		fprintf(stderr, "ubpfctl: %s: not a ubpffs (start one there: ubpffs %s)\n", named,
			named);
	else if (named)
		fprintf(stderr, "ubpfctl: %s: %s\n", named, strerror(err));
	else if (err == ENODEV)
		fprintf(stderr,
			"ubpfctl: you have no ubpffs mounted (start one: ubpffs MOUNTPOINT)\n");
	else if (err == ENOTUNIQ)
		fprintf(stderr, "ubpfctl: you have several ubpffs mounted\n");
	else
		fprintf(stderr, "ubpfctl: your ubpffs: %s\n", strerror(err));
	if (!named && (err == ENODEV || err == ENOTUNIQ)) {
		fprintf(stderr, "ubpfctl: name one by -m MOUNT or $UBPFFS_MOUNT; there are:\n");
		ubpfc_each_mount(list_mount, NULL);
	}
	exit(1);
}

/* The caller's last line in M/log, malloc()ed, or NULL. */
static char *last_line(void)
{
	char *log = read_in_mount("log"), *last = NULL;
	size_t n = log ? strlen(log) : 0;

	if (n) {
		log[n - 1] = 0;
		last = strrchr(log, '\n');
		last = strdup(last ? last + 1 : log);
	}
	free(log);
	return last;
}

/* What the log ended with when we began: older than anything that fails here. */
static char *old_line;

void name_mount(const char *path)
{
	mount_option = path;
}

const char *mount_point(void)
{
	static char path[4096];
	const char *named = mount_option ? mount_option : secure_getenv("UBPFFS_MOUNT");

	if (path[0])
		return path;
	if (named && !*named)
		named = NULL;
	if ((named && ubpfc_mount(named)) || ubpfc_mount_path(path, sizeof(path)))
		no_mount(named);
	old_line = last_line();
	return path;
}

static int vopen_in_mount(int flags, const char *fmt, va_list args)
{
	char path[8192];
	int n = snprintf(path, sizeof(path), "%s/", mount_point());

	if (n < 0 || (size_t)n >= sizeof(path) ||
	    (size_t)vsnprintf(path + n, sizeof(path) - n, fmt, args) >= sizeof(path) - n) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return open(path, flags | O_CLOEXEC);
}

int open_in_mount(int flags, const char *fmt, ...)
{
	va_list args;
	int fd;

	va_start(args, fmt);
	fd = vopen_in_mount(flags, fmt, args);
	va_end(args);
	return fd;
}

char *read_in_mount(const char *fmt, ...)
{
	size_t len = 0, cap = 4096;
	char *buf = NULL, *bigger;
	va_list args;
	ssize_t n;
	int fd;

	va_start(args, fmt);
	fd = vopen_in_mount(O_RDONLY, fmt, args);
	va_end(args);
	if (fd < 0)
		return NULL;
	for (;;) {
		bigger = realloc(buf, cap);
		if (!bigger)
			break;
		buf = bigger;
		n = read(fd, buf + len, cap - len - 1);
		if (n <= 0) {
			buf[len] = 0;
			if (n == 0) {
				close(fd);
				return buf;
			}
			break;
		}
		len += n;
		if (cap - len < 1024)
			cap *= 2;
	}
	free(buf);
	close(fd);
	return NULL;
}

int fail(const char *what)
{
	int err = errno;
	char *last;

	fprintf(stderr, "ubpfctl: %s: %s: %s\n", mount_point(), what, strerror(err));
	last = last_line();
	if (last && (!old_line || strcmp(last, old_line)))
		fprintf(stderr, "%s\n", last);
	free(last);
	return 1;
}

const char *info_value(const char *info, const char *name, char *buf, size_t len)
{
	size_t n = strlen(name);
	const char *p, *end;

	buf[0] = 0;
	for (p = info; p && *p; p = *end ? end + 1 : end) {
		end = strchrnul(p, '\n');
		if (strncmp(p, name, n) || p[n] != ':')
			continue;
		p += n + 1;
		while (*p == ' ')
			p++;
		snprintf(buf, len, "%.*s", (int)(end - p), p);
		break;
	}
	return buf;
}
