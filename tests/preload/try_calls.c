/*
 * try_calls.c - to be preloaded into a server: what it must not do is tried by it
 *
 * $UBPFFS_TRY names a file. Once it is there, the thread that reads the next request tries each
 * call below and writes a line: its name, and 0 or the errno.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <unistd.h>

static void try_all(int out, const char *path)
{
	char device[4096];
	struct timex time = {.modes = ADJ_TICK, .tick = 1}; /* too small, for who may */
	char name[65];

	snprintf(device, sizeof(device), "%s.device", path);
	gethostname(name, sizeof(name));
#define TRY(what, call) dprintf(out, "%s %d\n", what, (call) < 0 ? errno : 0)
	TRY("mknod", syscall(SYS_mknodat, AT_FDCWD, device, S_IFCHR | 0600, 0x103));
	TRY("setuid", syscall(SYS_setresuid, 12345, 12345, 12345));
	TRY("setgid", syscall(SYS_setresgid, 12345, 12345, 12345));
	TRY("chroot", syscall(SYS_chroot, "/"));
	TRY("init_module", syscall(SYS_init_module, NULL, 0, ""));
	TRY("reboot", syscall(SYS_reboot, 0, 0, 0, NULL)); /* no magic: EINVAL for who may */
	TRY("adjtimex", adjtimex(&time));
	TRY("setpcap",
	    syscall(SYS_prctl, 24, 63, 0, 0, 0)); /* PR_CAPBSET_DROP; EINVAL for who may */
}

__attribute__((visibility("default"))) ssize_t readv(int fd, const struct iovec *iov, int count)
{
	static int tried;
	const char *path = getenv("UBPFFS_TRY");
	ssize_t (*next)(int, const struct iovec *, int);
	int out;

	*(void **)&next = dlsym(RTLD_NEXT, "readv");
	if (path && !access(path, F_OK) && !__atomic_exchange_n(&tried, 1, __ATOMIC_SEQ_CST)) {
		out = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
		try_all(out, path);
		dprintf(out, "end 0\n");
		close(out);
	}
	return next(fd, iov, count);
}
