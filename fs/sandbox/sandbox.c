/*
 * sandbox.c - see sandbox.h
 */
#include "fs/sandbox/sandbox.h"
#include "fs/lib/mountinfo.h"
#include "fs/sandbox/sanitized.h"
#include "fs/sandbox/caps.h"
#include "fs/sandbox/files.h"
#include "fs/sandbox/filter.h"
#include "util/types.h"

#include <asm/ioctls.h>
#include <dlfcn.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

/* ---- capabilities */

static bool set_limit(int which, rlim_t limit)
{
	struct rlimit both = {limit, limit};

	return !setrlimit(which, &both);
}

/*
 * A thread that was slowed down may be as fast as before again, and rings of samples are memory
 * that is locked: both by limits, and where root may not raise these (in containers), by
 * capabilities.
 */
static u64 caps_for_limits(void)
{
	u64 caps = 0;

	if (!set_limit(RLIMIT_NICE, (rlim_t)(20 - getpriority(PRIO_PROCESS, 0))))
		caps |= CAP_BIT(CAP_SYS_NICE);
	if (!set_limit(RLIMIT_MEMLOCK, RLIM_INFINITY))
		caps |= CAP_BIT(CAP_IPC_LOCK);
	return caps;
}

static u64 caps_of_root(const struct sandbox *what)
{
	u64 caps = CAP_BIT(CAP_CHOWN) | /* what users make in the state is theirs */
		   CAP_BIT(CAP_FOWNER) |
		   CAP_BIT(CAP_FSETID) | /* chmod(2) of that, and setgid directories */
		   CAP_BIT(CAP_DAC_OVERRIDE); /* names in their directories */

	if (what->enforce)
		caps |= CAP_BIT(CAP_NET_ADMIN) | /* asked of whoever sends nftables and NFQUEUE
						    a message, each time */
			CAP_BIT(CAP_DAC_READ_SEARCH); /* which of the host's cgroups a number is
							 (open_by_handle_at(2)) */
	return caps | caps_for_limits();
}

/* ---- system calls */

#define NEW_NAMESPACES                                                                 \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
	 CLONE_NEWPID | CLONE_NEWNET)

static const struct filter_rule server_rules[] = {
	ALLOW(write),
	ALLOW(writev),
	ALLOW(pwrite64),
	/* Files: which ones is files.h's matter. */
	ALLOW(open),
	ALLOW(openat),
	ALLOW(stat),
	ALLOW(lstat),
	ALLOW(statx),
	ALLOW(statfs),
	ALLOW(fstatfs),
	ALLOW(access),
	ALLOW(faccessat),
	ALLOW(faccessat2),
	ALLOW(getdents64),
	ALLOW(readlink),
	ALLOW(readlinkat),
	ALLOW(getcwd),
	ALLOW(chdir),
	ALLOW(mkdir),
	ALLOW(mkdirat),
	ALLOW(rmdir),
	ALLOW(unlink),
	ALLOW(unlinkat),
	ALLOW(rename),
	ALLOW(renameat),
	ALLOW(renameat2),
	ALLOW(link),
	ALLOW(linkat),
	ALLOW(symlink),
	ALLOW(symlinkat),
	/* What is open: landlock knows nothing of these. */
	ALLOW(fchmod),
	ALLOW(fchown),
	ALLOW_IF(utimensat, ARG_IS(1, 0)),
	ALLOW(ftruncate),
	ALLOW(fallocate),
	ALLOW(flock),
	ALLOW(fsync),
	ALLOW(fdatasync),
	ALLOW(syncfs),
	ALLOW(sync_file_range),
	ALLOW(msync),
	ALLOW(copy_file_range),
	ALLOW(umask),
	ALLOW(dup),
	ALLOW(dup2),
	ALLOW(dup3),
	ALLOW(pipe2),
	ALLOW(eventfd2),
	ALLOW(memfd_create),
	ALLOW(timerfd_create),
	ALLOW(timerfd_settime),
	ALLOW(timerfd_gettime),
	/* Threads, and no processes. */
	ALLOW_IF(clone, ARG_HAS(0, CLONE_THREAD | NEW_NAMESPACES, CLONE_THREAD)),
	ABSENT(clone3), /* its flags cannot be seen */
	ALLOW(membarrier),
	ALLOW(getcpu),
	ALLOW(getpriority),
	ALLOW(setpriority),
	ALLOW(sched_getparam),
	ALLOW(sched_getscheduler),
	ALLOW(getrusage),
	ALLOW(sysinfo),
	ALLOW(uname),
	ALLOW_IF(prctl, ARG_IS(0, PR_SET_NAME)),
	ALLOW_IF(prctl, ARG_IS(0, PR_GET_NAME)),
	ALLOW_IF(prctl, ARG_IS(0, PR_GET_SECCOMP)),
	ALLOW_IF(prctl, ARG_IS(0, 0x53564d41)), /* PR_SET_VMA: malloc(3)'s names */
	/* Other processes: the agent, samples. */
	ALLOW(wait4),
	ALLOW(waitid),
	ALLOW(pidfd_open),
	ALLOW_IF(pidfd_send_signal, ARG_IS(1, 0)), /* is it there? */
	ALLOW_IF(ioctl, ARG_IS(1, PERF_EVENT_IOC_ENABLE)),
	ALLOW_IF(ioctl, ARG_IS(1, PERF_EVENT_IOC_SET_OUTPUT)),
	ALLOW_IF(ioctl, ARG_IS(1, TCGETS)), /* stdio: is it a terminal? */
	/* The agent's sockets; interfaces, routes. */
	ALLOW_IF(socketpair, ARG_IS(0, AF_UNIX)),
	ALLOW_IF(socket, ARG_IS(0, AF_UNIX), ARG_HAS(1, 0xf, SOCK_DGRAM)), /* to ask by ioctl(2) */
	ALLOW_IF(socket, ARG_IS(0, AF_NETLINK), ARG_IS(2, NETLINK_ROUTE)),
	ALLOW(sendto),
	ALLOW(sendmsg),
	ALLOW(recvfrom),
	ALLOW(recvmsg),
	ALLOW(shutdown),
	ALLOW(setsockopt),
	ALLOW(getsockopt),
	ALLOW(getsockname),
	ALLOW_IF(ioctl, ARG_IS(1, SIOCGIFNAME)),
	ALLOW_IF(ioctl, ARG_IS(1, SIOCGIFINDEX)),
	ALLOW_IF(ioctl, ARG_IS(1, SIOCGIFHWADDR)),
	ALLOW_IF(ioctl, ARG_IS(1, SIOCGIFMTU)),
	ALLOW_IF(ioctl, ARG_IS(1, SIOCGIFFLAGS)),
};

/* Not of root's: by a path these would change any file of the machine. */
static const struct filter_rule user_rules[] = {
	ALLOW(chmod),
	ALLOW(fchmodat),
	ALLOW(fchownat),
	ALLOW(utimensat),
};

static const struct filter_rule enforce_rules[] = {
	ALLOW_IF(socket, ARG_IS(0, AF_NETLINK), ARG_IS(2, NETLINK_NETFILTER)),
	ALLOW_IF(socket, ARG_IS(0, AF_NETLINK), ARG_IS(2, NETLINK_SOCK_DIAG)),
	ALLOW(bind),
	ALLOW(recvmmsg),
	ALLOW(open_by_handle_at),
	ALLOW(fgetxattr), /* our mark on cgroups */
	ALLOW(fsetxattr),
};

static int enter_filter(const struct sandbox *what)
{
	const struct filter_list server = FILTER_LIST(server_rules);
	const struct filter_list user = FILTER_LIST(user_rules);
	const struct filter_list enforce = FILTER_LIST(enforce_rules);
	const struct filter_list *lists[4] = {&filter_common, &server};
	u32 nr = 2;

	if (geteuid())
		lists[nr++] = &user;
	if (what->enforce)
		lists[nr++] = &enforce;
	return filter_enter(lists, nr);
}

/* ---- files */

/* What libraries of ours and the engine look at; nothing of it is a user's. */
static const char *const read_paths[] = {
	"/proc", /* who asks, and one's own memory */
	"/sys/devices/system/cpu",
	"/sys/kernel/btf",
	"/boot", /* the kernel's configuration, for CO-RE */
	"/usr", /* build ids of what is mapped */
	"/lib",
	"/lib64",
};

struct cgroup_mounts {
	struct files *files;
	int err;
};

static void allow_cgroups(void *arg, const char *root, const char *dir, const char *type)
{
	struct cgroup_mounts *mounts = arg;

	if (!mounts->err && !strcmp(type, "cgroup2"))
		mounts->err = files_allow(mounts->files, dir, FILES_DIRS);
}

static int allow_files(struct files *files, const struct sandbox *what)
{
	struct cgroup_mounts mounts = {files};
	int err = files_allow_fd(files, what->state_fd, FILES_ALL);

	for (u32 i = 0; !err && i < ARRAY_SIZE(read_paths); i++)
		err = files_allow(files, read_paths[i], FILES_READ);
	if (!err)
		err = files_allow(files, "/proc/self/exe", FILES_READ);
	if (!err)
		err = files_allow(files, "/dev/null", FILES_WRITE);
	if (!err && what->btf)
		err = files_allow(files, what->btf, FILES_READ);
	if (!err && what->enforce)
		err = mountinfo_each(allow_cgroups, &mounts) ?: mounts.err;
	return err;
}

static int enter_files(const struct sandbox *what)
{
	struct files files;
	int err = files_begin(&files);

	if (err == -EOPNOTSUPP) {
		fprintf(stderr,
			"ubpffs: this kernel has no landlock (since Linux 5.19): the server may "
			"open what its user may\n");
		return 0;
	}
	if (err)
		return err;
	err = allow_files(&files, what);
	if (err)
		close(files.fd);
	return err ?: files_enter(&files);
}

/* ---- all of it */

/* What libc would open later. */
static void read_now(void)
{
	tzset();
	dlopen("libgcc_s.so.1", RTLD_NOW); /* pthread_cancel(3) */
}

static int step(int err, const char *what, struct error_record *why)
{
	return err ? error_set(why, -err, "%s: %s", what, strerror(-err)) : 0;
}

int sandbox_hide_memory(void)
{
	if (SANITIZED)
		return 0;
	/* 0 leaves dumps to programs of core_pattern. */
	if (!set_limit(RLIMIT_CORE, 1) || (!geteuid() && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)))
		return -errno;
	return 0;
}

int sandbox_enter(const struct sandbox *what, struct error_record *why)
{
	bool root = !geteuid();
	int err = 0;

	if (root)
		err = step(caps_keep(caps_of_root(what)), "capabilities", why);
	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		err = step(-errno, "no_new_privs", why);
	if (err || SANITIZED)
		return err;
	read_now();
	err = step(enter_files(what), "landlock", why);
	return err ?: step(enter_filter(what), "seccomp", why);
}
