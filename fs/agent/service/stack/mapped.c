/*
 * mapped.c - see mapped.h
 *
 * The path is looked up without opening the file; what was found is opened by its descriptor, so it
 * is what was looked at.
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "util/types.h"
#include "fs/agent/kernel_file.h"
#include "fs/agent/service/stack/mapped.h"

int mapped_proc(pid_t pid)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int open_found(int proc, const char *path, u64 flags)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC | flags,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	__do_close int root = openat(proc < 0 ? AT_FDCWD : proc, proc < 0 ? "/" : "root",
				     O_PATH | O_DIRECTORY | O_CLOEXEC);
	__do_close int at = -1;
	char self[40];
	struct stat st;
	int fd, ret;

	if (root < 0)
		return -errno;
	if (path[0] != '/')
		return -ENOENT;
	at = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	if (at < 0 || fstat(at, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	ret = is_kernel_file(at);
	if (ret)
		return ret < 0 ? ret : -EACCES;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", at);
	fd = open(self, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int mapped_open(int proc, const char *path)
{
	return open_found(proc, path, 0);
}

int mapped_open_no_link(int proc, const char *path)
{
	return open_found(proc, path, O_NOFOLLOW);
}
