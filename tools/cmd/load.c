/*
 * load.c - ubpfctl load: an object into progs/new, and the report when it is refused
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tools/lib/commands.h"
#include "tools/lib/mount.h"
#include "tools/lib/output.h"
#include "tools/lib/progress.h"

static int copy(int in, int out)
{
	static char buf[1 << 16];
	ssize_t n, done, w;

	while ((n = read(in, buf, sizeof(buf))) > 0)
		for (done = 0; done < n; done += w) {
			if ((w = write(out, buf + done, n - done)) < 0)
				return -1;
			progress_at(lseek(in, 0, SEEK_CUR));
		}
	return n;
}

static int say_type(const char *type, int out)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "type %s\n", type);

	return n < (int)sizeof(line) && write(out, line, (size_t)n) == n ? 0 : -1;
}

static int load(const char *path, const char *type)
{
	int in = open(path, O_RDONLY | O_CLOEXEC), out = -1, err;
	char *report;

	if (in < 0) {
		fprintf(stderr, "ubpfctl: %s: %s%s\n", path, strerror(errno),
			errno == ENOENT
				? " (compile it: clang -O2 -g -target bpf -c x.bpf.c -o x.bpf.o)"
				: "");
		return 1;
	}
	out = open_in_mount(O_WRONLY, "progs/new");
	if (out < 0) {
		close(in);
		return fail("progs/new");
	}
	progress_begin(path);
	err = (type && say_type(type, out)) || copy(in, out);
	progress_end();
	close(in);
	if (close(out) || err) {
		err = errno;
		report = read_in_mount("progs/log");
		if (report)
			fputs(report, stderr);
		free(report);
		errno = err;
		return fail(path);
	}
	return 0;
}

int cmd_load(int argc, char **argv)
{
	const char *type = NULL;
	int i = 1, ret = 0;

	if (argc > 2 && !strcmp(argv[1], "-t")) {
		type = argv[2];
		i = 3;
	}
	if (i >= argc)
		return 2;
	for (; i < argc; i++)
		ret |= load(argv[i], type);
	if (!ret)
		out_null();
	return ret | out_done();
}
