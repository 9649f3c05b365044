/*
 * state_file.c - see state_file.h
 */
#include "fs/store/state/state_file.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/state_tree.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

bool tree_name_ok(const char *name)
{
	return *name && strcmp(name, ".") && strcmp(name, "..") && !strchr(name, '/') &&
	       strlen(name) <= NAME_MAX;
}

int tree_openat(int dirfd, const char *name)
{
	int fd;

	if (!tree_name_ok(name))
		return strlen(name) > NAME_MAX ? -ENAMETOOLONG : -EINVAL;
	fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int tree_has(int dirfd, const char *name)
{
	struct stat st;

	if (!fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW))
		return 1;
	return errno == ENOENT ? 0 : -errno;
}

int tree_load_dir_at(int progs, const char *name)
{
	char path[NAME_MAX + sizeof("/" LOAD_DIR_FILE)];
	int ret;

	if (strlen(name) > NAME_MAX)
		return 0;
	snprintf(path, sizeof(path), "%s/" LOAD_DIR_FILE, name);
	ret = tree_has(progs, path);
	return ret == -ENOTDIR ? 0 : ret;
}

int tree_open_file(int dirfd, const char *name, int flags)
{
	struct stat st;
	int fd;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT || !(flags & O_CREAT))
			return -errno;
	} else if (!S_ISREG(st.st_mode)) {
		return -EBADMSG;
	}
	fd = openat(dirfd, name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

ssize_t tree_read_small(int dirfd, const char *name, char **out)
{
	__do_close int fd = tree_open_file(dirfd, name, O_RDONLY);
	__do_free char *buf = NULL;
	struct stat st;
	ssize_t n;

	*out = NULL;
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size > 1 << 20)
		return -EBADMSG;
	buf = malloc(st.st_size + 1);
	if (!buf)
		return -ENOMEM;
	n = pread(fd, buf, st.st_size, 0);
	if (n < 0)
		return -errno;
	buf[n] = 0;
	*out = move_ptr(buf);
	return n;
}

int tree_write_small(int dirfd, const char *name, const char *data, size_t len,
		     struct error_record *why)
{
	char tmp[NAME_MAX + 1];
	int fd, err = 0;

	if (durable_only_look())
		return 0;
	if (snprintf(tmp, sizeof(tmp), "%s.tmp", name) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	fd = tree_open_file(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC);
	if (fd < 0)
		return tree_error(why, -fd, name);
	for (size_t done = 0; done < len;) {
		ssize_t n = write(fd, data + done, len - done);

		if (n <= 0) {
			err = n < 0 ? -errno : -EIO;
			break;
		}
		done += n;
	}
	if (!err && durable_mode() != DURABLE_NONE && fsync(fd) < 0) /* before it replaces */
		err = -errno;
	close(fd);
	if (!err && durable_renameat2(dirfd, tmp, dirfd, name, 0) < 0)
		err = -errno;
	if (err) {
		durable_unlinkat(dirfd, tmp, 0);
		tree_error(why, -err, name);
	}
	return err;
}
