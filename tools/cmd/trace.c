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
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		fwrite(buf, 1, n, stdout);
		fflush(stdout);
	}
	if (n < 0 && errno != EAGAIN)
		return fail("trace_pipe");
	close(fd);
	return 0;
}
