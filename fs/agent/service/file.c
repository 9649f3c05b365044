/*
 * file.c - see file.h
 *
 * A path is taken apart: its directory is opened without magic links and looked at, then the name
 * in it, without following it. A link there is read, and is a path again.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "fs/agent/agent.h"
#include "fs/agent/kernel_file.h"
#include "fs/agent/service/file.h"

#define MAX_LINKS 40

struct look {
	const char *path; /* as the client wrote it */
	struct error_record *why;
};

#define refuse(look, err, fmt, ...) \
	error_set((look)->why, err, "%.200s: " fmt, (look)->path, ##__VA_ARGS__)

static int open_plain(int dir, const char *path, u64 flags, mode_t mode)
{
	struct open_how how = {.flags = flags | O_CLOEXEC,
			       .mode = flags & O_CREAT ? mode : 0,
			       .resolve = RESOLVE_NO_MAGICLINKS};
	int fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* A system call on the path, or on what it leads to, has just said so. */
static int not_opened(struct look *look, int err)
{
	if (err == -ENOSYS)
		return refuse(look, EOPNOTSUPP, "files are opened by openat2(2), since Linux 5.6");
	if (err == -ELOOP)
		return refuse(look, ELOOP,
			      "too many links, or one that leads to another process's files "
			      "(/proc/PID/fd)");
	return refuse(look, -err, "%s", strerror(-err));
}

/* Is `dir` the server's state directory, or below it? */
static int in_state(int dir)
{
	struct stat st, up;
	int fd = open_plain(dir, ".", O_PATH | O_DIRECTORY, 0), err = 0;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st))
		err = -errno;
	while (!err) {
		int parent;

		if (agent_is_state(&st)) {
			err = 1;
			break;
		}
		parent = open_plain(fd, "..", O_PATH | O_DIRECTORY, 0);
		if (parent < 0 || fstat(parent, &up)) {
			err = parent < 0 ? parent : -errno;
			if (parent >= 0)
				close(parent);
			break;
		}
		close(fd);
		fd = parent;
		if (up.st_dev == st.st_dev && up.st_ino == st.st_ino)
			break; /* the root */
		st = up;
	}
	close(fd);
	return err;
}

static int check_dir(struct look *look, int dir)
{
	int ret = is_kernel_file(dir);

	if (ret > 0)
		return refuse(look, EACCES,
			      "files of /proc are not opened for a client, nor others that the "
			      "kernel makes");
	if (!ret)
		ret = in_state(dir);
	if (ret > 0)
		return refuse(look, EACCES, "this lies in the server's own state directory");
	return ret ? not_opened(look, ret) : 0;
}

/* 0, or why this is no file that may be used. */
static int check_file(struct look *look, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return not_opened(look, -errno);
	if (!S_ISREG(st.st_mode))
		return refuse(look, EINVAL, "not a regular file");
	if (!st.st_nlink)
		return refuse(look, EACCES, "a file without a name");
	return 0;
}

/*
 * The directory of `path` (relative to base), *name in it. The name is a copy.
 */
static int open_dir(struct look *look, int base, const char *path, char *name)
{
	const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;
	char dir[PATH_MAX] = ".";
	int fd, err;

	if (strlen(last) > NAME_MAX)
		return not_opened(look, -ENAMETOOLONG);
	memcpy(dir, path, (size_t)(last - path)); /* shorter than a path */
	strcpy(name, last);
	if (!name[0] || !strcmp(name, ".") || !strcmp(name, ".."))
		return refuse(look, EINVAL, "not a regular file");
	fd = open_plain(base, dir, O_PATH | O_DIRECTORY, 0);
	if (fd < 0)
		return not_opened(look, fd);
	err = check_dir(look, fd);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

/* The file that was looked at, or a new one; *again: another file is there now. */
static int open_found(struct look *look, int dir, const char *name, enum agent_file_how how,
		      bool found, bool *again)
{
	u64 flags = O_NONBLOCK | O_NOCTTY | O_NOFOLLOW |
		    (how == AGENT_FILE_READ ? O_RDONLY : O_RDWR);
	int fd = open_plain(dir, name, found ? flags : flags | O_CREAT | O_EXCL, 0644), err;

	*again = fd == (found ? -ENOENT : -EEXIST);
	if (fd < 0)
		return *again ? fd : not_opened(look, fd);
	err = check_file(look, fd);
	if (err) {
		close(fd);
		return err;
	}
	fcntl(fd, F_SETFL, 0); /* O_NONBLOCK was for what it might have been */
	return fd;
}

/* What the link `fd` says, as a path from `dir` on. */
static int read_link(struct look *look, int fd, char *path)
{
	ssize_t n = readlinkat(fd, "", path, PATH_MAX - 1);

	if (n < 0)
		return not_opened(look, -errno);
	path[n] = 0;
	return n ? 0 : not_opened(look, -ENOENT);
}

int agent_file_open(const char *path, enum agent_file_how how, struct error_record *why)
{
	struct look look = {path, why};
	char name[NAME_MAX + 1], link[PATH_MAX];
	int dir = AT_FDCWD, fd = -1, err = 0;
	bool again = false;
	struct stat st;

	if (path[0] != '/')
		return refuse(&look, EINVAL, "a path from the root on");
	if (strlen(path) >= PATH_MAX)
		return not_opened(&look, -ENAMETOOLONG);
	strcpy(link, path);
	for (int n = 0; n < MAX_LINKS; n++) {
		int next = open_dir(&look, dir, link, name), at;

		if (dir >= 0)
			close(dir);
		dir = next;
		if (dir < 0)
			return dir;
		do {
			at = open_plain(dir, name, O_PATH | O_NOFOLLOW, 0);
			err = at < 0 ? at : fstat(at, &st) ? -errno : 0;
			if (err == -ENOENT && how == AGENT_FILE_WRITE) {
				err = fd = open_found(&look, dir, name, how, false, &again);
			} else if (err) {
				not_opened(&look, err);
			} else if (S_ISLNK(st.st_mode) && how == AGENT_FILE_WRITE) {
				err = refuse(&look, ELOOP, "a link: say the file itself");
			} else if (S_ISLNK(st.st_mode)) {
				err = read_link(&look, at, link);
			} else if (!(err = check_file(&look, at))) {
				err = fd = open_found(&look, dir, name, how, true, &again);
			}
			if (at >= 0)
				close(at);
		} while (err < 0 && again && n++ < MAX_LINKS);
		if (err < 0 || fd >= 0)
			break;
	}
	close(dir);
	return err < 0 ? err : fd >= 0 ? fd : not_opened(&look, -ELOOP);
}
