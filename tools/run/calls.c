/*
 * calls.c - statfs, mount, trace_pipe, links and fdinfo of descriptors, the memlock limit
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "tools/run/calls.h"
#include "tools/run/commands/object.h"
#include "tools/run/caller/run.h"

/* ---- statfs */

static bool on_mount(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && st.st_dev == run_mount.dev;
}

static int write_as_caller(struct caller *c, uint64_t addr, const void *buf, size_t len)
{
	int err = caller_become(c);

	if (err && err != -EPERM) /* that is root, who may be written to */
		return err;
	err = caller_write(c, addr, buf, len);
	caller_return();
	return err;
}

static void answer_statfs(struct caller *c, int fd, long magic)
{
	struct statfs fs;

	if (fstatfs(fd, &fs)) {
		caller_answer(c, -errno);
		return;
	}
	fs.f_type = magic;
	caller_answer(c, write_as_caller(c, CALLER_ARG(c, 1), &fs, sizeof(fs)));
}

/* ---- tracefs, of which M has the one file that programs of ours write to */

/* What of tracefs a path is: "" for its root; NULL: nothing. */
static const char *tracefs_file(const char *path)
{
	static const char *const roots[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};
	size_t i, len;

	for (i = 0; i < 2; i++) {
		len = strlen(roots[i]);
		if (!strncmp(path, roots[i], len) && (!path[len] || path[len] == '/'))
			return path + len;
	}
	return NULL;
}

static bool open_trace(struct caller *c, const char *path, int flags)
{
	const char *name = tracefs_file(path);
	int fd;

	if (!name || strcmp(name, "/trace_pipe") || caller_become(c))
		return false;
	fd = mount_open("trace_pipe", O_RDONLY | (flags & O_NONBLOCK));
	if (fd < 0)
		caller_answer(c, fd);
	else
		caller_give(c, fd, flags & O_CLOEXEC);
	caller_return();
	if (fd >= 0)
		close(fd);
	return true;
}

void run_statfs(struct caller *c)
{
	char path[4096];
	const char *name;
	int fd;

	if (caller_string(c, CALLER_ARG(c, 0), path, sizeof(path)) < 0)
		return;
	name = tracefs_file(path);
	if (name && (!*name || !strcmp(name, "/"))) {
		answer_statfs(c, run_mount.fd, TRACEFS_MAGIC);
		return;
	}
	if (caller_become(c))
		return;
	fd = caller_open(c, AT_FDCWD, path, O_PATH);
	caller_return();
	if (fd < 0)
		return;
	if (on_mount(fd))
		answer_statfs(c, fd, BPF_FS_MAGIC);
	close(fd);
}

void run_fstatfs(struct caller *c)
{
	int fd = caller_fd(c, CALLER_ARG(c, 0));

	if (fd < 0)
		return;
	if (on_mount(fd))
		answer_statfs(c, fd, BPF_FS_MAGIC);
	close(fd);
}

/* ---- mount -t bpf */

void run_mount_call(struct caller *c)
{
	char type[16], path[4096];
	int fd;

	if (!CALLER_ARG(c, 2) || caller_string(c, CALLER_ARG(c, 2), type, sizeof(type)) < 0 ||
	    strcmp(type, "bpf"))
		return;
	if (caller_string(c, CALLER_ARG(c, 1), path, sizeof(path)) < 0) {
		caller_answer(c, -EFAULT);
		return;
	}
	fd = caller_become(c);
	if (!fd) {
		fd = caller_open(c, AT_FDCWD, path, O_PATH);
		caller_return();
	}
	if (fd < 0) {
		caller_answer(c, fd);
		return;
	}
	/* The kernel would mount its own, where pins of this mount cannot be. */
	caller_answer(c, on_mount(fd) ? 0 : -EPERM);
	close(fd);
}

/* ---- /proc/self/fd/N and /proc/self/fdinfo/N */

/* Is it /proc/self/<dir>/N, or its own number for self? The descriptor, or -1. */
static int own_fd(struct caller *c, const char *path, const char *dir)
{
	char *end;
	long fd, pid;

	if (strncmp(path, "/proc/", 6))
		return -1;
	path += 6;
	if (!strncmp(path, "self/", 5)) {
		path += 5;
	} else if (!strncmp(path, "thread-self/", 12)) {
		path += 12;
	} else {
		pid = strtol(path, &end, 10);
		if (pid != c->tid || *end != '/') /* other threads' numbers: the kernel's answer */
			return -1;
		path = end + 1;
	}
	if (strncmp(path, dir, strlen(dir)) || path[strlen(dir)] != '/')
		return -1;
	path += strlen(dir) + 1;
	fd = strtol(path, &end, 10);
	return end != path && !*end && fd >= 0 && fd < INT32_MAX ? fd : -1;
}

static void link_of(struct caller *c, uint64_t addr, uint64_t buf, uint64_t size)
{
	char path[64];
	struct object obj;
	const char *name;
	size_t len;
	int fd, err;

	if (caller_string(c, addr, path, sizeof(path)) < 0)
		return;
	fd = own_fd(c, path, "fd");
	if (fd < 0 || caller_become(c))
		return;
	if (!object_of_fd(c, fd, 0, &obj)) {
		name = object_link_name(&obj);
		len = strlen(name) < size ? strlen(name) : size;
		err = caller_write(c, buf, name, len);
		caller_answer(c, err ? err : (long)len);
	}
	caller_return();
	object_end(&obj);
}

void run_readlink(struct caller *c)
{
	link_of(c, CALLER_ARG(c, 0), CALLER_ARG(c, 1), CALLER_ARG(c, 2));
}

void run_readlinkat(struct caller *c)
{
	link_of(c, CALLER_ARG(c, 1), CALLER_ARG(c, 2), CALLER_ARG(c, 3));
}

static void open_of(struct caller *c, uint64_t addr, int flags)
{
	struct ubpffs_io io = {.out_len = 4096};
	char path[64], text[4096];
	struct object obj;
	int fd, file = -1;

	if (caller_string(c, addr, path, sizeof(path)) < 0)
		return;
	if (open_trace(c, path, flags))
		return;
	fd = own_fd(c, path, "fdinfo");
	if (fd < 0 || caller_become(c))
		return;
	if (!object_of_fd(c, fd, 0, &obj) &&
	    !mount_command(obj.fd, UBPFFS_OBJ_FDINFO, &io, NULL, 0, text))
		file = memfd_create("fdinfo", MFD_CLOEXEC);
	if (file >= 0 &&
	    dprintf(file, "pos:\t0\nflags:\t0%o\n", fcntl(obj.fd, F_GETFL) | O_CLOEXEC) > 0 &&
	    write(file, text, io.out_len) == io.out_len && !lseek(file, 0, SEEK_SET))
		caller_give(c, file, flags & O_CLOEXEC);
	caller_return();
	if (file >= 0)
		close(file);
	object_end(&obj);
}

void run_open(struct caller *c)
{
	open_of(c, CALLER_ARG(c, 0), CALLER_ARG(c, 1));
}

void run_openat(struct caller *c)
{
	open_of(c, CALLER_ARG(c, 1), CALLER_ARG(c, 2));
}

/* ---- the memlock limit, which counts nothing here: raising it works, and changes nothing */

void run_prlimit(struct caller *c)
{
	struct rlimit64 old;
	long err = 0;

	if (CALLER_ARG(c, 0) && (pid_t)CALLER_ARG(c, 0) != c->tid)
		return; /* of another process: the kernel's */
	if (CALLER_ARG(c, 3)) {
		if (prlimit64(c->tid, RLIMIT_MEMLOCK, NULL, &old))
			return;
		err = write_as_caller(c, CALLER_ARG(c, 3), &old, sizeof(old));
	}
	caller_answer(c, err);
}

void run_setrlimit(struct caller *c)
{
	struct rlimit64 limit;

	caller_answer(c, caller_read(c, CALLER_ARG(c, 1), &limit, sizeof(limit)));
}
