/*
 * try_calls.c - to be preloaded into a server: what it must not do is tried by it
 *
 * $UBPFFS_TRY names a file in the state directory. Once it is there, the thread that reads the next
 * request tries each call below and writes a line: its name, and 0 or the errno. What begins with
 * "may-" is what the server does itself.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int out;

#define TRY(what, call) dprintf(out, "%s %d\n", what, (long)(call) == -1 ? errno : 0)

static void try_privileges(const char *path)
{
	struct timex time = {.modes = ADJ_TICK, .tick = 1}; /* too small, for who may */
	char device[4096];

	snprintf(device, sizeof(device), "%s.device", path);
	TRY("mknod", mknod(device, S_IFCHR | 0600, 0x103));
	TRY("setuid", syscall(SYS_setresuid, 12345, 12345, 12345));
	TRY("setgid", syscall(SYS_setresgid, 12345, 12345, 12345));
	TRY("chroot", chroot("/"));
	TRY("mount", mount("none", "/tmp", "tmpfs", 0, NULL));
	TRY("umount", umount2(device, MNT_DETACH));
	TRY("unshare", unshare(CLONE_NEWUSER));
	TRY("setns", setns(out, 0));
	TRY("init_module", syscall(SYS_init_module, NULL, 0, ""));
	TRY("reboot", syscall(SYS_reboot, 0, 0, 0, NULL)); /* no magic: EINVAL for who may */
	TRY("adjtimex", adjtimex(&time));
	TRY("setpcap", prctl(PR_CAPBSET_DROP, 63, 0, 0, 0)); /* EINVAL for who may */
	TRY("dumpable", prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
	TRY("seccomp", syscall(SYS_seccomp, 1, 0, NULL));
	TRY("bpf", syscall(SYS_bpf, 0, NULL, 0));
	TRY("perf_event_open", syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
	TRY("io_uring", syscall(SYS_io_uring_setup, 1, NULL));
	TRY("keyctl", syscall(SYS_keyctl, 0, 0, 0));
}

static void try_processes(void)
{
	struct iovec local = {&out, sizeof(out)}, remote = local;
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	TRY("fork", pid);
	TRY("execve", execve("/bin/true", (char *[]){"true", NULL}, NULL));
	TRY("ptrace", ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
	TRY("process_vm_readv", process_vm_readv(getppid(), &local, 1, &remote, 1, 0));
	TRY("kill", kill(getppid(), 0));
	TRY("limit", prlimit(getppid(), RLIMIT_CORE, NULL, NULL));
	TRY("may-read-itself", process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
}

static void try_memory(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	TRY("mmap-wx", mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	TRY("mprotect-wx", mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
	munmap(page, 4096);
}

static void try_files(const char *path)
{
	char other[4096];
	int fd;

	TRY("read-file", open("/etc/passwd", O_RDONLY | O_CLOEXEC));
	TRY("read-dir", open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	TRY("make-file", open("/tmp/ubpffs-try-calls", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	TRY("make-dir", mkdir("/tmp/ubpffs-try-calls", 0700));
	TRY("write-proc", open("/proc/self/comm", O_WRONLY | O_CLOEXEC));
	TRY("write-sys", open("/sys/kernel/mm/transparent_hugepage/enabled", O_WRONLY | O_CLOEXEC));
	TRY("chmod", chmod("/etc/passwd", 0644)); /* as it is */
	TRY("chown", chown("/etc/passwd", 0, 0));
	TRY("fchownat", fchownat(AT_FDCWD, "/etc/passwd", 0, 0, AT_SYMLINK_NOFOLLOW));
	TRY("remove-file", unlink("/etc/hostname"));
	snprintf(other, sizeof(other), "%s.link", path);
	TRY("link-out", link(path, "/tmp/ubpffs-try-calls"));
	TRY("link-in", link("/etc/passwd", other));
	fd = open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	TRY("may-make-file", fd);
	close(fd);
	TRY("may-remove-file", unlink(other));
	fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	TRY("may-read-proc", fd);
	close(fd);
}

static void try_network(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
	int fd;

	TRY("inet", socket(AF_INET, SOCK_STREAM, 0));
	TRY("packet", socket(AF_PACKET, SOCK_RAW, 0));
	TRY("netfilter", socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER));
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	TRY("may-unix", fd);
	TRY("connect", connect(fd, (struct sockaddr *)&to, sizeof(to)));
	TRY("bind", bind(fd, (struct sockaddr *)&to, sizeof(to)));
	close(fd);
}

__attribute__((visibility("default"))) ssize_t readv(int fd, const struct iovec *iov, int count)
{
	static int tried;
	const char *path = getenv("UBPFFS_TRY");
	ssize_t (*next)(int, const struct iovec *, int);

	*(void **)&next = dlsym(RTLD_NEXT, "readv");
	if (path && !access(path, F_OK) && !__atomic_exchange_n(&tried, 1, __ATOMIC_SEQ_CST)) {
		out = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
		try_privileges(path);
		try_processes();
		try_memory();
		try_files(path);
		try_network();
		dprintf(out, "end 0\n");
		close(out);
	}
	return next(fd, iov, count);
}
