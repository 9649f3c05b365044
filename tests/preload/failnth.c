/*
 * failnth.c - to be preloaded into a server: the N-th call of a class fails, or kills
 *
 * The test and the server share a page (the file that $FAILNTH names): the test writes a class and
 * N, the server counts calls of that class down and fails the one that comes to zero, once or from
 * then on. So one server serves any number of tests. Only calls of the server and of libraries that
 * are asked to cope are counted, not those of libfuse and liburcu, which end the process by design,
 * nor of libseccomp, which ends a start that way.
 *
 * `read` and `write` are counted on regular files: the FUSE device and wake-ups are the kernel's
 * promise.
 *
 * Instead of failing, `kill` says who is killed by the N-th call of any class (but of allocations,
 * which nobody sees): that call is not made.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

/* test_failnth.py knows these numbers and this layout. */
enum fail_class {
	FAIL_NONE,
	FAIL_OPEN,
	FAIL_STAT,
	FAIL_READ,
	FAIL_WRITE,
	FAIL_ALLOC,
	FAIL_MMAP,
	FAIL_SPACE,
	FAIL_NAME,
	FAIL_OWNER,
	FAIL_FORK,
	FAIL_SOCKET,
	FAIL_DEVICE,
	FAIL_NEVER, /* it is a point to be killed at, and no more */
};

enum kill_whom {
	KILL_NOBODY,
	KILL_SERVER,
	KILL_BOTH, /* ... after its keeper */
	KILL_KEEPER, /* at the server's calls */
	KILL_KEEPER_ITSELF, /* at its own */
};

struct fail_control {
	int32_t class, sticky;
	int64_t left; /* 0: nothing is armed */
	int64_t seen, fired;
	int32_t kill; /* enum kill_whom; without a class at calls of any */
};

static struct fail_control off, *control = &off;

static struct {
	uintptr_t from, to;
} spared[16];
static int nr_spared;
static bool tell; /* $FAILNTH_TELL: where a call failed, on stderr */

static __thread bool inside;

#define REAL(name)                                                            \
	({                                                                    \
		static __typeof__(name) *__next;                              \
		if (!__next) {                                                \
			bool __before = inside;                               \
			inside = true;                                        \
			__next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name); \
			inside = __before;                                    \
		}                                                             \
		__next;                                                       \
	})

static int find_spared(struct dl_phdr_info *info, size_t size, void *arg)
{
	const char *name = info->dlpi_name;

	(void)size;
	(void)arg;
	if (!strstr(name, "libfuse3") && !strstr(name, "liburcu") && !strstr(name, "libseccomp") &&
	    !strstr(name, "ld-linux"))
		return 0;
	for (int i = 0; i < info->dlpi_phnum && nr_spared < 16; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

		if (ph->p_type != PT_LOAD || !(ph->p_flags & PF_X))
			continue;
		spared[nr_spared].from = info->dlpi_addr + ph->p_vaddr;
		spared[nr_spared++].to = info->dlpi_addr + ph->p_vaddr + ph->p_memsz;
	}
	return 0;
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("FAILNTH");
	void *page;
	int fd;

	inside = true;
	tell = getenv("FAILNTH_TELL");
	dl_iterate_phdr(find_spared, NULL);
	fd = path ? REAL(open)(path, O_RDWR | O_CLOEXEC) : -1;
	if (fd >= 0) {
		page = REAL(mmap)(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (page != MAP_FAILED)
			control = page;
		close(fd);
	}
	inside = false;
}

/* ---- killed */

enum role {
	ROLE_UNKNOWN,
	ROLE_SERVER,
	ROLE_KEEPER,
	ROLE_OTHER,
};

/* By the name, which each of them has before it does anything that counts. */
static enum role role(void)
{
	static _Atomic int role;
	static _Atomic pid_t asked;
	char name[16] = "";

	if (asked == getpid())
		return (enum role)role;
	prctl(PR_GET_NAME, name);
	if (!strcmp(name, "ubpffs-keeper"))
		return ROLE_KEEPER; /* or its child, which has its own name soon */
	role = strcmp(name, "ubpffs-agent") && getppid() != 1 ? ROLE_SERVER : ROLE_OTHER;
	asked = getpid();
	return (enum role)role;
}

static void killed(enum kill_whom whom)
{
	if (whom == KILL_BOTH || whom == KILL_KEEPER)
		kill(getppid(), SIGKILL);
	if (whom != KILL_KEEPER)
		kill(getpid(), SIGKILL);
	while (whom != KILL_KEEPER)
		pause();
}

static void kill_at(enum fail_class class, enum kill_whom whom)
{
	int32_t meant = __atomic_load_n(&control->class, __ATOMIC_RELAXED);

	if (class == FAIL_ALLOC || (meant && meant != (int32_t) class) ||
	    __atomic_load_n(&control->left, __ATOMIC_RELAXED) <= 0 ||
	    role() != (whom == KILL_KEEPER_ITSELF ? ROLE_KEEPER : ROLE_SERVER))
		return;
	__atomic_fetch_add(&control->seen, 1, __ATOMIC_RELAXED);
	if (__atomic_sub_fetch(&control->left, 1, __ATOMIC_RELAXED))
		return;
	__atomic_fetch_add(&control->fired, 1, __ATOMIC_RELAXED);
	killed(whom);
}

static bool hit(enum fail_class class, void *caller)
{
	enum kill_whom whom = (enum kill_whom)__atomic_load_n(&control->kill, __ATOMIC_RELAXED);
	uintptr_t at = (uintptr_t)caller;
	int64_t left;

	if (whom && !inside)
		kill_at(class, whom);
	if (inside || whom ||
	    __atomic_load_n(&control->class, __ATOMIC_RELAXED) != (int32_t) class ||
	    __atomic_load_n(&control->left, __ATOMIC_RELAXED) <= 0)
		return false;
	for (int i = 0; i < nr_spared; i++)
		if (at >= spared[i].from && at < spared[i].to)
			return false;
	__atomic_fetch_add(&control->seen, 1, __ATOMIC_RELAXED);
	left = __atomic_sub_fetch(&control->left, 1, __ATOMIC_RELAXED);
	if (left)
		return false;
	__atomic_fetch_add(&control->fired, 1, __ATOMIC_RELAXED);
	if (tell) {
		void *frames[32];

		inside = true;
		backtrace_symbols_fd(frames, backtrace(frames, 32), STDERR_FILENO);
		inside = false;
	}
	if (control->sticky)
		__atomic_store_n(&control->left, 1, __ATOMIC_RELAXED);
	return true;
}

static bool regular(int fd)
{
	struct stat st;

	return !REAL(fstat)(fd, &st) && S_ISREG(st.st_mode);
}

/* /dev/fuse: what a connection that somebody aborts may give. */
static bool device(int fd)
{
	struct stat st;

	return !REAL(fstat)(fd, &st) && S_ISCHR(st.st_mode);
}

#define EXPORT __attribute__((visibility("default")))
#define CALLER __builtin_return_address(0)

/* Fail with an errno, or call the real one. */
#define WRAP(ret, name, params, args, class, cond, error, fail) \
	EXPORT ret name params                                  \
	{                                                       \
		if ((cond) && hit(class, CALLER)) {             \
			errno = (error);                        \
			return (ret)(fail);                     \
		}                                               \
		return REAL(name) args;                         \
	}

#define WITH_MODE(type)                    \
	mode_t mode;                       \
	va_list list;                      \
	va_start(list, flags);             \
	mode = (mode_t)va_arg(list, type); \
	va_end(list)

EXPORT ssize_t writev(int fd, const struct iovec *iov, int count)
{
	if (device(fd) && hit(FAIL_DEVICE, CALLER)) {
		errno = ECONNABORTED;
		return -1;
	}
	return REAL(writev)(fd, iov, count);
}

EXPORT int open(const char *path, int flags, ...)
{
	WITH_MODE(int);
	if (hit(FAIL_OPEN, CALLER)) {
		errno = EMFILE;
		return -1;
	}
	return REAL(open)(path, flags, mode);
}

EXPORT int openat(int dir, const char *path, int flags, ...)
{
	WITH_MODE(int);
	if (hit(FAIL_OPEN, CALLER)) {
		errno = EMFILE;
		return -1;
	}
	return REAL(openat)(dir, path, flags, mode);
}

EXPORT int fcntl(int fd, int cmd, ...)
{
	va_list list;
	void *arg;

	va_start(list, cmd);
	arg = va_arg(list, void *);
	va_end(list);
	if ((cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC) && hit(FAIL_OPEN, CALLER)) {
		errno = EMFILE;
		return -1;
	}
	return REAL(fcntl)(fd, cmd, arg);
}

WRAP(FILE *, fopen, (const char *path, const char *mode), (path, mode), FAIL_OPEN, true, EMFILE,
     NULL)
WRAP(int, memfd_create, (const char *name, unsigned int flags), (name, flags), FAIL_OPEN, true,
     EMFILE, -1)
WRAP(int, eventfd, (unsigned int value, int flags), (value, flags), FAIL_OPEN, true, EMFILE, -1)
WRAP(int, pipe2, (int fds[2], int flags), (fds, flags), FAIL_OPEN, true, EMFILE, -1)

WRAP(int, fstat, (int fd, struct stat *st), (fd, st), FAIL_STAT, true, EIO, -1)
WRAP(int, stat, (const char *path, struct stat *st), (path, st), FAIL_STAT, true, EIO, -1)
WRAP(int, lstat, (const char *path, struct stat *st), (path, st), FAIL_STAT, true, EIO, -1)
WRAP(int, fstatat, (int dir, const char *path, struct stat *st, int flags), (dir, path, st, flags),
     FAIL_STAT, true, EIO, -1)

EXPORT ssize_t read(int fd, void *buf, size_t n)
{
	ssize_t got;

	if (regular(fd) && hit(FAIL_READ, CALLER)) {
		errno = EIO;
		return -1;
	}
	got = REAL(read)(fd, buf, n);
	if (got >= 0 && device(fd) && hit(FAIL_DEVICE, CALLER)) {
		errno = ECONNABORTED;
		return -1;
	}
	return got;
}

WRAP(ssize_t, pread, (int fd, void *buf, size_t n, off_t off), (fd, buf, n, off), FAIL_READ, true,
     EIO, -1)
WRAP(ssize_t, readlinkat, (int dir, const char *path, char *buf, size_t n), (dir, path, buf, n),
     FAIL_READ, true, EIO, -1)
WRAP(struct dirent *, readdir, (DIR * dir), (dir), FAIL_READ, true, EIO, NULL)

WRAP(ssize_t, write, (int fd, const void *buf, size_t n), (fd, buf, n), FAIL_WRITE, regular(fd),
     ENOSPC, -1)
WRAP(ssize_t, pwrite, (int fd, const void *buf, size_t n, off_t off), (fd, buf, n, off), FAIL_WRITE,
     true, ENOSPC, -1)

WRAP(void *, malloc, (size_t n), (n), FAIL_ALLOC, true, ENOMEM, NULL)
WRAP(void *, realloc, (void *p, size_t n), (p, n), FAIL_ALLOC, true, ENOMEM, NULL)
WRAP(void *, aligned_alloc, (size_t align, size_t n), (align, n), FAIL_ALLOC, true, ENOMEM, NULL)
WRAP(char *, strdup, (const char *s), (s), FAIL_ALLOC, true, ENOMEM, NULL)
WRAP(char *, strndup, (const char *s, size_t n), (s, n), FAIL_ALLOC, true, ENOMEM, NULL)

/* dlsym() itself allocates with calloc(): what it gets before ours is known is never given back. */
static char early[1 << 16];
static size_t early_used;

EXPORT void *calloc(size_t nr, size_t size)
{
	static void *(*real)(size_t, size_t);

	if (!real) {
		if (inside) {
			void *p = early + early_used;

			early_used += (nr * size + 15) & ~(size_t)15;
			return early_used <= sizeof(early) ? p : NULL;
		}
		inside = true;
		real = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
		inside = false;
	}
	if (hit(FAIL_ALLOC, CALLER)) {
		errno = ENOMEM;
		return NULL;
	}
	return real(nr, size);
}

EXPORT void free(void *p)
{
	if ((char *)p < early || (char *)p >= early + sizeof(early))
		REAL(free)(p);
}

WRAP(void *, mmap, (void *addr, size_t n, int prot, int flags, int fd, off_t off),
     (addr, n, prot, flags, fd, off), FAIL_MMAP, true, ENOMEM, MAP_FAILED)
WRAP(int, mprotect, (void *addr, size_t n, int prot), (addr, n, prot), FAIL_MMAP, true, ENOMEM, -1)

WRAP(int, ftruncate, (int fd, off_t n), (fd, n), FAIL_SPACE, true, ENOSPC, -1)
WRAP(int, fallocate, (int fd, int mode, off_t off, off_t n), (fd, mode, off, n), FAIL_SPACE, true,
     ENOSPC, -1)

EXPORT int posix_fallocate(int fd, off_t off, off_t n)
{
	return hit(FAIL_SPACE, CALLER) ? ENOSPC : REAL(posix_fallocate)(fd, off, n);
}

/*
 * The server populates pages with it; advice may fail at any time. EFAULT is what a full tmpfs
 * gives.
 */
WRAP(int, madvise, (void *addr, size_t n, int advice), (addr, n, advice), FAIL_SPACE, true, EFAULT,
     -1)

WRAP(int, linkat, (int a, const char *from, int b, const char *to, int flags),
     (a, from, b, to, flags), FAIL_NAME, true, ENOSPC, -1)
WRAP(int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), FAIL_NAME,
     true, ENOSPC, -1)
WRAP(int, renameat2, (int a, const char *from, int b, const char *to, unsigned int flags),
     (a, from, b, to, flags), FAIL_NAME, true, ENOSPC, -1)
WRAP(int, unlinkat, (int dir, const char *path, int flags), (dir, path, flags), FAIL_NAME, true,
     EIO, -1)
WRAP(int, mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode), FAIL_NAME, true,
     ENOSPC, -1)
WRAP(int, symlinkat, (const char *to, int dir, const char *path), (to, dir, path), FAIL_NAME, true,
     ENOSPC, -1)

WRAP(int, fchown, (int fd, uid_t u, gid_t g), (fd, u, g), FAIL_OWNER, true, EIO, -1)
WRAP(int, fchownat, (int dir, const char *path, uid_t u, gid_t g, int flags),
     (dir, path, u, g, flags), FAIL_OWNER, true, EIO, -1)
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode), FAIL_OWNER, true, EIO, -1)
WRAP(int, fchmodat, (int dir, const char *path, mode_t mode, int flags), (dir, path, mode, flags),
     FAIL_OWNER, true, EIO, -1)

WRAP(pid_t, fork, (void), (), FAIL_FORK, true, EAGAIN, -1)

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg)
{
	return hit(FAIL_FORK, CALLER) ? EAGAIN : REAL(pthread_create)(thread, attr, fn, arg);
}

/* ---- points to be killed at */

WRAP(int, fsync, (int fd), (fd), FAIL_NEVER, true, 0, 0)
WRAP(int, fdatasync, (int fd), (fd), FAIL_NEVER, true, 0, 0)
WRAP(int, msync, (void *addr, size_t n, int flags), (addr, n, flags), FAIL_NEVER, true, 0, 0)
WRAP(int, munmap, (void *addr, size_t n), (addr, n), FAIL_NEVER, true, 0, 0)
WRAP(int, flock, (int fd, int how), (fd, how), FAIL_NEVER, true, 0, 0)
WRAP(int, close, (int fd), (fd), FAIL_NEVER, true, 0, 0)
WRAP(int, fsetxattr, (int fd, const char *name, const void *value, size_t n, int flags),
     (fd, name, value, n, flags), FAIL_NEVER, true, 0, 0)
WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *msg, int flags), (fd, msg, flags), FAIL_NEVER,
     true, 0, 0)

WRAP(int, socket, (int family, int type, int protocol), (family, type, protocol), FAIL_SOCKET, true,
     EMFILE, -1)
WRAP(int, socketpair, (int family, int type, int protocol, int fds[2]),
     (family, type, protocol, fds), FAIL_SOCKET, true, EMFILE, -1)
