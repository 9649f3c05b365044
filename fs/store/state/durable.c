/*
 * durable.c - see durable.h
 */
#include "fs/store/state/durable.h"
#include "fs/lib/reopen.h"
#include "fs/node/backing.h"
#include "map/syscall.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#define NOTED_MAX 32
#define MAPS_MAX  8

struct noted_file {
	int fd;
	bool dir;
	dev_t dev;
	ino_t ino;
};

static __thread struct {
	struct noted_file files[NOTED_MAX];
	u32 nr_files;
	struct bpf_map *maps[MAPS_MAX]; /* referenced */
	u32 nr_maps;
	bool all; /* something of which there is no descriptor */
} noted;

static enum durable mode;
static bool only_look;
static int state_fd = -1; /* the state directory, as long as it is served */

enum durable durable_mode(void)
{
	return mode;
}

void durable_look_only(void)
{
	only_look = true;
}

bool durable_only_look(void)
{
	return only_look;
}

int durable_sync_all(void)
{
	return syncfs(state_fd) < 0 ? -errno : 0;
}

/* ---- noting */

/* A descriptor that fsync(2) takes. */
static int open_again(int fd, bool dir)
{
	return dir ? openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : reopen(fd);
}

static void note(int fd)
{
	struct noted_file *at = &noted.files[noted.nr_files];
	struct stat st;
	int again = -1;

	if (mode == DURABLE_NONE || noted.all)
		return;
	if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0) { /* O_PATH, too */
		noted.all = true;
		return;
	}
	for (u32 i = 0; i < noted.nr_files; i++)
		if (noted.files[i].ino == st.st_ino && noted.files[i].dev == st.st_dev)
			return;
	if (noted.nr_files < NOTED_MAX && (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode)))
		again = open_again(fd, S_ISDIR(st.st_mode));
	if (again < 0) {
		noted.all = true;
		return;
	}
	*at = (struct noted_file){again, S_ISDIR(st.st_mode), st.st_dev, st.st_ino};
	noted.nr_files++;
}

void durable_dir(int dirfd)
{
	note(dirfd);
}

void durable_file(int fd)
{
	note(fd);
}

/* The directory that a path from dirfd leads into. */
static void note_dir_of(int dirfd, const char *path)
{
	const char *slash = strrchr(path, '/');
	char above[PATH_MAX];
	__do_close int fd = -1;

	if (mode == DURABLE_NONE)
		return;
	if (!slash) {
		note(dirfd);
		return;
	}
	snprintf(above, sizeof(above), "%.*s", (int)(slash - path), path);
	fd = openat(dirfd, above, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		noted.all = true;
	else
		note(fd);
}

void durable_map(struct bpf_map *map)
{
	if (mode != DURABLE_EACH || noted.all)
		return;
	for (u32 i = 0; i < noted.nr_maps; i++)
		if (noted.maps[i] == map)
			return;
	if (noted.nr_maps == MAPS_MAX) {
		noted.all = true;
		return;
	}
	bpf_map_inc(map);
	noted.maps[noted.nr_maps++] = map;
}

/* ---- changes of names */

/* What failed is noted, too: it costs nobody who is well. errno stays. */
static int changed(int ret, int dirfd, const char *path)
{
	int err = errno;

	if (!ret)
		note_dir_of(dirfd, path);
	errno = err;
	return ret;
}

int durable_mkdirat(int dirfd, const char *path, mode_t bits)
{
	return only_look ? 0 : changed(mkdirat(dirfd, path, bits), dirfd, path);
}

int durable_linkat(int dirfd, const char *path, int newdirfd, const char *newpath)
{
	return only_look ? 0
			 : changed(linkat(dirfd, path, newdirfd, newpath, 0), newdirfd, newpath);
}

int durable_symlinkat(const char *target, int dirfd, const char *path)
{
	return only_look ? 0 : changed(symlinkat(target, dirfd, path), dirfd, path);
}

int durable_unlinkat(int dirfd, const char *path, int flags)
{
	return only_look ? 0 : changed(unlinkat(dirfd, path, flags), dirfd, path);
}

int durable_renameat2(int dirfd, const char *path, int newdirfd, const char *newpath,
		      unsigned int flags)
{
	int ret = only_look ? 0 : renameat2(dirfd, path, newdirfd, newpath, flags);

	changed(ret, dirfd, path);
	return changed(ret, newdirfd, newpath);
}

/* ---- writing out */

static int settle_files(bool dirs)
{
	int err = 0;

	for (u32 i = 0; i < noted.nr_files; i++)
		if (noted.files[i].dir == dirs && fsync(noted.files[i].fd) < 0 && !err)
			err = -errno;
	return err;
}

static int settle_maps(void)
{
	int err = 0;

	for (u32 i = 0; i < noted.nr_maps; i++) {
		int one = bpf_map_sync(noted.maps[i]);

		err = err ? err : one;
	}
	return err;
}

static void forget(void)
{
	while (noted.nr_files)
		close(noted.files[--noted.nr_files].fd);
	while (noted.nr_maps)
		bpf_map_put(noted.maps[--noted.nr_maps]);
	noted.all = false;
}

int durable_settle(struct error_record *why)
{
	int err;

	if (likely(!noted.nr_files && !noted.nr_maps && !noted.all))
		return 0;
	if (noted.all) {
		err = durable_sync_all();
	} else {
		err = settle_maps();
		err = err ? err : settle_files(false);
		err = err ? err : settle_files(true); /* names after what they name */
	}
	forget();
	if (!err)
		return 0;
	return error_set(why, EIO,
			 "it is done, but could not be written to the disk of the state directory "
			 "(%s): nobody knows whether a power loss would undo it",
			 strerror(-err));
}

/*
 * What a server did and had not written out when it died is asked for again by clients, and then
 * found done: so it has to be there.
 */
int durable_start(enum durable wanted, int dir_fd)
{
	mode = wanted;
	state_fd = dir_fd;
	if (mode == DURABLE_NONE)
		return 0;
	fs_backing.settle = durable_settle;
	if (mode == DURABLE_EACH)
		bpf_map_changed = durable_map;
	return durable_sync_all();
}
