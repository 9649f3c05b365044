/*
 * filter.c - the seccomp filter of ubpfctl run
 *
 * A call is trapped when its number and, where that tells enough, its register arguments say that
 * it may concern BPF. Memory is not looked at here: the supervisor does, and lets the rest go on.
 * Calls of another architecture's table (i386, x32) pass: they reach the kernel's own BPF.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "tools/run/filter.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "which seccomp architecture is this?"
#endif

#define LOAD(field)  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ARG(n)	     LOAD(args[n]) /* little-endian: the lower half */
#define ARG_HIGH(n)  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[n]) + 4)
#define PASS	     BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define TRAP	     BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF)
#define IS(k, t, f)  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (k), (t), (f))
#define HAS(k, t, f) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (k), (t), (f))
/* Trap this number whatever its arguments. */
#define CALL(nr)     IS(nr, 0, 1), TRAP
/* fdinfo is opened for reading; what creates, writes or lists is none of ours. */
#define OPEN(nr, flags) \
	IS(nr, 0, 4), ARG(flags), HAS(O_ACCMODE | O_CREAT | O_DIRECTORY | O_PATH, 0, 1), PASS, TRAP

static struct sock_filter code[] = {
	LOAD(arch),
	IS(ARCH, 1, 0),
	PASS,
	LOAD(nr),
	CALL(SYS_bpf),
	CALL(SYS_statfs),
	CALL(SYS_fstatfs),
	CALL(SYS_mount),
	CALL(SYS_perf_event_open),
	CALL(SYS_readlinkat),
#ifdef SYS_readlink
	CALL(SYS_readlink),
#endif
#ifdef SYS_open
	OPEN(SYS_open, 1),
#endif
	OPEN(SYS_openat, 2),
	IS(SYS_ioctl, 0, 4),
	ARG(1),
	IS(PERF_EVENT_IOC_SET_BPF, 0, 1),
	TRAP,
	PASS,
	/* Shared memory of a file; libraries are mapped privately. */
	IS(SYS_mmap, 0, 5),
	ARG(3),
	HAS(MAP_SHARED, 0, 2),
	HAS(MAP_ANONYMOUS, 1, 0),
	TRAP,
	PASS,
	/* Raising the memlock limit; asking for it is not trapped. */
	IS(SYS_prlimit64, 0, 8),
	ARG(1),
	IS(RLIMIT_MEMLOCK, 0, 4),
	ARG(2),
	IS(0, 0, 3),
	ARG_HIGH(2),
	IS(0, 0, 1),
	PASS,
	TRAP,
#ifdef SYS_setrlimit
	IS(SYS_setrlimit, 0, 3),
	ARG(0),
	IS(RLIMIT_MEMLOCK, 0, 1),
	TRAP,
#endif
	PASS,
};

static int install(unsigned int flags)
{
	struct sock_fprog prog = {sizeof(code) / sizeof(code[0]), code};
	int fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			 flags | SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);

	return fd < 0 ? -errno : fd;
}

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1u << 5)
#endif

int run_filter_install(bool user)
{
	/*
	 * A call that the supervisor has begun is not begun again because a signal came (Go sends
	 * itself many): it would be done twice. Before Linux 5.19 there is no such flag.
	 */
	int fd;

	/*
	 * The supervisor answers with its own rights: nothing that an ordinary user's command runs
	 * may have others, also where a user namespace would allow the filter without this.
	 */
	if (user && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	fd = install(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
	return fd == -EINVAL ? install(0) : fd;
}
