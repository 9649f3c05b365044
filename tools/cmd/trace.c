/*
 * trace.c - ubpfctl trace: what programs print
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "tools/lib/commands.h"
#include "tools/lib/mount.h"
#include "tools/lib/output.h"
#include "text/text.h"

/* As it comes; as JSON each line is a string, on a line of its own. */
static void show(const char *buf, size_t n)
{
	static struct fs_text line;

	for (size_t i = 0; out_json() && i < n; i++) {
		if (buf[i] != '\n') {
			fs_text_append(&line, buf + i, 1);
			continue;
		}
		out_begin(NULL, '{');
		out_str("line", line.buf ? line.buf : "");
		out_end('}');
		line.len = 0;
		if (line.buf)
			line.buf[0] = 0;
	}
	if (!out_json())
		fwrite(buf, 1, n, stdout);
	fflush(stdout);
}

int cmd_trace(int argc, char **argv)
{
	int fd, flags = O_RDONLY;
	char buf[4096];
	ssize_t n;

	if (argc > 2 || (argc == 2 && strcmp(argv[1], "-n")))
		return 2;
	if (argc == 2)
		flags |= O_NONBLOCK;
	fd = open_in_mount(flags, "trace_pipe");
	if (fd < 0)
		return fail("trace_pipe");
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		show(buf, n);
	if (n < 0 && errno != EAGAIN)
		return fail("trace_pipe");
	close(fd);
	return out_done();
}
