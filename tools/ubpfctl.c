/*
 * ubpfctl.c - the command line client: finds the mount, picks the subcommand
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tools/commands.h"
#include "tools/ubpfctl.h"
#include "uapi/ubpffs_client.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *usage, *what;
} commands[] = {
	{"load", cmd_load, "FILE...", "load ELF objects; on a rejection print the report"},
	{"push", cmd_push, "[-r REPEAT] [-q] PROG FILE|-",
	 "run a program on each packet of a pcap file, or on one raw packet"},
	{"filter", cmd_filter, "[-d] NAME EXPRESSION...",
	 "make a program of a tcpdump expression; -d: print it as tcpdump -ddd"},
	{"list", cmd_list, "[progs|maps]", "one line an object"},
	{"flame", cmd_flame, "[-p PID] [-t TITLE] [--folded] STACKS [COUNTS]",
	 "a stack_trace map as a flame graph (SVG), or as folded lines"},
	{"run", cmd_run, "[-v] [-m MOUNT] [--] COMMAND...",
	 "run a program; its bpf(2) calls are answered by the mount (-v: and printed)"},
	{"trace", cmd_trace, "[-n]", "follow trace_pipe; -n: print what is there and end"},
};

static const char *mount_option;

static int usage(FILE *out)
{
	size_t i;

	fprintf(out, "usage: ubpfctl [-m MOUNT] COMMAND ...\n\n");
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(out, "  %s %s\n         %s\n", commands[i].name, commands[i].usage,
			commands[i].what);
	fprintf(out,
		"\nMOUNT defaults to $UBPFFS_MOUNT, then to the one ubpffs whose server runs as "
		"you.\n");
	return out == stdout ? 0 : 2;
}

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
		fprintf(stderr, "ubpfctl: %s: not a ubpffs\n", named);
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
	const char *named = mount_option ? mount_option : getenv("UBPFFS_MOUNT");

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

int main(int argc, char **argv)
{
	size_t i;
	int opt;

	while ((opt = getopt(argc, argv, "+m:h")) != -1) {
		if (opt == 'm')
			mount_option = optarg;
		else
			return usage(opt == 'h' ? stdout : stderr);
	}
	argc -= optind;
	argv += optind;
	optind = 0;
	if (!argc)
		return usage(stderr);
	if (!strcmp(argv[0], "help"))
		return usage(stdout);
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[0], commands[i].name)) {
			int ret = commands[i].run(argc, argv);

			if (ret == 2)
				fprintf(stderr, "usage: ubpfctl %s %s\n", commands[i].name,
					commands[i].usage);
			return ret;
		}
	fprintf(stderr, "ubpfctl: no command '%s'\n", argv[0]);
	return usage(stderr);
}
