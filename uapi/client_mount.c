/*
 * client_mount.c - finds the caller's mount, holds it, opens files below it (see client_mount.h)
 *
 * The caller's own mount is the one whose server runs as the caller: the kernel shows that server's
 * uid as `user_id` among the mount's options. Another user's server is never taken unasked.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <mntent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "uapi/client_mount.h"
#include "uapi/ubpffs_client.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *mount_path; /* absolute; NULL: none yet */
static int mount_fd = -1;

#define NOBODY 65534 /* whom a user namespace does not know */

/* All users are the machine's own in its first user namespace only. */
static int in_user_namespace(void)
{
	FILE *f = fopen("/proc/self/uid_map", "re");
	unsigned int inside, outside, count;
	int first;

	if (!f)
		return 0; /* a kernel without them */
	first = fscanf(f, "%u %u %u", &inside, &outside, &count) == 3 && count == ~0u;
	fclose(f);
	return !first;
}

/*
 * A mount of the machine's says that machine's uid also in a user namespace, where the same number
 * is somebody else: the owner of its root directory is told in the namespace's own numbers.
 */
static unsigned int server_of(const char *path, unsigned int user_id)
{
	struct stat st;

	if (user_id != geteuid() || !in_user_namespace())
		return user_id;
	return !stat(path, &st) && st.st_uid == user_id ? user_id : NOBODY;
}

EXPORT int ubpfc_each_mount(ubpfc_mount_fn fn, void *ctx)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent entry;
	char buf[16384];
	int stop = 0;

	if (!f)
		return -1;
	while (!stop && getmntent_r(f, &entry, buf, sizeof(buf))) {
		const char *owner = hasmntopt(&entry, "user_id");

		if (!strcmp(entry.mnt_type, "fuse.ubpffs") && owner)
			stop = fn(ctx, entry.mnt_dir,
				  server_of(entry.mnt_dir,
					    strtoul(owner + strlen("user_id="), NULL, 10)));
	}
	endmntent(f);
	return stop;
}

struct own_mount {
	char *path;
	int count, err;
};

static int find_own(void *ctx, const char *path, unsigned int uid)
{
	struct own_mount *own = ctx;

	if (uid != geteuid() || (own->path && !strcmp(own->path, path)))
		return 0;
	if (own->count++)
		return 1;
	own->path = strdup(path);
	return !own->path;
}

/* malloc()ed, or NULL with errno. */
static char *find_mount(void)
{
	const char *named = secure_getenv("UBPFFS_MOUNT");
	struct own_mount own = {0};

	if (named && *named)
		return strdup(named);
	if (ubpfc_each_mount(find_own, &own) >= 0 && own.count == 1 && own.path)
		return own.path;
	if (own.count)
		errno = own.count > 1 ? ENOTUNIQ : ENOMEM;
	else
		errno = ENODEV;
	free(own.path);
	return NULL;
}

static void __forget_mount(void)
{
	if (mount_fd >= 0)
		close(mount_fd);
	free(mount_path);
	mount_fd = -1;
	mount_path = NULL;
}

/* Open it and see that it is a ubpffs. Takes no lock: the server may be slow. */
static int open_mount(const char *path, char **absolute)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), err;

	if (fd < 0)
		return -1;
	if (faccessat(fd, "ctl", F_OK, 0)) {
		err = errno == ENOENT ? EINVAL : errno;
	} else {
		*absolute = realpath(path, NULL);
		if (*absolute)
			return fd;
		err = errno;
	}
	close(fd);
	errno = err;
	return -1;
}

EXPORT int ubpfc_mount(const char *path)
{
	char *absolute = NULL;
	int fd = -1;

	if (path && (fd = open_mount(path, &absolute)) < 0)
		return -1;
	pthread_mutex_lock(&lock);
	__forget_mount();
	mount_fd = fd;
	mount_path = absolute;
	pthread_mutex_unlock(&lock);
	return 0;
}

/* The caller's own descriptor of the mount: another thread may change the mount meanwhile. */
static int mount_dup(void)
{
	char *path;
	int fd, err;

	for (;;) {
		pthread_mutex_lock(&lock);
		fd = mount_fd < 0 ? -1 : fcntl(mount_fd, F_DUPFD_CLOEXEC, 0);
		err = mount_fd < 0 ? 0 : errno;
		pthread_mutex_unlock(&lock);
		if (fd >= 0 || err) {
			errno = err;
			return fd;
		}
		path = find_mount();
		if (!path)
			return -1;
		err = ubpfc_mount(path);
		free(path);
		if (err)
			return -1;
	}
}

EXPORT int ubpfc_mount_path(char *buf, size_t len)
{
	int fd = mount_dup(), n;

	if (fd < 0)
		return -1;
	close(fd);
	pthread_mutex_lock(&lock);
	n = snprintf(buf, len, "%s", mount_path ? mount_path : "");
	pthread_mutex_unlock(&lock);
	if (n < 0 || (size_t)n >= len) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return 0;
}

int client_mount_open(const char *path, int flags, unsigned long long resolve)
{
	struct open_how how = {.flags = (unsigned int)(flags | O_CLOEXEC), .resolve = resolve};
	int dir, fd, saved;

	dir = mount_dup();
	if (dir < 0)
		return -1;
	fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
	saved = errno;
	close(dir);
	errno = saved;
	return fd;
}

EXPORT int ubpfc_open(const char *path, int flags)
{
	if (path[0] == '/') {
		errno = EINVAL;
		return -1;
	}
	/* The server's own links (`mem`) lead to its memory. */
	return client_mount_open(path, flags, 0);
}

const char *client_mount_relative(const char *path)
{
	const char *below = path;
	size_t len;
	int fd;

	if (path[0] != '/')
		return path;
	fd = mount_dup();
	if (fd < 0)
		return NULL;
	close(fd);
	pthread_mutex_lock(&lock);
	len = mount_path ? strlen(mount_path) : 0;
	below = len && !strncmp(path, mount_path, len) && path[len] == '/' ? path + len + 1 : NULL;
	pthread_mutex_unlock(&lock);
	if (!below)
		errno = EPERM; /* as bpf(2) for a path that is not on a bpffs */
	return below;
}
