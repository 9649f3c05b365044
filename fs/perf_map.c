/*
 * perf_map.c - see perf_map.h
 */
#include "fs/perf_map.h"
#include "jit/perf_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int perf_map_begin(void)
{
	char path[48];
	int fd;

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	/* Anybody makes names in /tmp: nothing that is there is written to. */
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	bpf_jit_perf_map(fd);
	return 0;
}
