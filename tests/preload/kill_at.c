/*
 * kill_at.c - to be preloaded into a server with a keeper: it is killed at a named point, and the
 * kernel may be one that sends no requests again
 *
 * $UBPFFS_KILL_AT is a directory of the test's. The file `no-resend` in it makes the kernel one
 * before Linux 6.9. Each file `read`, `answer` or `answered` kills the server once, and is gone
 * then: when a request was read and nothing is done about it, when its answer is about to be sent,
 * and when it was sent. What the file holds is the opcode that is meant; nothing: the next one.
 * `fault` and `fault-again` are as `answer`, and the server ends by a fault of its own. `start`
 * holds a number: a server that begins is killed at that one of its calls below. With
 * `fault-at-start` each successor ends by a fault before it serves, or, where the file holds a
 * path, each that is that program.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT	      __attribute__((visibility("default")))
#define NOTIFY_RESEND 7

struct request_head {
	uint32_t len, opcode;
	uint64_t unique;
};

struct answer_head {
	uint32_t len;
	int32_t error;
	uint64_t unique;
};

/* Which request has which opcode, by its number. */
static struct request_head asked[4096];

static const char *name_of(const char *point, char *path, size_t size)
{
	const char *dir = getenv("UBPFFS_KILL_AT");

	if (!dir)
		return NULL;
	snprintf(path, size, "%s/%s", dir, point);
	return path;
}

static bool is_there(const char *point)
{
	char path[4096];
	const char *name = name_of(point, path, sizeof(path));

	return name && !access(name, F_OK);
}

static bool is_own_fault(void)
{
	char path[4096], meant[4096] = "", self[4096] = "";
	const char *name = name_of("fault-at-start", path, sizeof(path));
	int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return false;
	if (read(fd, meant, sizeof(meant) - 1) < 0 ||
	    readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		meant[0] = 0;
	close(fd);
	return !meant[0] || !strcmp(meant, self);
}

static bool is_meant(const char *name, uint32_t opcode)
{
	char text[32] = "";
	int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n >= 0 && (!text[0] || (uint32_t)atoi(text) == opcode);
}

/* Is the server to be killed there? The file is gone then. */
static bool is_killed_at(const char *point, uint32_t opcode)
{
	char path[4096];
	const char *name = name_of(point, path, sizeof(path));

	return is_meant(name, opcode) && !unlink(name);
}

static void die(void)
{
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

/* ---- the n-th call of a server that begins */

static pid_t keeper;

static void __attribute__((constructor)) begin(void)
{
	keeper = getpid();
}

/* Of a fork of the keeper; 0: any number. */
static long calls_to_make(void)
{
	char path[4096], text[32] = "";
	const char *name = name_of("start", path, sizeof(path));
	int fd = name && getppid() == keeper ? open(name, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	return n > 0 ? atol(text) : 0;
}

static void count_call(void)
{
	static _Atomic pid_t counted;
	static _Atomic long left;
	char path[4096];

	if (counted != getpid()) {
		counted = getpid();
		left = calls_to_make();
	}
	if (left > 0 && --left == 0 && !unlink(name_of("start", path, sizeof(path))))
		die();
}

/* It is the first that is not made. */
#define COUNTED(ret, name, params, args)                   \
	EXPORT ret name params                             \
	{                                                  \
		ret(*next) params;                         \
                                                           \
		*(void **)&next = dlsym(RTLD_NEXT, #name); \
		count_call();                              \
		return next args;                          \
	}

COUNTED(int, fstatat, (int dir, const char *path, struct stat *st, int flags),
	(dir, path, st, flags))
COUNTED(int, fstat, (int fd, struct stat *st), (fd, st))
COUNTED(int, flock, (int fd, int how), (fd, how))
COUNTED(int, ftruncate, (int fd, off_t size), (fd, size))
COUNTED(int, mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode))
COUNTED(int, renameat, (int dir, const char *path, int to, const char *name), (dir, path, to, name))
COUNTED(int, unlinkat, (int dir, const char *path, int flags), (dir, path, flags))
COUNTED(int, sigaction, (int sig, const struct sigaction *act, struct sigaction *old),
	(sig, act, old))
COUNTED(ssize_t, sendmsg, (int fd, const struct msghdr *msg, int flags), (fd, msg, flags))
COUNTED(int, pthread_create,
	(pthread_t * thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg),
	(thread, attr, fn, arg))

/* The library's own: a thread that waits in it can be cancelled. */
static ssize_t next_v(const char *name, int fd, const struct iovec *iov, int count)
{
	ssize_t (*next)(int, const struct iovec *, int);

	*(void **)&next = dlsym(RTLD_NEXT, name);
	return next(fd, iov, count);
}

EXPORT ssize_t readv(int fd, const struct iovec *iov, int count)
{
	struct request_head head;
	ssize_t n;

	count_call();
	n = next_v("readv", fd, iov, count);

	if (n < (ssize_t)sizeof(head) || count != 2 || iov[0].iov_len < sizeof(head))
		return n;
	memcpy(&head, iov[0].iov_base, sizeof(head));
	asked[head.unique / 2 % 4096] = head;
	if (is_killed_at("read", head.opcode))
		die();
	return n;
}

EXPORT ssize_t writev(int fd, const struct iovec *iov, int count)
{
	struct answer_head head = {0};
	uint32_t opcode = 0;
	bool killed;
	ssize_t n;

	count_call();
	if (count && iov[0].iov_len == sizeof(head))
		memcpy(&head, iov[0].iov_base, sizeof(head));
	if (head.len == sizeof(head) && !head.unique && head.error == NOTIFY_RESEND) {
		if (is_there("fault-at-start") && is_own_fault())
			raise(SIGSEGV);
		if (is_there("no-resend")) {
			errno = EINVAL;
			return -1;
		}
	}
	if (head.unique && asked[head.unique / 2 % 4096].unique == head.unique)
		opcode = asked[head.unique / 2 % 4096].opcode;
	if (opcode && is_killed_at("answer", opcode))
		die();
	if (opcode && (is_killed_at("fault", opcode) || is_killed_at("fault-again", opcode)))
		raise(SIGSEGV);
	/* Asked before: who has the answer may be about to make the next file. */
	killed = opcode && is_killed_at("answered", opcode);
	n = next_v("writev", fd, iov, count);
	if (killed)
		die();
	return n;
}
