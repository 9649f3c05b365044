/*
 * caller.c - another process's memory, descriptors and names (see caller.h)
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "tools/run/caller/caller.h"
#include "tools/run/caller/run.h"

struct run_mount run_mount;

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif
#ifndef SECCOMP_ADDFD_FLAG_SEND
#define SECCOMP_ADDFD_FLAG_SEND (1u << 1)
#endif

bool caller_waits(const struct caller *c)
{
	uint64_t id = c->id;

	return !ioctl(c->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id);
}

/* ---- memory */

int caller_read(struct caller *c, uint64_t addr, void *buf, size_t len)
{
	struct iovec to = {buf, len}, from = {(void *)(uintptr_t)addr, len};

	if (!len)
		return 0;
	if (process_vm_readv(c->tid, &to, 1, &from, 1, 0) != (ssize_t)len)
		return caller_waits(c) ? -EFAULT : -ESRCH;
	return caller_waits(c) ? 0 : -ESRCH;
}

/*
 * Another thread of its process may run a set-uid program at any moment, which has the caller's
 * number then, and root may write to it. So the memory that is held is written, which is the
 * caller's if he waits afterwards.
 */
static int hold_memory(struct caller *c)
{
	char path[64];

	if (c->mem >= 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/mem", c->tid);
	c->mem = open(path, O_RDWR | O_CLOEXEC);
	return c->mem < 0 ? -errno : 0;
}

int caller_hold_memory(struct caller *c)
{
	return geteuid() ? 0 : hold_memory(c);
}

int caller_write(struct caller *c, uint64_t addr, const void *buf, size_t len)
{
	struct iovec from = {(void *)buf, len}, to = {(void *)(uintptr_t)addr, len};

	if (!len)
		return 0;
	if (!caller_waits(c))
		return -ESRCH;
	if (c->mem >= 0)
		return pwrite(c->mem, buf, len, (off_t)addr) == (ssize_t)len ? 0 : -EFAULT;
	return process_vm_writev(c->tid, &from, 1, &to, 1, 0) == (ssize_t)len ? 0 : -EFAULT;
}

int caller_string(struct caller *c, uint64_t addr, char *buf, size_t size)
{
	size_t len = 0, n;
	char *end;
	int err;

	/* Up to the end of its page at a time: the next one need not be there. */
	while (len < size) {
		n = 4096 - ((addr + len) & 4095);
		if (n > size - len)
			n = size - len;
		err = caller_read(c, addr + len, buf + len, n);
		if (err)
			return err;
		end = memchr(buf + len, 0, n);
		if (end)
			return end - buf;
		len += n;
	}
	return -ENAMETOOLONG;
}

int caller_copy(struct caller *c, uint64_t addr, size_t len, size_t max, void **out)
{
	int err;

	*out = NULL;
	if (!len)
		return 0;
	if (len > max)
		return -E2BIG;
	*out = malloc(len);
	if (!*out)
		return -ENOMEM;
	err = caller_read(c, addr, *out, len);
	if (err) {
		free(*out);
		*out = NULL;
	}
	return err;
}

/* ---- what it says about itself in /proc */

/* The value of a line of /proc/TID/status, into buf. */
static int status_of(pid_t tid, const char *name, char *buf, size_t size)
{
	size_t n = strlen(name);
	char path[64], *line = NULL;
	size_t cap = 0;
	int err = -EINVAL;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (getline(&line, &cap, f) > 0)
		if (!strncmp(line, name, n) && line[n] == ':') {
			err = (size_t)snprintf(buf, size, "%s", line + n + 1) < size ? 0 : -E2BIG;
			break;
		}
	free(line);
	fclose(f);
	return err;
}

static int status_line(struct caller *c, const char *name, char *buf, size_t size)
{
	int err = status_of(c->tid, name, buf, size);

	return caller_waits(c) ? err : -ESRCH;
}

/* ---- descriptors */

/*
 * The one of the last call that this thread answered: calls come in series, and a descriptor of a
 * process costs more than all else of a short one. It is of that thread of the caller's for good:
 * when the number is another one's, it is of nobody (ESRCH).
 */
static __thread struct {
	pid_t tid;
	int fd;
} last_pidfd = {.fd = -1};

static void forget_pidfd(void)
{
	if (last_pidfd.fd >= 0)
		close(last_pidfd.fd);
	last_pidfd.fd = -1;
}

static int open_pidfd(struct caller *c)
{
	char tgid[32];
	int err, fd = syscall(SYS_pidfd_open, c->tid, PIDFD_THREAD);

	if (fd < 0 && errno == EINVAL) {
		/* Before Linux 6.9: of whole processes only. Threads share their files. */
		err = status_line(c, "Tgid", tgid, sizeof(tgid));
		if (err)
			return err;
		fd = syscall(SYS_pidfd_open, atoi(tgid), 0);
	}
	if (fd < 0)
		return -errno;
	forget_pidfd();
	last_pidfd.fd = fd;
	last_pidfd.tid = c->tid;
	return 0;
}

int caller_fd(struct caller *c, int fd)
{
	bool known = last_pidfd.fd >= 0 && last_pidfd.tid == c->tid;
	int ret = known ? 0 : open_pidfd(c);

	if (ret < 0)
		return ret;
	if (fd < 0)
		return -EBADF;
	ret = syscall(SYS_pidfd_getfd, last_pidfd.fd, fd, 0);
	if (ret < 0 && known && errno == ESRCH) {
		ret = open_pidfd(c);
		if (ret < 0)
			return ret;
		ret = syscall(SYS_pidfd_getfd, last_pidfd.fd, fd, 0);
	}
	if (ret < 0)
		return -errno;
	if (caller_waits(c))
		return ret;
	close(ret); /* of what its process runs now */
	return -ESRCH;
}

int caller_add(struct caller *c, int fd)
{
	struct seccomp_notif_addfd add = {.id = c->id, .srcfd = fd, .newfd_flags = O_CLOEXEC};
	int ret = ioctl(c->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);

	return ret < 0 ? -errno : ret;
}

int caller_give(struct caller *c, int fd, bool cloexec)
{
	struct seccomp_notif_addfd add = {.id = c->id,
					  .flags = SECCOMP_ADDFD_FLAG_SEND,
					  .srcfd = fd,
					  .newfd_flags = cloexec ? O_CLOEXEC : 0};
	int ret = ioctl(c->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);

	if (ret < 0)
		return -errno;
	c->answered = true;
	c->given = ret;
	return ret;
}

/* ---- names */

int caller_absolute(struct caller *c, int dirfd, const char *path, char *out, size_t size)
{
	char link[64];
	ssize_t n = 0;

	if (path[0] != '/') {
		if (dirfd == AT_FDCWD)
			snprintf(link, sizeof(link), "/proc/%d/cwd", c->tid);
		else
			snprintf(link, sizeof(link), "/proc/%d/fd/%d", c->tid, dirfd);
		n = readlink(link, out, size);
		if (n < 0)
			return errno == ENOENT ? -EBADF : -errno;
		if ((size_t)n + 1 >= size)
			return -ENAMETOOLONG;
		out[n++] = '/';
	}
	if ((size_t)snprintf(out + n, size - n, "%s", path) >= size - n)
		return -ENAMETOOLONG;
	return caller_waits(c) ? 0 : -ESRCH;
}

int caller_open(struct caller *c, int dirfd, const char *path, int flags)
{
	struct open_how how = {.flags = (unsigned int)(flags | O_CLOEXEC),
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	char abs[8192], link[64];
	int root, fd, err;

	err = caller_absolute(c, dirfd, path, abs, sizeof(abs));
	if (err)
		return err;
	snprintf(link, sizeof(link), "/proc/%d/root", c->tid);
	root = open(link, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	if (!caller_waits(c)) {
		close(root);
		return -ESRCH;
	}
	fd = syscall(SYS_openat2, root, abs, &how, sizeof(how));
	err = errno;
	close(root);
	return fd < 0 ? -err : fd;
}

/* ---- rights */

static int groups_of(struct caller *c, gid_t *groups, int max)
{
	static __thread char line[16384];
	char *p = line, *end;
	int n = 0, err = status_line(c, "Groups", line, sizeof(line));

	if (err)
		return err;
	for (;; p = end) {
		unsigned long gid = strtoul(p, &end, 10);

		if (end == p)
			return n;
		if (n == max)
			return -E2BIG;
		groups[n++] = gid;
	}
}

static struct {
	gid_t gid, groups[1024];
	int nr_groups;
	char caps[64];
	struct stat userns;
} own;

int caller_init(void)
{
	own.gid = getegid();
	own.nr_groups = getgroups(1024, own.groups);
	if (own.nr_groups < 0 || stat("/proc/self/ns/user", &own.userns))
		return -errno;
	return status_of(getpid(), "CapEff", own.caps, sizeof(own.caps));
}

static int same_rights(struct caller *c)
{
	char link[64], caps[64];
	struct stat st;
	int err = status_line(c, "CapEff", caps, sizeof(caps));

	if (err)
		return err;
	snprintf(link, sizeof(link), "/proc/%d/ns/user", c->tid);
	if (stat(link, &st))
		return -errno;
	return st.st_ino == own.userns.st_ino && st.st_dev == own.userns.st_dev &&
			       !strcmp(caps, own.caps)
		       ? 0
		       : -EPERM;
}

static void be_oneself(void)
{
	setfsuid(0);
	setfsgid(own.gid);
	if ((unsigned int)setfsuid(-1) != 0 || (unsigned int)setfsgid(-1) != own.gid ||
	    syscall(SYS_setgroups, own.nr_groups, own.groups))
		_exit(1); /* better no answers than with a caller's rights */
}

static int become(struct caller *c)
{
	char uid[128], gid[128];
	gid_t groups[1024];
	unsigned int fsuid, fsgid;
	int n, err;

	err = status_line(c, "Uid", uid, sizeof(uid));
	if (!err)
		err = status_line(c, "Gid", gid, sizeof(gid));
	if (err)
		return err;
	if (sscanf(uid, "%*u%*u%*u%u", &fsuid) != 1 || sscanf(gid, "%*u%*u%*u%u", &fsgid) != 1)
		return -EINVAL;
	/* As fsuid 0 we would have our capabilities, not the caller's. */
	err = fsuid ? hold_memory(c) : same_rights(c);
	if (err)
		return err;
	n = groups_of(c, groups, 1024);
	if (n < 0)
		return n;
	/* The raw calls: of this thread alone. */
	if (syscall(SYS_setgroups, n, groups))
		return -errno;
	if (!caller_waits(c)) { /* then these were another process's */
		be_oneself();
		return -ESRCH;
	}
	setfsgid(fsgid);
	setfsuid(fsuid);
	if ((unsigned int)setfsuid(-1) != fsuid || (unsigned int)setfsgid(-1) != fsgid) {
		be_oneself();
		return -EPERM;
	}
	return 0;
}

int caller_become(struct caller *c)
{
	/* no_new_privs: nothing that an ordinary user runs has other ids. */
	return geteuid() ? 0 : become(c);
}

void caller_return(void)
{
	int saved = errno;

	if (!geteuid())
		be_oneself();
	errno = saved;
}

/* ---- answers */

void caller_answer(struct caller *c, long ret)
{
	struct seccomp_notif_resp resp = {.id = c->id};

	if (c->answered)
		return;
	c->answered = true;
	if (ret < 0)
		resp.error = ret;
	else
		resp.val = ret;
	ioctl(c->listener, SECCOMP_IOCTL_NOTIF_SEND, &resp); /* ENOENT: it is gone */
}

void caller_go_on(struct caller *c)
{
	struct seccomp_notif_resp resp = {.id = c->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

	if (c->answered)
		return;
	c->answered = true;
	ioctl(c->listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

void caller_end(struct caller *c)
{
	if (c->mem >= 0)
		close(c->mem);
	c->mem = -1;
}
