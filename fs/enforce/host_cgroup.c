/*
 * host_cgroup.c - the mirror in the host's cgroup v2 (see enforce/host_cgroup.h)
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "fs/enforce/host_cgroup.h"
#include "fs/lib/mountinfo.h"

#define MARK "user.ubpffs"

/* ---- finding */

struct cgroup_mount {
	char root[PATH_MAX], dir[PATH_MAX];
};

static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (!strcmp(dir, "/"))
		return true;
	return !strncmp(path, dir, n) && (!path[n] || path[n] == '/');
}

struct search {
	const char *path; /* NULL: any will do */
	struct cgroup_mount *found;
	bool any;
};

static void look_at(void *arg, const char *root, const char *dir, const char *type)
{
	struct search *search = arg;
	struct cgroup_mount *found = search->found;

	if (strcmp(type, "cgroup2") || strlen(root) >= sizeof(found->root) ||
	    strlen(dir) >= sizeof(found->dir))
		return;
	if (search->any && (!search->path || strlen(dir) < strlen(found->dir)))
		return;
	if (search->path && !is_below(search->path, dir))
		return;
	snprintf(found->root, sizeof(found->root), "%s", root);
	snprintf(found->dir, sizeof(found->dir), "%s", dir);
	search->any = true;
}

/* The cgroup v2 mount that `path` lies in; any when path is NULL. */
static int find_mount(const char *path, struct cgroup_mount *found)
{
	struct search search = {path, found, false};
	int err = mountinfo_each(look_at, &search);

	return err || search.any ? err : -ENOENT;
}

/* The cgroup of this process, from the namespace's root. */
static int own_cgroup(char *path, size_t size)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char *line = NULL;
	size_t room = 0;
	int err = -ENOENT;

	while (f && getline(&line, &room, f) > 0)
		if (!strncmp(line, "0::", 3)) {
			line[strcspn(line, "\n")] = 0;
			err = snprintf(path, size, "%s", line + 3) < (int)size ? 0 : -ENAMETOOLONG;
		}
	free(line);
	if (f)
		fclose(f);
	return err;
}

/* Join, without a slash too many. */
static int join(char *out, const char *a, const char *b)
{
	size_t n = strlen(a);

	while (n && a[n - 1] == '/')
		n--;
	while (*b == '/')
		b++;
	return snprintf(out, PATH_MAX, "%.*s%s%s", (int)n, a, *b || !n ? "/" : "", b) < PATH_MAX
		       ? 0
		       : -ENAMETOOLONG;
}

static int find_own(struct host_cgroup *h, struct cgroup_mount *m, struct error_record *why)
{
	char *own = malloc(PATH_MAX);
	int err = own ? own_cgroup(own, PATH_MAX) : -ENOMEM;

	if (!err)
		err = find_mount(NULL, m);
	if (!err && !is_below(own, m->root))
		err = -ENOENT;
	if (!err)
		err = join(h->own_path, m->dir, own + (strcmp(m->root, "/") ? strlen(m->root) : 0));
	if (err)
		error_set(why, -err,
			  "no mount of cgroup v2 shows this process's cgroup; say "
			  "-o enforce_cgroup=PATH");
	free(own);
	return err;
}

static u32 components(const char *path)
{
	u32 n = 0;

	for (; *path; path++)
		n += path[0] == '/' && path[1] && path[1] != '/';
	return n;
}

/* Check `path` and count how deep it lies. */
static int measure(struct host_cgroup *h, const char *path, struct cgroup_mount *m,
		   struct error_record *why)
{
	struct statfs st;

	if (statfs(path, &st) < 0)
		return -errno;
	if (st.f_type != CGROUP2_SUPER_MAGIC || find_mount(path, m) || !strncmp(m->root, "/..", 3))
		return error_set(why, EINVAL,
				 "enforcement needs a directory of cgroup v2, mounted from this "
				 "cgroup namespace");
	h->level = components(m->root) + components(path + strlen(m->dir)) + 1;
	return 0;
}

static int open_dir(int at, const char *path)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int hostcg_start(struct host_cgroup *h, const char *under, const char *name,
		 struct error_record *why)
{
	struct cgroup_mount *m = malloc(sizeof(*m));
	char *path = NULL;
	struct stat st;
	u64 id;
	int err = m ? 0 : -ENOMEM;

	memset(h, 0, sizeof(*h));
	h->base_fd = h->above_fd = -1;
	if (!err && under)
		find_own(h, m, NULL); /* only a place for processes at the end */
	else if (!err)
		err = find_own(h, m, why);
	if (!err) {
		path = realpath(under ? under : h->own_path, NULL);
		err = path ? measure(h, path, m, why) : -errno;
	}
	if (!err) {
		h->above_fd = open_dir(AT_FDCWD, path);
		err = min(h->above_fd, 0);
	}
	if (!err) {
		snprintf(h->base_name, sizeof(h->base_name), "%s", name);
		if (mkdirat(h->above_fd, h->base_name, 0755) < 0 && errno != EEXIST)
			err = -errno;
	}
	if (!err) {
		h->base_fd = open_dir(h->above_fd, h->base_name);
		err = h->base_fd < 0 ? h->base_fd : hostcg_add(h, ".", true, &id);
		h->base_dev = !err && !fstat(h->base_fd, &st) ? st.st_dev : 0;
	}
	if (err)
		error_set(why, -err,
			  "%s: a cgroup cannot be made there: %s; -o enforce_cgroup=PATH names a "
			  "directory that is delegated to this user",
			  path	  ? path
			  : under ? under
				  : h->own_path,
			  strerror(-err));
	free(path);
	free(m);
	return err;
}

u32 hostcg_level(const struct host_cgroup *h)
{
	return h->level;
}

/* ---- the tree */

/* Not by us: without a mark, where there are marks. */
static bool is_foreign(int fd)
{
	char value[4];

	return fgetxattr(fd, MARK, value, sizeof(value)) < 0 && errno == ENODATA;
}

int hostcg_add(const struct host_cgroup *h, const char *path, bool adopt, u64 *id)
{
	bool made = mkdirat(h->base_fd, path, 0755) == 0;
	struct stat st;
	int fd, err = 0;

	if (!made && errno != EEXIST)
		return -errno;
	fd = open_dir(h->base_fd, path);
	if (fd == -ENOTDIR)
		return -EINVAL; /* a file of cgroup v2 has that name */
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		err = -errno;
	else if (!made && !adopt && is_foreign(fd))
		err = -EEXIST;
	*id = st.st_ino; /* 64-bit kernels: the cgroup's id */
	if (!err)
		fsetxattr(fd, MARK, "1", 1, 0); /* older kernels cannot; then nothing is swept */
	close(fd);
	return err;
}

#define KERNFS_HANDLE 0xfe /* the type of a handle that is the id alone */
#define MOST_LEVELS   512

u64 hostcg_nearest(const struct host_cgroup *h, u64 id, bool (*known)(void *arg, u64 id), void *arg)
{
	union {
		struct file_handle handle;
		u8 room[sizeof(struct file_handle) + sizeof(u64)];
	} at = {.handle = {.handle_bytes = sizeof(u64), .handle_type = KERNFS_HANDLE}};
	u64 found = 0, below = 0;
	int fd, up;

	memcpy(at.handle.f_handle, &id, sizeof(id));
	fd = open_by_handle_at(h->base_fd, &at.handle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (u32 i = 0; fd >= 0 && i < MOST_LEVELS; i++) {
		struct stat st;

		/* Out of the hierarchy, or at its top. */
		if (fstat(fd, &st) < 0 || st.st_dev != h->base_dev || st.st_ino == below)
			break;
		if (known(arg, st.st_ino)) {
			found = st.st_ino;
			break;
		}
		below = st.st_ino;
		up = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = up;
	}
	if (fd >= 0)
		close(fd);
	return found;
}

int hostcg_remove(const struct host_cgroup *h, const char *path)
{
	if (unlinkat(h->base_fd, path, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

static int procs_open(int at, const char *path, int flags)
{
	char name[PATH_MAX];
	int fd;

	if (snprintf(name, sizeof(name), "%s/cgroup.procs", path) >= (int)sizeof(name))
		return -ENAMETOOLONG;
	fd = openat(at, name, flags | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int read_all(int fd, char **text, size_t *len)
{
	size_t room = 4096;
	ssize_t n;

	*len = 0;
	*text = malloc(room);
	for (;;) {
		char *more;

		if (!*text)
			return -ENOMEM;
		n = read(fd, *text + *len, room - *len - 1);
		if (n <= 0)
			break;
		*len += (size_t)n;
		if (room - *len > 1024)
			continue;
		more = realloc(*text, room *= 2);
		if (!more)
			free(*text);
		*text = more;
	}
	if (n < 0) {
		n = -errno;
		free(*text);
		*text = NULL;
		return (int)n;
	}
	(*text)[*len] = 0;
	return 0;
}

int hostcg_procs(const struct host_cgroup *h, const char *path, char **text, size_t *len)
{
	int fd = procs_open(h->base_fd, path, O_RDONLY), err;

	if (fd < 0)
		return fd;
	err = read_all(fd, text, len);
	close(fd);
	return err;
}

static int write_pid(int at, const char *path, pid_t pid)
{
	int fd = procs_open(at, path, O_WRONLY), err = 0;

	if (fd < 0)
		return fd;
	if (dprintf(fd, "%d\n", pid) < 0)
		err = -errno;
	close(fd);
	return err;
}

int hostcg_move(const struct host_cgroup *h, const char *path, pid_t pid)
{
	return write_pid(h->base_fd, path, pid);
}

/* ---- sweeping */

#define MOST_ROUNDS 100 /* forks may outrun us; then the directory stays */

/* Move what runs in the directory out of the tree. */
static void evacuate(const struct host_cgroup *h, int fd)
{
	for (u32 round = 0; round < MOST_ROUNDS; round++) {
		int procs = procs_open(fd, ".", O_RDONLY);
		char *text = NULL, *p, *end;
		size_t len = 0;

		if (procs < 0 || read_all(procs, &text, &len))
			len = 0;
		if (procs >= 0)
			close(procs);
		for (p = text; len && *p; p = end) {
			pid_t pid = (pid_t)strtol(p, &end, 10);

			if (end == p)
				break;
			if (write_pid(h->above_fd, ".", pid) && *h->own_path)
				write_pid(AT_FDCWD, h->own_path, pid);
			end += *end == '\n';
		}
		free(text);
		if (!len)
			return;
	}
}

static bool is_marked(int fd)
{
	char value[4];

	return fgetxattr(fd, MARK, value, sizeof(value)) > 0;
}

/* Depth first. all: everything that is marked goes, with its processes moved out. */
static void sweep(const struct host_cgroup *h, int dirfd, const char *path, hostcg_known_fn known,
		  void *arg)
{
	int own = open_dir(dirfd, "."); /* a position of its own */
	DIR *dir = own < 0 ? NULL : fdopendir(own);
	char *child = malloc(PATH_MAX);
	struct dirent *d;

	while (dir && child && (d = readdir(dir))) {
		int fd;

		if (d->d_type != DT_DIR || d->d_name[0] == '.')
			continue;
		if (snprintf(child, PATH_MAX, "%s%s%s", strcmp(path, ".") ? path : "",
			     strcmp(path, ".") ? "/" : "", d->d_name) >= PATH_MAX)
			continue;
		fd = open_dir(dirfd, d->d_name);
		if (fd < 0)
			continue;
		sweep(h, fd, child, known, arg);
		if (is_marked(fd) && !(known && known(arg, child))) {
			if (!known)
				evacuate(h, fd);
			unlinkat(dirfd, d->d_name, AT_REMOVEDIR);
		}
		close(fd);
	}
	free(child);
	if (dir)
		closedir(dir);
	else if (own >= 0)
		close(own);
}

void hostcg_sweep(const struct host_cgroup *h, hostcg_known_fn known, void *arg)
{
	sweep(h, h->base_fd, ".", known, arg);
}

void hostcg_stop(struct host_cgroup *h)
{
	if (h->base_fd >= 0) {
		sweep(h, h->base_fd, ".", NULL, NULL);
		evacuate(h, h->base_fd);
		close(h->base_fd);
		unlinkat(h->above_fd, h->base_name, AT_REMOVEDIR);
	}
	if (h->above_fd >= 0)
		close(h->above_fd);
	h->base_fd = h->above_fd = -1;
}
