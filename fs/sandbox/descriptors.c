/*
 * descriptors.c - see descriptors.h
 */
#include "fs/sandbox/descriptors.h"

#include <fcntl.h>
#include <unistd.h>

void close_from(int first)
{
	if (close_range((unsigned int)first, ~0U, 0))
		for (int fd = first, end = (int)sysconf(_SC_OPEN_MAX); fd < end; fd++)
			close(fd);
}

bool null_to(int first, int last)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = first; null >= 0 && fd <= last; fd++)
		if (fd == null)
			fcntl(fd, F_SETFD, 0);
		else
			dup2(null, fd);
	if (null < first || null > last)
		close(null);
	return null >= 0;
}
