/*
 * write_all.c - see write_all.h
 */
#include <errno.h>
#include <stdbool.h>
#include <unistd.h>
#include "util/write_all.h"

static int all(int fd, const void *data, size_t len, bool at, off_t off)
{
	while (len) {
		ssize_t n = at ? pwrite(fd, data, len, off) : write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		data = (const char *)data + n;
		len -= (size_t)n;
		off += n;
	}
	return 0;
}

int write_all(int fd, const void *data, size_t len)
{
	return all(fd, data, len, false, 0);
}

int pwrite_all(int fd, const void *data, size_t len, off_t off)
{
	return all(fd, data, len, true, off);
}
