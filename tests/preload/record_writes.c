/*
 * record_writes.c - to be preloaded into a server: what it does to its state directory, as a disk
 * sees it
 *
 * $UBPFFS_RECORD_STATE is the directory, which is empty at first, and $UBPFFS_RECORD_LOG the file
 * that gets a line an event, each before the next one may begin:
 *
 *	mkdir|create|link DIR NAME INODE	unlink DIR NAME INODE
 *	rename DIR NAME DIR NAME INODE [INODE of what was there, when they were exchanged]
 *	symlink DIR NAME INODE TARGET		attr INODE MODE UID GID
 *	size INODE BYTES			page INODE NUMBER HEX
 *	fsync INODE				msync INODE			syncfs
 *
 * DIR is an inode. Contents are looked at before each event: so stores to mappings are there, too,
 * as pages that have changed since. tests/e2e/power_loss.py makes of it what a disk may hold.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPORT	  __attribute__((visibility("default")))
#define PAGE	  4096
#define FILES_MAX 4096
#define MAPS_MAX  4096

struct file {
	ino_t ino;
	bool dir;
	int fd; /* ours, so that no other file gets the inode; of a file it is for reading */
	off_t size;
	char *seen;
};

static struct file files[FILES_MAX];
static unsigned nr_files;
static struct {
	char *start;
	size_t len;
	ino_t ino;
} maps[MAPS_MAX];
static unsigned nr_maps;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *out;
static bool off;
static __thread bool inside;

#define NEXT(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

static struct file *file_of(ino_t ino)
{
	for (unsigned i = 0; i < nr_files; i++)
		if (files[i].ino == ino)
			return &files[i];
	return NULL;
}

static struct file *add(ino_t ino, bool dir, int fd)
{
	struct file *f = file_of(ino);

	if (!f && nr_files == FILES_MAX)
		abort();
	f = f ? f : &files[nr_files++];
	free(f->seen);
	*f = (struct file){ino, dir, fd, 0, NULL};
	return f;
}

static void set_up(void)
{
	const char *state = getenv("UBPFFS_RECORD_STATE"), *log = getenv("UBPFFS_RECORD_LOG");
	char process[16];
	struct stat st;

	if (out || off)
		return;
	/* Processes that the server has forked have other names. */
	off = !state || !log || stat(state, &st) || prctl(PR_GET_NAME, process) ||
	      strcmp(process, "ubpffs");
	if (off)
		return;
	out = fopen(log, "wxe");
	off = !out; /* another process of the server's has it: the one that opens the state */
	if (off)
		return;
	add(st.st_ino, true, -1);
	fprintf(out, "root %lu\n", (unsigned long)st.st_ino);
}

static void look_at(struct file *f)
{
	static char page[PAGE];
	struct stat st;

	if (f->dir || f->fd < 0 || fstat(f->fd, &st))
		return;
	if (st.st_size > 64 << 20)
		abort();
	if (st.st_size != f->size) {
		off_t room = (st.st_size + PAGE - 1) / PAGE * PAGE;
		off_t had = (f->size + PAGE - 1) / PAGE * PAGE;

		fprintf(out, "size %lu %ld\n", (unsigned long)f->ino, (long)st.st_size);
		f->seen = realloc(f->seen, (size_t)room + 1);
		if (room > had)
			memset(f->seen + had, 0, (size_t)(room - had));
		f->size = st.st_size;
	}
	for (off_t at = 0; at < f->size; at += PAGE) {
		ssize_t n;

		at = lseek(f->fd, at, SEEK_DATA);
		if (at < 0)
			break;
		at = at / PAGE * PAGE;
		memset(page, 0, sizeof(page));
		n = pread(f->fd, page, PAGE, at);
		if (n <= 0 || !memcmp(page, f->seen + at, PAGE))
			continue;
		memcpy(f->seen + at, page, PAGE);
		fprintf(out, "page %lu %ld ", (unsigned long)f->ino, (long)(at / PAGE));
		for (ssize_t i = 0; i < n; i++)
			fprintf(out, "%02x", (unsigned char)page[i]);
		fputc('\n', out);
	}
}

/* False: this call is none of ours. Else others wait until end(). */
static bool begin(void)
{
	int err = errno;

	if (inside)
		return false;
	pthread_mutex_lock(&lock);
	inside = true;
	set_up();
	for (unsigned i = 0; out && i < nr_files; i++)
		look_at(&files[i]);
	errno = err;
	return true;
}

static void end(void)
{
	int err = errno;

	if (out)
		fflush(out);
	inside = false;
	pthread_mutex_unlock(&lock);
	errno = err;
}

/* The directory that holds the last name of a path, when it is one of the state's. */
static bool place(int dirfd, const char *path, ino_t *dir, const char **name)
{
	const char *slash = strrchr(path, '/');
	char above[4096];
	struct stat st;
	struct file *f;

	*name = slash ? slash + 1 : path;
	snprintf(above, sizeof(above), "%.*s", slash ? (int)(slash - path) : 0, path);
	if (!out || !**name || fstatat(dirfd, above, &st, AT_EMPTY_PATH))
		return false;
	f = file_of(st.st_ino);
	*dir = st.st_ino;
	return f && f->dir;
}

static ino_t ino_at(int dirfd, const char *path)
{
	struct stat st;

	return fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) ? 0 : st.st_ino;
}

static void say_attr(const struct stat *st)
{
	if (out && file_of(st->st_ino))
		fprintf(out, "attr %lu %o %u %u\n", (unsigned long)st->st_ino,
			(unsigned)st->st_mode & 07777, st->st_uid, st->st_gid);
}

static void attr_at(int dirfd, const char *path, int flags)
{
	struct stat st;

	if (!fstatat(dirfd, path, &st, flags))
		say_attr(&st);
}

/* ---- names */

static void opened(int dirfd, const char *path, int fd, bool made)
{
	const char *name;
	struct stat st;
	char self[64];
	ino_t dir;

	if (fd < 0 || !made || !place(dirfd, path, &dir, &name) || fstat(fd, &st))
		return;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	add(st.st_ino, false, NEXT(open)(self, O_RDONLY | O_CLOEXEC));
	fprintf(out, "create %lu %s %lu\n", (unsigned long)dir, name, (unsigned long)st.st_ino);
	say_attr(&st);
}

EXPORT int openat(int dirfd, const char *path, int flags, ...)
{
	mode_t mode = 0;
	bool made, ours;
	va_list args;
	int fd;

	va_start(args, flags);
	if (flags & (O_CREAT | O_TMPFILE))
		mode = va_arg(args, mode_t);
	va_end(args);
	if (!(flags & (O_CREAT | O_TRUNC)))
		return NEXT(openat)(dirfd, path, flags, mode);
	ours = begin();
	made = !ino_at(dirfd, path);
	fd = NEXT(openat)(dirfd, path, flags, mode);
	if (ours) {
		opened(dirfd, path, fd, made);
		end();
	}
	return fd;
}

EXPORT int mkdirat(int dirfd, const char *path, mode_t mode)
{
	bool ours = begin();
	int ret = NEXT(mkdirat)(dirfd, path, mode);
	const char *name;
	ino_t dir, ino;

	if (ours && !ret && place(dirfd, path, &dir, &name) && (ino = ino_at(dirfd, path))) {
		add(ino, true, NEXT(openat)(dirfd, path, O_PATH | O_NOFOLLOW | O_CLOEXEC));
		fprintf(out, "mkdir %lu %s %lu\n", (unsigned long)dir, name, (unsigned long)ino);
		attr_at(dirfd, path, AT_SYMLINK_NOFOLLOW);
	}
	if (ours)
		end();
	return ret;
}

EXPORT int symlinkat(const char *target, int dirfd, const char *path)
{
	bool ours = begin();
	int ret = NEXT(symlinkat)(target, dirfd, path);
	const char *name;
	ino_t dir, ino;

	if (ours && !ret && place(dirfd, path, &dir, &name) && (ino = ino_at(dirfd, path))) {
		NEXT(openat)(dirfd, path, O_PATH | O_NOFOLLOW | O_CLOEXEC); /* see struct file */
		fprintf(out, "symlink %lu %s %lu %s\n", (unsigned long)dir, name,
			(unsigned long)ino, target);
	}
	if (ours)
		end();
	return ret;
}

EXPORT int linkat(int dirfd, const char *path, int newdirfd, const char *newpath, int flags)
{
	bool ours = begin();
	int ret = NEXT(linkat)(dirfd, path, newdirfd, newpath, flags);
	const char *name;
	ino_t dir;

	if (ours && !ret && place(newdirfd, newpath, &dir, &name))
		fprintf(out, "link %lu %s %lu\n", (unsigned long)dir, name,
			(unsigned long)ino_at(newdirfd, newpath));
	if (ours)
		end();
	return ret;
}

EXPORT int unlinkat(int dirfd, const char *path, int flags)
{
	bool ours = begin();
	ino_t ino = ino_at(dirfd, path), dir;
	bool here;
	const char *name;
	int ret;

	here = ours && place(dirfd, path, &dir, &name);
	ret = NEXT(unlinkat)(dirfd, path, flags);
	if (here && !ret)
		fprintf(out, "unlink %lu %s %lu\n", (unsigned long)dir, name, (unsigned long)ino);
	if (ours)
		end();
	return ret;
}

EXPORT int renameat2(int dirfd, const char *path, int newdirfd, const char *newpath,
		     unsigned int flags)
{
	bool ours = begin();
	ino_t ino = ino_at(dirfd, path), other = ino_at(newdirfd, newpath), dir, newdir;
	const char *name, *newname;
	int ret = NEXT(renameat2)(dirfd, path, newdirfd, newpath, flags);

	if (ours && !ret && ino != other && place(dirfd, path, &dir, &name) &&
	    place(newdirfd, newpath, &newdir, &newname))
		fprintf(out, "rename %lu %s %lu %s %lu %lu\n", (unsigned long)dir, name,
			(unsigned long)newdir, newname, (unsigned long)ino,
			flags & RENAME_EXCHANGE ? (unsigned long)other : 0);
	if (ours)
		end();
	return ret;
}

/* ---- attributes */

EXPORT int fchmodat(int dirfd, const char *path, mode_t mode, int flags)
{
	bool ours = begin();
	int ret = NEXT(fchmodat)(dirfd, path, mode, flags);

	if (ours) {
		attr_at(dirfd, path, AT_SYMLINK_NOFOLLOW);
		end();
	}
	return ret;
}

EXPORT int chmod(const char *path, mode_t mode)
{
	bool ours = begin();
	int ret = NEXT(chmod)(path, mode);

	if (ours) {
		attr_at(AT_FDCWD, path, 0);
		end();
	}
	return ret;
}

EXPORT int fchmod(int fd, mode_t mode)
{
	bool ours = begin();
	int ret = NEXT(fchmod)(fd, mode);

	if (ours) {
		attr_at(fd, "", AT_EMPTY_PATH);
		end();
	}
	return ret;
}

EXPORT int fchown(int fd, uid_t uid, gid_t gid)
{
	bool ours = begin();
	int ret = NEXT(fchown)(fd, uid, gid);

	if (ours) {
		attr_at(fd, "", AT_EMPTY_PATH);
		end();
	}
	return ret;
}

EXPORT int fchownat(int dirfd, const char *path, uid_t uid, gid_t gid, int flags)
{
	bool ours = begin();
	int ret = NEXT(fchownat)(dirfd, path, uid, gid, flags);

	if (ours) {
		attr_at(dirfd, path, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH);
		end();
	}
	return ret;
}

/* ---- barriers */

EXPORT void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t at)
{
	void *ret = NEXT(mmap)(addr, len, prot, flags, fd, at);
	struct stat st;

	if (ret == MAP_FAILED || fd < 0 || !(flags & MAP_SHARED) || fstat(fd, &st) || !begin())
		return ret;
	if (out && file_of(st.st_ino)) {
		if (nr_maps == MAPS_MAX)
			abort();
		maps[nr_maps].start = ret;
		maps[nr_maps].len = len;
		maps[nr_maps++].ino = st.st_ino;
	}
	end();
	return ret;
}

EXPORT int msync(void *addr, size_t len, int flags)
{
	bool ours = begin();
	int ret = NEXT(msync)(addr, len, flags);

	for (unsigned i = nr_maps; ours && out && !ret && i--;)
		if ((char *)addr >= maps[i].start && (char *)addr < maps[i].start + maps[i].len) {
			fprintf(out, "msync %lu\n", (unsigned long)maps[i].ino);
			break;
		}
	if (ours)
		end();
	return ret;
}

EXPORT int fsync(int fd)
{
	bool ours = begin();
	int ret = NEXT(fsync)(fd);
	struct stat st;

	if (ours && out && !ret && !fstat(fd, &st) && file_of(st.st_ino))
		fprintf(out, "fsync %lu\n", (unsigned long)st.st_ino);
	if (ours)
		end();
	return ret;
}

EXPORT int syncfs(int fd)
{
	bool ours = begin();
	int ret = NEXT(syncfs)(fd);

	if (ours && out && !ret)
		fprintf(out, "syncfs\n");
	if (ours)
		end();
	return ret;
}
